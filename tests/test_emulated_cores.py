"""Networks in C on emulated microcontrollers: the same bits and the same scores as on this machine.

The compilers and emulators are what tools/mcu/setup.sh fetches, 180 MB. `make every` does that; in
`make test` these tests are skipped where they are not there yet.
"""

import os
from pathlib import Path

import larq_reactnet as lr

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
