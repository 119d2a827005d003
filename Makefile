# Each target does everything it needs, from a fresh clone on.
#   make demo    train a small binary network on digits, export it to one bit, run it; classify
#                photographs with pretrained weights
#   make test    lint, types, and all tests, in WORKERS processes; short checks of the runtime
#   make fast    the tests that are not slow
#   make docs    the documentation, in build/docs
#   make copies  the runtime's copies of converters/_shared, after a change of those files

PYTHON ?= python3
VENV ?= .venv
# More than there are processors: tests wait for processes of their own.
WORKERS ?= 3
# Where tensorflow-datasets keeps a prepared CIFAR-10; nothing is downloaded.
DATA_DIR ?= $(wildcard ../shared/data/tfds)
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test fast runtime lint types docs sizes copies benchmark clean

# A pip older than 23.1 does not find a set of versions in any useful time.
$(BIN)/larq-reactnet: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=23.1'
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(BIN)/larq-reactnet
	$(BIN)/python examples/digits.py --output demo
	$(BIN)/python examples/photos.py --output demo $(if $(DATA_DIR),--data-dir $(DATA_DIR))

# The runtime from its folder, then what it needs, as `pip install larq-reactnet[runtime]` finds it.
RUNTIME := $(addprefix runtime/,pyproject.toml CMakeLists.txt src/* src/*/* python/*/*.py python/*/*/*.py)
$(BIN)/larq-reactnet-runtime: $(BIN)/larq-reactnet $(wildcard $(RUNTIME))
	$(MAKE) -C runtime install VENV=.venv PYTHON=$(PYTHON) INTO=$(abspath $(BIN)/python)
	$(BIN)/python -m pip install --quiet --editable '.[dev,runtime]'
	touch $@

test: lint types runtime
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup

fast: $(BIN)/larq-reactnet $(BIN)/larq-reactnet-runtime
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m 'not slow'

# Its tests are run in its folder, which has settings of its own; then a little of its sanitizers,
# fuzzers and emulator, where there are.
runtime: $(BIN)/larq-reactnet-runtime
	cd runtime && $(abspath $(BIN))/python -m pytest -q -n $(WORKERS)
	$(MAKE) -C runtime check VENV=.venv PYTHON=$(PYTHON) MAIN=$(abspath $(VENV))

lint: $(BIN)/larq-reactnet
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow an editable install into zoo/ and converters/, so it gets a plain one.
types: $(BIN)/larq-reactnet
	rm -rf build/types
	$(BIN)/python -m pip install --quiet --no-deps --target build/types .
	cd build/types && MYPYPATH=. ../../$(BIN)/mypy -p larq_reactnet

docs: $(BIN)/larq-reactnet
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What both packages need is written in converters/_shared; the runtime, which is installed without
# larq-reactnet, has copies. A test holds them equal.
COPIES := runtime/python/larq_reactnet_runtime/_shared
copies:
	rm -f $(COPIES)/*.py
	cp converters/_shared/*.py $(COPIES)/

# The zoo's table of parameters and operations, after a change of its models.
sizes: $(BIN)/larq-reactnet
	$(BIN)/python tools/sizes.py

benchmark: $(BIN)/larq-reactnet
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/conversion.py
	$(BIN)/python benchmarks/export.py

clean:
	rm -rf $(VENV) build dist demo *.egg-info
