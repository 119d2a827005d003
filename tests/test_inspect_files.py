"""The inspector on corrupt and hostile files, its table, its page and its command."""

import json
import random

from larq_reactnet.converters import convert, inspect
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.inspection_page import html
from larq_reactnet_cli import main

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from flatbuffers import flexbuffers
from helpers import binary_model


@pytest.fixture(scope="module")
def small():
    """A float stem 3 to 8, a binary 8 to 8, and a classifier of 4."""
    return convert(binary_model())


@pytest.fixture(scope="module")
def other():
    """Two binary convolutions, between which are bits only, and a dense layer of bits."""
    binary = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
    layers = [
        tf.keras.layers.Input((8, 8, 8)),
        lq.layers.QuantConv2D(32, 3, use_bias=False, **binary),
        tf.keras.layers.BatchNormalization(),
        lq.layers.QuantConv2D(4, 3, pad_values=1.0, padding="same", use_bias=False, **binary),
        tf.keras.layers.Flatten(),
        lq.layers.QuantDense(5, **binary),
    ]
    return convert(tf.keras.Sequential(layers, name="other"))


def edited(flatbuffer, edit):
    model = tflite.read(flatbuffer)
    edit(model)
    return tflite.write(model)


# Corrupt files.


def check_or_refuse(flatbuffer):
    try:
        found = inspect(flatbuffer)
    except ValueError:
        with pytest.raises(ValueError, match=r"not a TensorFlow Lite model|is corrupt: ."):
            inspect(flatbuffer)
        return False
    assert sum(found.bytes_by_kind.values()) == len(flatbuffer)
    assert min(found.bytes_by_kind.values()) >= 0
    assert 0 <= found.binary_share <= 1
    assert str(found)
    assert html(found, "x").endswith("</html>\n")
    return True


def test_cut_files(other):
    for end in np.linspace(0, len(other) - 1, 50, dtype=int):
        check_or_refuse(other[:end])
    assert not check_or_refuse(other[: len(other) // 2])


def test_flipped_bits(small, other):
    random_ = random.Random(0)
    valid = 0
    for number in range(300):
        content = bytearray(small if number % 2 else other)
        content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
        valid += check_or_refuse(bytes(content))
    assert 0 < valid < 300


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("padding", 2, "LceBconv2d has the padding 2"),
        ("pad_values", -1, "LceBconv2d has the pad_values -1"),
        ("channels_in", 64, "LceBconv2d has 64 channels"),
        ("stride_width", None, "LceBconv2d has the stride_width None"),
        ("channels_in", "8", "LceBconv2d has the channels_in 8"),
    ],
)
def test_wrong_options(small, key, value, problem):
    def edit(model):
        operator = model.subgraphs[0].operators[2]
        options = {**tflite.op_options(operator), key: value}
        options = {name: item for name, item in options.items() if item is not None}
        operator.customOptions = np.frombuffer(bytes(flexbuffers.Dumps(options)), np.uint8)

    with pytest.raises(ValueError, match=f"is corrupt: an {problem}"):
        inspect(edited(small, edit))


# What people and programs read.


def test_text(small):
    text = str(inspect(small))
    assert "binary weights      288 bytes" in text
    assert "binary share of MACs  72.68% of 50,720" in text
    assert "3x3, 8 to 8 channels; SAME, zeros" in text
    assert "0 stem (CONV_2D): its inputs are the network's own" in text


def hostile(model):
    graph = model.subgraphs[0]
    for tensor in graph.tensors:
        tensor.name = "m/<script>alert('1')</script>&\x1b[31m\u202e/Conv"
    operator = graph.operators[1]
    model.operatorCodes[operator.opcodeIndex].customCode = "<img src=x onerror=alert(1)>"


def test_names_are_escaped(small):
    found = inspect(edited(small, hostile))
    page = html(found, "<b>\"model'.tflite")
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(&#x27;1&#x27;)" in page
    assert "\x1b" not in page + str(found)
    assert "\u202e" not in page + str(found)


def test_page_is_one_file(other):
    page = html(inspect(other), "other.tflite")
    for outside in ("http:", "https:", "src=", "url(", "@import", "<script", "<link", "href="):
        assert outside not in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<tr") == 2 + 7 + len(inspect(other).tensors)
    assert "82,944" in page
    assert "has no binary dense kernel" in page
    assert html(inspect(other), "other.tflite") == page


def run(*arguments):
    return CliRunner().invoke(main, ["inspect", *map(str, arguments)])


def test_command(small, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(small)
    assert run(path).output == f"{inspect(small)}\n"
    assert json.loads(run(path, "--json").output) == inspect(small).as_dict()
    done = run(path, "--html", tmp_path / "page.html")
    assert done.exit_code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page == html(inspect(small), "model.tflite")
    both = run(path, "--json", "--html", tmp_path / "other.html")
    assert json.loads(both.output) == inspect(small).as_dict()
    assert (tmp_path / "other.html").read_text(encoding="utf-8") == page


def test_command_fails(small, tmp_path):
    path, corrupt = tmp_path / "model.tflite", tmp_path / "corrupt.tflite"
    path.write_bytes(small)
    corrupt.write_bytes(small[:1000])
    for arguments, problem in [
        ((corrupt, "--html", tmp_path / "page.html"), "is corrupt"),
        ((tmp_path / "missing.tflite", "--html", tmp_path / "page.html"), "There is no file"),
        ((tmp_path,), "is not an ordinary file"),
        ((path, "--html", path), "another file"),
        ((path, "--html", tmp_path / "folder" / "page.html"), "no folder"),
    ]:
        done = run(*arguments)
        assert done.exit_code != 0
        assert problem in done.output
    assert path.read_bytes() == small
    assert sorted(file.name for file in tmp_path.iterdir()) == ["corrupt.tflite", "model.tflite"]
