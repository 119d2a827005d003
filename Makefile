# Each target does everything it needs, from a fresh clone on, and installs no more than that.
#   make demo    train a small binary network on digits, export it to one bit, run it; classify
#                photographs with pretrained weights
#   make test    lint, types, and all tests, in WORKERS processes; short checks of the runtime
#   make every   the same for every network of the zoo, and more rounds of what is random: hours, before a
#                release
#   make fast    the tests that are not slow, for a developer's loop
#   make random  all tests in a random order, which shows whether one depends on another
#   make docs    the documentation, in build/docs
#   make dist    the source distribution and the wheel, in dist; those of the runtime are made by
#                make -C runtime wheels
#   make copies  the runtime's copies of larq_reactnet/_shared, after a change of those files

PYTHON ?= python3
VENV ?= .venv
# More than there are processors: tests wait for processes of their own.
WORKERS ?= 3
# A folder in which tensorflow-datasets has a prepared CIFAR-10: with it the demo and the tests look
# at its images too. Nothing is downloaded.
DATA_DIR ?=
# Of the order of the tests: a failure of `make random` names the seed that shows it again.
SEED ?= $(shell date +%s)
# 1 for the long tests, too: see EVERY in tests/helpers.py.
EVERY ?= 0
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
PYTEST := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
export DATA_DIR EVERY
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test every fast random runtime lint types docs dist release-check sizes copies \
	benchmark clean

# What the demo needs. A pip older than 23.1 does not find a set of versions in any useful time.
$(BIN)/larq-reactnet: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade 'pip>=23.1'
	$(PIP) install --quiet --editable '.[demo]'
	touch $@

# What all other targets need.
$(BIN)/pytest: $(BIN)/larq-reactnet
	$(PIP) install --quiet --editable '.[dev]'
	touch $@

# larq-zoo wants protobuf 3.20. For Python 3.10 that is compiled code; for a newer Python it is written
# in Python, and TensorFlow takes twice as long for each graph. So the tests run with a compiled
# protobuf there, and with the tensorflow-datasets that fits it. `make test PROTOBUF=` leaves the
# versions that a user gets.
PROTOBUF ?= protobuf==4.25.* tensorflow-datasets==4.9.3 array-record
IS_SLOW := from google.protobuf.internal import api_implementation as it; exit(it.Type() != 'python')

# The runtime from its folder, then what it needs.
# It is compiled beforehand, by `make --jobs=2` while pip installs the rest.
RUNTIME := $(addprefix runtime/,pyproject.toml CMakeLists.txt cmake/* src/* src/*/* python/*/*.py python/*/*/*.py)
runtime/build/native.done: $(wildcard $(RUNTIME))
	$(MAKE) -C runtime native VENV=.venv PYTHON=$(PYTHON)
$(BIN)/larq-reactnet-runtime: $(BIN)/pytest runtime/build/native.done
	$(MAKE) -C runtime install VENV=.venv PYTHON=$(PYTHON) INTO=$(abspath $(BIN)/python)
	$(PIP) install --quiet --editable '.[dev,runtime]'
	if [ -n '$(PROTOBUF)' ] && $(BIN)/python -c "$(IS_SLOW)"; then \
		$(PIP) install --quiet --no-deps --no-warn-conflicts $(PROTOBUF); fi
	touch $@

# PyTorch, which only the tests of its checkpoints need. On Linux, PyPI has a build that brings
# gigabytes of CUDA libraries. The build for CPUs has the same version with "+cpu" at its end, which
# PyPI never has, so a request for that version cannot bring the large one: pip takes it from where
# it is set up to look (`find-links` in its configuration), or else from PyTorch's own index. On other
# systems PyPI's build is the one for CPUs. Where neither is to be had, the tests say what they skip.
TORCH ?= torch==2.13.0$(if $(filter Linux,$(shell uname -s)),+cpu)
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
$(BIN)/torchrun: $(BIN)/larq-reactnet-runtime
	$(PIP) install --quiet '$(TORCH)' \
		|| $(PIP) install --quiet --extra-index-url $(TORCH_INDEX) '$(TORCH)' \
		|| echo 'There is no $(TORCH) for this Python: the tests that need it are skipped.'
	touch $@

demo: $(BIN)/larq-reactnet
	$(BIN)/python examples/digits.py --output demo
	$(BIN)/python examples/photos.py --output demo $(if $(DATA_DIR),--data-dir '$(DATA_DIR)')

test: lint types runtime $(BIN)/torchrun
	$(PYTEST)

# With compilers and emulators for microcontrollers, 180 MB. A script that ends with 77 has said what
# is missing on this machine.
every:
	tools/mcu/setup.sh || test $$? -eq 77
	$(MAKE) test EVERY=1

fast: $(BIN)/larq-reactnet-runtime
	$(PYTEST) -m 'not slow'

random: $(BIN)/torchrun
	$(PYTEST) -p randomly --randomly-seed=$(SEED)

# Its tests are run in its folder, which has settings of its own; then a little of its sanitizers,
# fuzzers and emulator, where there are.
runtime: $(BIN)/larq-reactnet-runtime
	cd runtime && $(abspath $(BIN))/python -m pytest -q -n $(WORKERS)
	$(MAKE) -C runtime check VENV=.venv PYTHON=$(PYTHON) MAIN=$(abspath $(VENV))

lint: $(BIN)/pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow an editable install into zoo/ and converters/, so it gets a plain one.
types: $(BIN)/pytest
	rm -rf build/types build/lib build/bdist.*
	$(PIP) install --quiet --no-deps --target build/types .
	cd build/types && MYPYPATH=. $(abspath $(BIN))/mypy -p larq_reactnet -p larq_reactnet_cli
	cd build/types && MYPYPATH=. $(abspath $(BIN))/mypy ../../tools

docs: $(BIN)/pytest
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

dist: $(BIN)/pytest
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m build --outdir dist .

# Whether TAG, such as v1.2.3, is the version of both distributions, and the changelog has its date.
VERSION = $(TAG:v%=%)
release-check:
	grep --quiet '^__version__ = "$(VERSION)"' larq_reactnet/_version.py
	grep --quiet '^__version__ = "$(VERSION)"' runtime/python/larq_reactnet_runtime/__init__.py
	grep --quiet 'kVersion = "$(VERSION)"' runtime/src/tflite/version.h
	grep --quiet '^version: $(VERSION)$$' CITATION.cff
	grep --quiet '^## $(VERSION) (20' CHANGELOG.md

# What both packages need is written in larq_reactnet/_shared; the runtime, which is installed without
# larq-reactnet, has copies. A test holds them equal.
COPIES := runtime/python/larq_reactnet_runtime/_shared
copies:
	rm -f $(COPIES)/*.py
	cp larq_reactnet/_shared/*.py $(COPIES)/

# The zoo's table of parameters and operations, after a change of its models.
sizes: $(BIN)/larq-reactnet
	$(BIN)/python tools/sizes.py

benchmark: $(BIN)/pytest
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/conversion.py
	$(BIN)/python benchmarks/export.py
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf $(VENV) build dist demo *.egg-info
