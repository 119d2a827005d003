"""Networks in C on emulated microcontrollers: the same bits and the same scores as on this machine.

The compilers and emulators are what tools/mcu/setup.sh fetches, 180 MB. `make every` does that; in
`make test` these tests are skipped where they are not there yet.
"""

import os
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.converters._c.code import kernel_sources
from larq_reactnet.converters._c.fixed import by_fours

import numpy as np
import pytest
import tensorflow as tf
from emulated_cores import (
    CORES,
    HOST,
    NoToolchainError,
    build,
    network_program,
    run,
    sizes,
    weigh_program,
)
from helpers import EVERY, every
from sklearn.datasets import load_sample_image

pytestmark = pytest.mark.slow
FIXTURES = Path(__file__).parent / "fixtures" / "8897b1c"
DATA_DIR = os.environ.get("DATA_DIR")
CHECKED = CORES if EVERY else {name: CORES[name] for name in ("m4f", "rv32imac")}


def exported(content, folder, name, **options):
    """The folder with the C of a `.tflite`."""
    options |= {"verify": False, "progress": False}
    lr.converters.export_c(content, folder / "c", name=name, **options)
    return folder / "c" / "src"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A narrow DoReFa-Net that was trained on the digits, in C."""
    content = (FIXTURES / "model_int8.tflite").read_bytes()
    folder = tmp_path_factory.mktemp("digits") / "c"
    return lr.converters.export_c(content, folder, name="digits", verify=False, progress=False)


@pytest.fixture(scope="module")
def digits(report):
    """That network, and two digits."""
    metadata = lr.converters.read_metadata((FIXTURES / "model_int8.tflite").read_bytes())
    images = np.load(FIXTURES / "expected.npz")["run/images"][:2]
    pixels = images * np.float32(metadata.std) + np.float32(metadata.mean)
    return "digits", report.folder / "src", pixels.round().astype(np.uint8)


@pytest.fixture(scope="module")
def reactnet_file():
    """A narrow ReActNet-A, with real maps, and two digits."""
    tf.keras.utils.set_random_seed(0)
    data = lr.zoo.datasets.load("digits", batch_size=32, augmentation=None)
    model = lr.zoo.ReActNetA(
        input_shape=data.image_shape, num_classes=10, width=0.25, stem_strides=1
    )
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            values = [np.random.normal(1, 0.3, v.shape) for v in layer.get_weights()]
            layer.set_weights([np.abs(value) for value in values])
    pixels = (data.test_arrays()[0][:2] * 127.5 + 127.5).round().astype(np.uint8)
    metadata = lr.converters.Metadata(mean=(127.5,), std=(127.5,))
    return lr.converters.add_metadata(lr.converters.convert(model), metadata), pixels


@pytest.fixture(scope="module")
def reactnet(reactnet_file, tmp_path_factory):
    content, pixels = reactnet_file
    return "reactnet", exported(content, tmp_path_factory.mktemp("reactnet"), "reactnet"), pixels


@pytest.fixture(scope="module")
def fixed(reactnet_file, tmp_path_factory):
    """The same in fixed point."""
    content, pixels = reactnet_file
    folder = tmp_path_factory.mktemp("fixed")
    return "fixed", exported(content, folder, "fixed", arithmetic="int16"), pixels


@pytest.fixture(scope="module")
def dorefa(tmp_path_factory):
    """DoReFa-Net with the weights of the package and images of CIFAR-10. It gives logits."""
    model = lr.zoo.create(
        "bnn_plus_dorefanet",
        weights="bnn_plus_dorefanet_cifar10_short",
        classifier_activation=None,
    )
    mean, std = (tuple(map(float, s)) for s in lr.zoo.datasets.STATISTICS["cifar10"])
    if DATA_DIR:
        data = lr.zoo.datasets.load("cifar10", batch_size=32, data_dir=DATA_DIR, augmentation=None)
        images = data.test_arrays(4)[0] * np.float32(std) + np.float32(mean)
    else:
        images = load_sample_image("flower.jpg")[None, 100:356:8, 200:456:8]
    content = lr.converters.convert(model)
    content = lr.converters.add_metadata(content, lr.converters.Metadata(mean=mean, std=std))
    sources = exported(content, tmp_path_factory.mktemp("dorefa"), "dorefa")
    return "dorefa", sources, images.round().astype(np.uint8)


NETWORKS = [
    "digits",
    *(pytest.param(name, marks=every) for name in ("reactnet", "fixed", "dorefa")),
]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return request.getfixturevalue(request.param)


def lines(core, network, folder, *flags):
    """What the program of a network prints on a core."""
    name, sources, images = network
    source = network_program(name, images, folder)
    includes = (f"-I{sources}", f"-I{folder}")
    try:
        program = build(core, folder / core.kind, [source], ("-O1", *includes, *flags))
    except NoToolchainError as error:
        pytest.skip(str(error))
    return run(core, program)


@pytest.fixture(scope="module")
def here(network, tmp_path_factory):
    return lines(HOST, network, tmp_path_factory.mktemp("host"), "-DTENSORS")


@pytest.mark.parametrize("core", CHECKED.values(), ids=CHECKED)
def test_same_bits_and_scores(core, network, here, tmp_path):
    there = lines(core, network, tmp_path, "-DTENSORS")
    images = len(network[2])
    assert len(there["score"]) == 10 * images
    assert len(there["tensor"]) >= 8 * images
    assert len(set(here["score"])) > 5 * images
    assert there == here


def scores(found):
    bits = np.array([bits for (bits,) in found["score"]], np.uint32)
    return bits.view(np.float32).reshape(-1, 10)


@every
def test_contracted(dorefa, tmp_path):
    """An FPU that rounds two operations in one step gives other bits; scores stay close."""
    name, sources, images = dorefa
    (tmp_path / "other").mkdir()
    for path in sources.iterdir():
        text = path.read_text().replace("fp-contract=off", "fp-contract=fast")
        (tmp_path / "other" / path.name).write_text(text)
    here = lines(HOST, dorefa, tmp_path, "-DTENSORS")
    other = (name, tmp_path / "other", images)
    there = lines(CORES["m7"], other, tmp_path, "-DTENSORS", "-O2")
    assert there != here
    np.testing.assert_allclose(scores(there), scores(here), atol=1e-4)


def numbers(name, ctype, values):
    return f"static const {ctype} {name}[] = {{{', '.join(map(str, np.ravel(values)))}}};\n"


KERNELS = r"""
#include <string.h>
#include "machine.h"
%s
static void line(const char *word, uint32_t number) {
  char text[20], *end = text;
  while (*word != 0) *end++ = *word++;
  *end++ = ' ';
  for (int shift = 28; shift >= 0; shift -= 4) *end++ = "0123456789abcdef"[number >> shift & 15];
  *end++ = '\n', *end = 0;
  machine_print(text);
}

int main(void) {
  uint32_t memory[14];
  int32_t sums[5];
  uint64_t took = 0;
  for (int32_t size = 1; size <= 28; ++size) {
    const k_fixed_pixels conv = {{1, size, 1, size, 1, 1, 1, 1, 0, 0}, 1, 5, 0, means,
                                 weights_by_fours + firsts[size - 1], shifts, offsets};
    took -= machine_instructions();
    k_conv2d_fixed_pixels(&conv, pixels, 0, 0, (int16_t *)(void *)memory, sums);
    took += machine_instructions();
    for (int f = 0; f < 5; ++f) line("conv", (uint32_t)sums[f]);
    /* Numbers and weights begin at even and odd places. */
    took -= machine_instructions();
    k_dot_fixed(large + size, large + 28, shifts, offsets, size, 5, sums);
    took += machine_instructions();
    for (int f = 0; f < 5; ++f) line("dense", (uint32_t)sums[f]);
  }
  line("took", (uint32_t)(took * machine_unit));
  return 0;
}
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    """A program that multiplies 1 to 28 numbers with 5 filters, and what it has to print."""
    rng = np.random.default_rng(2)
    pixels, small = rng.integers(0, 256, 28), rng.integers(-9000, 9001, (5, 28))
    large = rng.choice([-32767, 32767, -20000, 3], 28 * 6)
    shifts, offsets = np.array([6, 7, 8, 6, 9]), rng.integers(-9000, 9001, 5)

    def scaled(sums):
        return [(int(s) >> (b - 1)) + 1 >> 1 for s, b in zip(sums, shifts, strict=True)] + offsets

    expected, by_4 = {"conv": [], "dense": []}, []
    for size in range(1, 29):
        by_4.append(by_fours(small[:, :size]).ravel())
        expected["conv"] += [*scaled(small[:, :size] @ (16 * pixels[:size] - 1900))]
        dense = large[28 : 28 + 5 * size].reshape(5, size)
        sums = dense @ large[size : 2 * size]
        expected["dense"] += [*scaled(sums)]
    assert np.abs(sums).max() > 2**31
    firsts = np.cumsum([0, *map(len, by_4)])[:-1]
    source = tmp_path_factory.mktemp("kernels") / "kernels.c"
    arrays = (("pixels", "uint8_t", pixels), ("means", "int16_t", [1900]),
              ("weights_by_fours", "int16_t", np.concatenate(by_4)), ("large", "int16_t", large),
              ("firsts", "int32_t", firsts), ("shifts", "int8_t", shifts),
              ("offsets", "int32_t", offsets))  # fmt: skip
    code = kernel_sources(("conv2d_fixed_pixels", "dot_fixed"), "k", "int16")
    source.write_text(KERNELS % (code + "".join(numbers(*array) for array in arrays)))
    return source, expected


def run_kernels(core, kernels, tmp_path, *flags):
    """The instructions that the program takes, if it prints what it has to."""
    source, expected = kernels
    try:
        found = run(core, build(core, tmp_path / f"kernels{len(flags)}", [source], flags))
    except NoToolchainError as error:
        pytest.skip(str(error))
    for name, values in expected.items():
        assert np.array(found[name], np.uint32).astype(np.int32).ravel().tolist() == values, name
    return found["took"][0][0]


@pytest.mark.parametrize("name", [name for name in CHECKED if name != "m4f"])
def test_products_of_any_number_of_inputs(name, kernels, tmp_path):
    """Odd and even, with weights that are aligned and not, and sums that need more than 32 bits."""
    run_kernels(CORES[name], kernels, tmp_path)


def test_pairs_in_one_instruction(kernels, tmp_path):
    """With DSP instructions, the same in fewer of them, compiled without a warning."""
    strict = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
    core = CORES["m4f"]
    took = run_kernels(core, kernels, tmp_path, *strict)
    plain = run_kernels(core, kernels, tmp_path, "-U__ARM_FEATURE_SIMD32")
    assert took < 0.8 * plain, (took, plain)


def test_counts_and_sizes(report, digits, tmp_path):
    """What the benchmark is made of: instructions, stack, and what the linker says."""
    core = CORES["m4f"]
    found = lines(core, digits, tmp_path)
    stages = sum(high << 32 | low for high, low in found["stage"])
    count = sum(high << 32 | low for high, low in found["run"])
    assert stages <= count < stages + 2000, "all but the last return are stages"
    assert 1e5 < count < 1e8
    assert 100 < found["stack"][0][0] < 4000
    name, sources, _ = digits
    program = build(core, tmp_path / "weigh", [weigh_program(name, tmp_path)], (f"-I{sources}",))
    taken = sizes(core, program)
    assert report.flash_bytes < taken.flash < report.flash_bytes + 20_000
    assert report.ram_bytes <= taken.ram < report.ram_bytes + 32
