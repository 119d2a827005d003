"""C source of small networks: it computes what the `.tflite` does, in every kind of layer.

`export_c` itself compares bits in front of binary layers and scores with LCE's interpreter; the
tests look at what it found, at the C that compilers see, and that wrong C is refused.
"""

import re
import shutil
import subprocess

import larq_reactnet as lr
from larq_reactnet.converters._c.writer import network
from larq_reactnet.converters.proving_c import prove_c, refuse_unproved_c

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model

layers = tf.keras.layers
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
METADATA = lr.converters.Metadata(
    name="small",
    labels=('a "quoted" one', "b??/", "ü", "d"),
    mean=(120, 110, 100),
    std=(60, 61, 62),
)


def quantized(filters, size=3, **arguments):
    arguments = {"padding": "same", "pad_values": 1.0, "use_bias": False, **arguments}
    return lq.layers.QuantConv2D(
        filters, size, input_quantizer="ste_sign", kernel_quantizer="ste_sign", **arguments
    )


def randomized(model):
    """The same model with other statistics of batch normalization than those of the beginning."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            count = len(layer.get_weights()[-1])
            scale = rng.normal(1, 0.5, count)
            shift, mean = rng.normal(size=count), 3 * rng.normal(size=count)
            rest = [shift, mean, rng.uniform(0.5, 9, count)]
            layer.set_weights([scale, *rest] if layer.scale else rest)
    return model


def bits():
    """Signs all the way: thresholds, bit pooling, strides, dilation, all kinds of padding."""
    x = inputs = layers.Input((9, 10, 3))
    x = layers.Conv2D(40, 3, padding="same", strides=2)(layers.ZeroPadding2D(1)(x))
    x = layers.BatchNormalization()(layers.MaxPool2D(2, strides=1, padding="same")(x))
    for number, arguments in enumerate(
        (
            {"filters": 33},
            {"filters": 70, "size": (3, 2), "padding": "valid"},
            {"filters": 64, "dilation_rate": 2},
            {"filters": 32, "strides": 2, "pad_values": 0.0},
        )
    ):
        x = quantized(**arguments)(x)
        if number == 2:
            x = layers.MaxPool2D(2, strides=1)(x)
        x = layers.BatchNormalization(scale=number != 1)(x)
    x = quantized(16, 1)(x)
    x = layers.Dense(4)(layers.Flatten()(x))
    return tf.keras.Model(inputs, layers.Softmax()(x))


def shortcuts():
    """Real maps beside the bits, as in ReActNet and BinaryDenseNet."""
    x = inputs = layers.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu6", use_bias=False)(x)
    y = layers.BatchNormalization()(quantized(8, pad_values=0.0, strides=2)(x))
    x = layers.Add()([y, layers.AveragePooling2D(3, 2, padding="same")(x)])
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal")(x)
    y = layers.BatchNormalization()(quantized(16, 1)(x))
    x = layers.Add()([y, layers.Concatenate()([x, x])])
    x = layers.Concatenate()([x, layers.BatchNormalization()(quantized(5)(x))])
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu")(x)
    x = tf.pad(
        layers.BatchNormalization()(x), [(0, 0), (1, 0), (0, 1), (0, 0)], constant_values=0.3
    )
    x = layers.MaxPool2D(2)(tf.concat([x[..., 9:], x[..., :-33]], -1))
    scale = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(42, 1, activation="sigmoid")(scale)])
    x = layers.GlobalAveragePooling2D()(x)
    return tf.keras.Model(inputs, layers.Dense(4)(x))


def pooled():
    """A pool behind a convolution whose windows do not overlap, binary and real."""
    x = inputs = layers.Input((8, 8, 3))
    x = layers.MaxPool2D(2)(layers.Conv2D(36, 3, padding="same", activation="relu")(x))
    x = layers.BatchNormalization()(x)
    x = layers.MaxPool2D(2)(quantized(6, activation="relu")(x))
    x = layers.BatchNormalization()(x)
    return tf.keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


def signs_of_pixels():
    """A network whose first layer is binary."""
    x = inputs = layers.Input((8, 8, 3))
    x = layers.BatchNormalization()(quantized(4)(x))
    return tf.keras.Model(inputs, layers.Dense(300, activation="relu")(layers.Flatten()(x)))


def zeros():
    """A network of which black pixels give 0 in front of the signs."""
    x = inputs = layers.Input((8, 8, 3))
    x = quantized(6)(layers.Conv2D(5, 1)(x))
    return tf.keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)))


MODELS = (bits, shortcuts, pooled, signs_of_pixels)


@pytest.fixture(scope="module")
def files():
    """The `.tflite` of each model, converted once."""
    made = {}

    def file(build):
        if build not in made:
            tf.keras.utils.set_random_seed(1)
            content = lr.converters.convert(randomized(build()))
            labels = METADATA if build is not signs_of_pixels else None
            if labels is None:
                labels = lr.converters.Metadata(mean=(120, 110, 100), std=(60, 61, 62))
            made[build] = lr.converters.add_metadata(content, labels)
        return made[build]

    return file


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("input_type", ["uint8", "int8", "float32"])
def test_same_bits_and_scores(build, input_type, files, tmp_path):
    report = lr.converters.export_c(
        files(build), tmp_path / "c", input_type=input_type, progress=False, verify_limit=16
    )
    proof = report.proof
    assert proof.is_equal, proof
    assert proof.signs > 0
    assert proof.near <= 2, "binary networks of this size have hardly any near ties"
    assert proof.agreement.images == 16
    # Only there a pool and batch normalization are between a binary convolution and a sign.
    assert bool(report.network.thresholds) == (build is bits)


@pytest.mark.parametrize("storage", ["int8", "float16"])
def test_dense_layers_as_they_are_stored(storage, files, tmp_path):
    content = lr.converters.compress(files(signs_of_pixels), storage)
    assert content != files(signs_of_pixels)
    plain = lr.converters.export_c(files(signs_of_pixels), tmp_path / "plain", verify=False)
    report = lr.converters.export_c(content, tmp_path / "c", progress=False, verify_limit=8)
    assert report.proof.is_equal, report
    assert report.flash_bytes < plain.flash_bytes * 0.7


def test_of_a_keras_model(tmp_path):
    images = np.random.default_rng(0).normal(size=(20, 8, 8, 3)).astype(np.float32)
    report = lr.converters.export_c(
        binary_model(),
        tmp_path / "c",
        name="tiny",
        verify_with=images,
        input_type="float32",
        storage="float32",
        progress=False,
    )
    assert report.export.agreement.errors
    assert report.proof.is_equal
    assert {path.name for path in (tmp_path / "c" / "src").iterdir()} >= {"tiny.h", "tiny.c"}
    assert "bits in C" in str(report)


@pytest.fixture(scope="module")
def folders(files, tmp_path_factory):
    """Two networks in C, not verified."""
    folder = tmp_path_factory.mktemp("c")
    for name, build in (("first", bits), ("second", shortcuts)):
        lr.converters.export_c(files(build), folder / name, name=name, verify=False)
    return folder


@pytest.mark.parametrize(
    "compiler", [("gcc", "-std=c99"), ("clang", "-std=c99"), ("g++", "-x", "c++", "-std=c++11")]
)
def test_compiles_without_a_warning(compiler, folders):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"There is no {compiler[0]}.")
    sources = [str(path) for path in sorted(folders.glob("*/src/*.c"))]
    assert len(sources) == 4
    done = subprocess.run(
        [*compiler, *STRICT, "-fsyntax-only", *sources], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:2000]


def test_needs_nothing_of_an_operating_system(folders):
    """What the C asks of others is three functions, and nothing of it can be changed."""
    objects = []
    for path in folders.glob("*/src/*.c"):
        objects.append(path.with_suffix(".o"))
        subprocess.run(["cc", "-O2", "-c", path, "-o", objects[-1]], check=True)
    listed = subprocess.run(["nm", *objects], capture_output=True, text=True, check=True).stdout
    rows = [line.split()[-2:] for line in listed.splitlines() if line and not line.endswith(":")]
    own = ("first_", "second_")
    wanted = {name for kind, name in rows if kind == "U" and not name.startswith(own)}
    assert wanted <= {"memcpy", "memset", "expf", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    assert not [
        name
        for kind, name in rows
        if kind in "DBCdb"
        and "LOCAL" not in name
        and (
            not name.startswith(tuple(f"{o}{k}" for o in own for k in ("conv", "affine", "labels")))
        )
    ]
    public = {name for kind, name in rows if kind in "TRDB"}
    assert all(name.startswith(own) for name in public)


MAIN = """
#include <stdio.h>
#include "first/src/first.h"
#include "second/src/second.h"
static uint32_t arena[(FIRST_ARENA_BYTES + SECOND_ARENA_BYTES) / 4 + 2];
static uint8_t image[9 * 10 * 3];
int main(void) {
  float scores[FIRST_SCORES + SECOND_SCORES];
  if (first_run(image, scores, 0) != -1) return 1;
  if (first_run(image, scores, (char *)arena + 1) != -1) return 2;
  arena[FIRST_ARENA_BYTES / 4] = 0x12345678u;
  if (first_run(image, scores, arena) != 0) return 3;
  if (arena[FIRST_ARENA_BYTES / 4] != 0x12345678u) return 4;
  if (second_run(image, scores + FIRST_SCORES, arena) != 0) return 5;
  for (int i = 0; i < FIRST_SCORES + SECOND_SCORES; ++i) printf("%.9g\\n", (double)scores[i]);
  puts(first_labels[0]); puts(second_labels[2]);
  return 0;
}
"""


def test_two_networks_in_one_program(folders, files):
    """They do not collide, stay in their arenas, and refuse what they cannot use."""
    (folders / "main.c").write_text(MAIN)
    sources = [folders / "main.c", *folders.glob("*/src/*.c")]
    program = folders / "program"
    sanitize = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    subprocess.run(["cc", "-std=c99", *sanitize, *sources, "-o", program, "-lm"], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *numbers, quoted, umlaut = done.stdout.splitlines()
    assert (quoted, umlaut) == ('a "quoted" one', "ü")
    black = [
        ((0 - np.array(METADATA.mean)) / METADATA.std).astype(np.float32)
        * np.ones(shape, np.float32)
        for shape in ((1, 9, 10, 3), (1, 8, 8, 3))
    ]
    wanted = [
        lr.converters.predict_tflite(files(build), image, engine="lce", progress=False)[0]
        for build, image in zip((bits, shortcuts), black, strict=True)
    ]
    np.testing.assert_allclose(
        np.array(numbers, float), np.concatenate(wanted), rtol=1e-4, atol=1e-4
    )


def test_wrong_c_is_refused(files, monkeypatch):
    """One weight that is another, and one threshold, are found, for all kinds of processors."""
    monkeypatch.setenv("CC", "cc -O0")  # which compiles in half of the time
    for change in (r"uint32_t model_weights", "starts", "rows", "limits"):
        written = network(files(bits), "model", "float32", METADATA)
        text = written.files["model_weights.c"]
        at = re.search(rf"{change}_\d+\[\d+\] = {{\s+", text).end()
        first = text[at:].split(",")[0]
        other = str(int(first.rstrip("u"), 0) ^ 0xFE) + "u" * first.endswith("u")
        written.files["model_weights.c"] = text[:at] + other + text[at + len(first) :]
        images = np.random.default_rng(0).normal(size=(8, 9, 10, 3)).astype(np.float32)
        proof = prove_c(written, files(bits), images, images, progress=False)
        assert proof.wrong > 0
        with pytest.raises(lr.converters.ExportError, match="bits are others, first in front of"):
            refuse_unproved_c(proof, 0.99)


def changed(files, build, old, new):
    """The C of a model in which something is another, and its proof for four black images."""
    written = network(files(build), "model", "float32", METADATA)
    for name, text in written.files.items():
        written.files[name] = text.replace(old, new)
    assert any(new in text for text in written.files.values())
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype(np.float32)
    images[:, :4] = 0
    return prove_c(written, files(build), images, images, progress=False)


@pytest.mark.parametrize(
    ("old", "new", "is_right"),
    [
        # Black pixels become 0 in both, and then something smaller than rounding.
        ("] = sum + bias", "] = -1e-7f + sum + bias", True),
        ("] = sum + bias", "] = -1e-1f + sum + bias", False),
        ("< 0) word", "<= 0) word", False),
    ],
)
def test_numbers_next_to_0(old, new, is_right, files):
    """A number of exactly 0 may become another sign by rounding, and by nothing else."""
    proof = changed(files, zeros, old, new)
    assert proof.near == 4
    assert proof.is_equal == is_right
    assert bool(proof.wrong) != is_right
