"""What the library leaves to the interpreter, and what it says about that."""

import numpy as np
import pytest
from flatbuffers import flexbuffers
from models import Bconv, Graph, bconv_options, one_op, packed, tensor, words
from stock import ISAS, Runtime, delegate

pytestmark = pytest.mark.filterwarnings("ignore:(?s).*tf.lite.Interpreter is deprecated")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def refused(flatbuffer, message, capfd):
    """The delegate leaves the operator alone, and says why."""
    capfd.readouterr()
    with pytest.raises(RuntimeError, match="unresolved custom op") as error:
        Runtime(flatbuffer)
    assert message in str(error.value) + capfd.readouterr().err


def wrong_bconv(op=None, options=None, shapes=None, values=None, types=None, drop=()):
    """A binary convolution of which something is not as it should be."""
    op = op or Bconv(image=(5, 6), channels=64, filters=8)
    shapes, values, types = shapes or {}, values or {}, types or {}
    graph = Graph()
    right = op.values(np.random.default_rng(0))
    source = graph.tensor(
        shapes.get("input", (1, *op.image, words(op.channels))), types.get("input", "int32")
    )
    inputs = [source]
    for name in ("filter", "multiplier", "bias", "thresholds"):
        inputs.append(-1 if name in drop else graph.constant(values.get(name, right[name])))
    target = graph.tensor(op.output_shape, types.get("output", op.output))
    right = bconv_options(
        op.channels, op.padding, op.pad_values, op.strides, op.dilations, op.activation
    )
    if not isinstance(options, bytes):
        options = {k: v for k, v in {**right, **(options or {})}.items() if v is not None}
    graph.operator("LceBconv2d", inputs, [target], options)
    return graph.flatbuffer([source], [target])


WRONG = {
    "no stride": ({"options": {"stride_height": None}}, "stride_height is missing"),
    "stride 0": ({"options": {"stride_width": 0}}, "stride_width is 0"),
    "negative": ({"options": {"dilation_height_factor": -1}}, "dilation_height_factor is -1"),
    "huge": ({"options": {"channels_in": 1 << 40}}, "channels_in is 1099511627776"),
    "padding": ({"options": {"padding": 2}}, "padding is 2"),
    "pad values": ({"options": {"pad_values": 7}}, "pad_values is 7"),
    "activation": ({"options": {"fused_activation_function": 4}}, "fused_activation_function is 4"),
    "text": ({"options": {"padding": "SAME"}}, "padding is missing"),
    "no options": ({"options": b""}, "is missing"),
    "channels": ({"options": {"channels_in": 65}}, "for 65 channels"),
    "few channels": ({"options": {"channels_in": 32}}, "for 32 channels"),
    "words": ({"shapes": {"input": (1, 5, 6, 3)}}, "has 3 words for 64 channels"),
    "rank": ({"shapes": {"input": (5, 6, 2)}}, "its input has the shape 5x6x2"),
    "empty": ({"shapes": {"input": (1, 0, 6, 2)}}, "its input has the shape 1x0x6x2"),
    "too large": ({"shapes": {"input": (1, 1 << 20, 1 << 20, 2)}}, "its input has the shape"),
    "input type": ({"types": {"input": "float32"}}, "its input is not int32"),
    "output type": ({"types": {"output": "int64"}}, "is not float32, int8 or int32"),
    "no scale": ({"types": {"output": "int8"}}, "has no scale"),
    "multipliers": ({"values": {"multiplier": np.ones(7, np.float32)}}, "are not 8 constants"),
    "bias rank": ({"values": {"bias": np.ones((8, 1), np.float32)}}, "are not 8 constants"),
    "bias type": ({"values": {"bias": np.ones(8, np.int32)}}, "are not 8 constants"),
    "no bias": ({"drop": ("bias",)}, "are not 8 constants"),
    "no filter": ({"drop": ("filter",)}, "its filters are not an int32 constant"),
    "filter type": ({"values": {"filter": np.ones((8, 3, 3, 2), np.float32)}}, "an int32 constant"),
    "filter rank": ({"values": {"filter": np.ones((8, 9, 2), np.int32)}}, "an int32 constant"),
    "filter words": ({"values": {"filter": np.ones((8, 3, 3, 3), np.int32)}}, "are not for 64"),
    "thresholds": ({"types": {"output": "int32"}, "drop": ("thresholds",)}, "thresholds are not"),
    "window": ({"op": Bconv(image=(5, 6), channels=64, filters=8, window=(6, 3)),
                "options": {"padding": 1}}, "its output has the shape 1x0x4x8"),
    "odd zeros": ({"op": Bconv(channels=33, pad_values=0, output="int32")}, "pad with ones"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_refused(name, capfd):
    arguments, message = WRONG[name]
    refused(wrong_bconv(**arguments), message, capfd)


def test_other_refusals(capfd):
    for flatbuffer, message in [
        (one_op("LceQuantize", tensor((1, 3), "int16"), tensor((1, 1), "int32")), "its input is"),
        (one_op("LceQuantize", tensor((1, 3)), tensor((1, 1))), "its output is not int32"),
        (one_op("LceQuantize", tensor(()), tensor((), "int32")), "has the shape a scalar"),
        (one_op("LceDequantize", tensor((1, 3)), tensor((1, 3))), "its input is not int32"),
        (one_op("LceDequantize", tensor((1, 2), "int32"), tensor((1, 3))), "shape 1x2"),
        (one_op("LceDequantize", tensor((1, 1), "int32"), tensor((1, 3), "int8")), "scale"),
        (one_op("LceBMaxPool2d", tensor((1, 4, 4, 1), "int32"), tensor((1, 2, 2, 1), "int32")),
         "filter_height is missing"),
    ]:  # fmt: skip
        refused(flatbuffer, message, capfd)


def test_outputs_that_are_no_outputs(capfd):
    """Two operators that write the same tensor, and one that writes a constant."""
    for is_constant in (False, True):
        graph = Graph()
        source = graph.tensor((1, 40))
        value = np.zeros((1, 2), np.int32) if is_constant else None
        target = graph.tensor((1, 2), "int32", value)
        for _ in range(1 if is_constant else 2):
            graph.operator("LceQuantize", [source], [target])
        message = "a constant" if is_constant else "another operator has the same output"
        refused(graph.flatbuffer([source], [target]), message, capfd)


def test_corrupt_options(rng):
    """Whatever the bytes of the options: the operator is refused or computed."""
    good = flexbuffers.Dumps(bconv_options(64))
    outcomes = set()
    image = packed(rng.choice([-1, 1], (1, 5, 6, 64)))
    for seed in range(150):
        corrupt = np.random.default_rng(seed)
        content = bytearray(good)
        for _ in range(corrupt.integers(1, 4)):
            place = corrupt.integers(len(content))
            if seed % 2:  # behind the names
                place = len(content) - 1 - place % 40
            content[place] = corrupt.integers(256) >> corrupt.integers(8)
        if seed % 5 == 0:
            content = content[: corrupt.integers(len(content))]
        elif seed % 5 == 1:
            content = corrupt.bytes(corrupt.integers(1, 300))
        flatbuffer = wrong_bconv(options=bytes(content))
        try:
            Runtime(flatbuffer).run(image)
            outcomes.add("run")
        except RuntimeError:
            outcomes.add("refused")
    assert outcomes == {"run", "refused"}


def test_delegate_options(monkeypatch, rng):
    for options, message in [
        ({"num_threads": 0}, "num_threads must be a number from 1 to 256, got 0"),
        ({"num_threads": "two"}, "got two"),
        ({"num_threads": ""}, "num_threads"),
        ({"threads": 2}, "there is no option threads, only num_threads, isa, fuse and profile"),
        ({"isa": "sse"}, "must be one of auto, .*portable on this machine, got sse"),
    ]:
        with pytest.raises(ValueError, match=message):
            delegate(**options)
    for isa in ("auto", *ISAS):
        monkeypatch.setenv("LARQ_REACTNET_ISA", isa)
        delegate()
    monkeypatch.setenv("LARQ_REACTNET_ISA", "sse")
    with pytest.raises(ValueError, match=r"LARQ_REACTNET_ISA.*got sse"):
        delegate()
    delegate(isa="portable")


@pytest.mark.parametrize("channels", [7, 9, 49])
def test_constants_of_another_number_of_channels(channels):
    """By the shapes in the file there are `channels`, but the convolution has 8 filters."""
    op = Bconv(image=(5, 6), channels=64, filters=8)
    graph = Graph()
    source = graph.tensor((1, *op.image, words(op.channels)), "int32")
    value = op.add_to(graph, source, np.random.default_rng(0))
    shape = (1, *op.image, channels)
    graph.tensors[value].shape = np.array(shape, np.int32)
    target = graph.tensor(shape)
    constant = graph.constant(np.ones((1, 1, channels), np.float32))
    graph.operator("PRELU", [value, constant], [target])
    flatbuffer = graph.flatbuffer([source], [target])
    for fuse, message in ((1, f"8 filters, and a constant of the shape 1x1x{channels}"), (0, None)):
        with pytest.raises(RuntimeError, match=message):
            Runtime(flatbuffer, fuse=fuse)
