"""What is found in .tflite files, against numbers counted by hand and from the Keras models."""

import larq_reactnet as lr
from larq_reactnet.converters import convert, count_operators, inspect
from larq_reactnet.converters._tflite import file as tflite

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model

BINARY = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
Input, Conv, Dense = tf.keras.layers.Input, lq.layers.QuantConv2D, lq.layers.QuantDense


@pytest.fixture(scope="module")
def small():
    """A float stem 3 to 8, a binary 8 to 8, and a classifier of 4."""
    return convert(binary_model())


@pytest.fixture(scope="module")
def chain():
    """Everything that LCE does with bits."""
    layers = [
        Input((8, 8, 3)),
        Conv(32, 3, padding="same", kernel_quantizer="ste_sign", name="stem"),
        tf.keras.layers.BatchNormalization(),
        Conv(40, 3, **BINARY, name="valid"),
        Conv(16, 3, padding="same", pad_values=1.0, dilation_rate=2, activation="relu", **BINARY),
        tf.keras.layers.MaxPool2D(2),
        lq.layers.QuantDepthwiseConv2D(
            3, input_quantizer="ste_sign", depthwise_quantizer="ste_sign", name="depthwise"
        ),
        tf.keras.layers.Flatten(),
        Dense(10, input_quantizer="ste_sign", kernel_quantizer="ste_sign", name="dense"),
        tf.keras.layers.Softmax(),
    ]
    return convert(tf.keras.Sequential(layers, name="chain"))


def lite(kind):
    """What TensorFlow Lite makes of a 3x3 convolution 3 to 16 and a dense layer 16 to 72."""
    model = tf.keras.Sequential(
        [
            Input((6, 6, 3)),
            tf.keras.layers.Conv2D(16, 3, bias_initializer="ones", name="conv"),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(72, use_bias=False, name="dense"),
        ],
        name="plain",
    )
    call = tf.function(lambda x: model(x), input_signature=[tf.TensorSpec((1, 6, 6, 3))])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function()])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        images = np.random.default_rng(0).normal(size=(2, 1, 6, 6, 3)).astype(np.float32)
        converter.representative_dataset = lambda: ([image] for image in images)
    return converter.convert()


@pytest.fixture(scope="module")
def plain():
    return lite("float32")


def named(inspection, name):
    return [operator for operator in inspection.operators if operator.name == name]


def edited(flatbuffer, edit):
    model = tflite.read(flatbuffer)
    edit(model)
    return tflite.write(model)


# Operators.


def test_operators(small):
    found = inspect(small)
    assert [(o.index, o.name, o.layer) for o in found.operators] == [
        (0, "CONV_2D", "stem"),
        (1, "LceQuantize", "binary/approx_sign"),
        (2, "LceBconv2d", "bn"),
        (3, "MEAN", "pool"),
        (4, "FULLY_CONNECTED", "output"),
    ]
    assert [o.macs for o in found.operators] == [64 * 27 * 8, 0, 64 * 72 * 8, 0, 32]
    assert [o.binary for o in found.operators] == [False, False, True, False, False]
    stem, sign, binary, _, dense = found.operators
    assert (stem.input_shapes, stem.output_shapes) == (((1, 8, 8, 3),), ((1, 8, 8, 8),))
    assert (sign.output_shapes, sign.output) == (((1, 8, 8, 1),), "1x8x8x1 x 32 bits")
    assert binary.output == "1x8x8x8"
    assert stem.bytes == {"float32_weights": 4 * 27 * 8, "biases": 4 * 8}
    # Channels are filled up to 32, and there are multipliers. The bias of zeros is that of the
    # stem, which has its bytes.
    assert binary.bytes == {"binary_weights": 8 * 9 * 4, "biases": 4 * 8}
    assert dense.bytes == {"float32_weights": 4 * 8 * 4}
    assert found.counts == count_operators(small)
    given, gives = found.inputs[0], found.outputs[0]
    assert (given.shape, given.type, given.bytes) == ((1, 8, 8, 3), "float32", 0)
    assert (gives.shape, gives.name) == ((1, 4), "StatefulPartitionedCall:0")
    assert str(gives) == "output 1x4 float32"


def test_as_the_profiler_counts(small):
    model = binary_model()
    found, ops = inspect(small), lr.profiling.ops(model)
    assert (found.binary_macs, found.float_macs) == (ops.bops, ops.flops)
    assert found.binary_share == ops.binary_share


def test_block_of_reactnet():
    inputs = Input((8, 8, 3))
    x = tf.keras.layers.Conv2D(16, 3, strides=2, padding="same", name="stem")(inputs)
    options = {"kernel_quantizer": "react_sign", "use_bias": False, "padding": "same"}
    y = Conv(16, 3, input_quantizer=lr.quantizers.RSign(), **options, name="conv3x3")(x)
    y = tf.keras.layers.BatchNormalization(name="bn3x3")(y)
    y = lr.layers.RPReLU(name="rprelu")(tf.keras.layers.Add(name="add")([x, y]))
    z = Conv(32, 1, input_quantizer=lr.quantizers.RSign(), **options, name="conv1x1")(y)
    z = tf.keras.layers.GlobalAveragePooling2D(name="pool")(z)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(5, name="logits")(z), name="block")
    found, ops = inspect(convert(model)), lr.profiling.ops(model)
    assert (found.binary_macs, found.float_macs) == (ops.bops, ops.flops)
    assert found.binary_macs == 16 * (9 * 16 * 16 + 16 * 32)
    assert found.bytes_by_kind["binary_weights"] == 4 * (9 * 16 + 32)
    assert [o.layer for o in found.left_in_float] == ["stem", "output"]
    binary = [o.layer for o in named(found, "LceBconv2d")]
    assert binary == ["bn3x3", "conv1x1"]
    layers = {layer.name for layer in model.layers}
    assert {o.layer.split("/")[0] for o in found.operators} - {"output"} <= layers


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ({"padding": "valid", "strides": 2}, "VALID"),
        ({"pad_values": 0.0}, "SAME, zeros"),
        ({"pad_values": 1.0}, "SAME, ones"),
    ],
)
def test_padding(options, padding):
    (operator,) = named(inspect(convert(binary_model(**options))), "LceBconv2d")
    convolution = operator.convolution
    assert convolution.padding == padding
    assert convolution.kernel == (3, 3)
    stride = options.get("strides", 1)
    assert convolution.stride == (stride, stride)
    assert (convolution.channels_in, convolution.channels_out) == (8, 8)
    assert (convolution.dilation, convolution.groups) == ((1, 1), 1)
    assert (convolution.activation, convolution.bits_out) == ("", False)
    assert operator.macs == (9 if stride == 2 else 64) * 72 * 8


def test_bits_out_dilation_activation(chain):
    first, second = named(inspect(chain), "LceBconv2d")
    assert str(first.convolution) == "3x3, 32 to 40 channels; VALID; bits out"
    assert str(second.convolution) == (
        "3x3, 40 to 16 channels; SAME, ones; dilation 2; ReLU; bits out"
    )
    assert first.macs == 36 * 9 * 32 * 40
    assert second.macs == 36 * 9 * 40 * 16
    assert second.bytes == {"binary_weights": 16 * 9 * 2 * 4, "biases": 16 * 4}
    assert second.output == "1x6x6x1 x 32 bits"


def test_groups():
    inputs = Input((4, 4, 64))
    x = Conv(128, 3, groups=2, padding="same", pad_values=1.0, **BINARY)(inputs)
    (operator,) = named(inspect(convert(tf.keras.Model(inputs, x))), "LceBconv2d")
    assert operator.convolution.groups == 2
    assert operator.macs == 16 * 9 * 32 * 128
    assert operator.bytes["binary_weights"] == 128 * 9 * 32 // 8


# Why it is float.


def reasons(*layers, size=(6, 6, 8)):
    model = tf.keras.Sequential([Input(size), *layers], name="m")
    return [operator.why_float for operator in inspect(convert(model)).left_in_float]


def test_reasons_of_a_chain(chain):
    found = inspect(chain)
    assert {o.layer: o.why_float for o in found.left_in_float} == {
        "stem": "its inputs are the network's own, which are real; its weights are binary",
        "depthwise": "its inputs and weights are binary, but LCE has no binary depthwise kernel",
        "dense": "its inputs and weights are binary, but LCE has no binary dense kernel: "
        "write it as a QuantConv2D",
    }


def test_reason_of_real_inputs(small):
    assert [o.why_float for o in inspect(small).left_in_float] == [
        "its inputs are the network's own, which are real; its weights are real",
        "its inputs are real (from MEAN); its weights are real",
    ]
    relu = tf.keras.layers.ReLU()
    assert reasons(relu, Conv(8, 3, kernel_quantizer="ste_sign")) == [
        "its inputs are real (from RELU); its weights are binary"
    ]
    (reason,) = reasons(tf.keras.layers.Lambda(tf.sign), Conv(8, 3, kernel_quantizer="ste_sign"))
    assert reason.startswith("its inputs come from SIGN, which is not a binary sign")
    assert reason.endswith("; its weights are binary")


@pytest.mark.parametrize(
    ("quantizer", "problem"),
    [
        (None, "its weights are real"),
        ("ste_tern", "its weights are ternary: some are 0"),
        # Two magnitudes in each filter.
        (
            lambda x: lq.math.sign(x) * tf.constant([1.0, 2.0] * 4)[:, None],
            "its weights have several magnitudes in a filter, not one",
        ),
    ],
)
def test_reason_of_weights(quantizer, problem):
    layer = Conv(8, 3, input_quantizer="ste_sign", kernel_quantizer=quantizer)
    assert reasons(layer) == [f"its inputs are binary, but {problem}"]


def test_reason_of_padding_and_groups():
    sign = lq.quantizers.SteSign()
    weights = {"kernel_quantizer": "ste_sign"}
    (reason,) = reasons(sign, tf.keras.layers.ZeroPadding2D(1), Conv(8, 3, **weights))
    assert reason == "its inputs and weights are binary, but what is padded after the sign is not"
    (reason,) = reasons(Conv(8, 3, groups=2, **BINARY))
    assert reason == (
        "its inputs and weights are binary, but each of its 2 groups has 4 channels, which is not "
        "a multiple of 32"
    )


def test_transposed():
    layer = lq.layers.QuantConv2DTranspose(
        4, 3, input_quantizer="ste_sign", kernel_quantizer="ste_sign"
    )
    model = tf.keras.Sequential([Input((6, 6, 8)), layer])
    found = inspect(convert(model))
    (operator,) = named(found, "TRANSPOSE_CONV")
    assert operator.macs == 36 * 9 * 8 * 4
    assert operator.bytes["float32_weights"] == 9 * 8 * 4 * 4
    assert operator.why_float.endswith("but LCE has no binary transposed kernel")


# Files of TensorFlow Lite alone.


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("float32", {"float32_weights": 4 * (27 * 16 + 16 * 72)}),
        ("float16", {"float16_weights": 2 * (27 * 16 + 16 * 72)}),
        # TensorFlow Lite leaves weights of less than 1024 numbers as they are.
        ("dynamic", {"float32_weights": 4 * 27 * 16, "int8_weights": 16 * 72}),
        ("int8", {"int8_weights": 27 * 16 + 16 * 72}),
    ],
)
def test_storage_of_weights(kind, weights, plain):
    flatbuffer = plain if kind == "float32" else lite(kind)
    found = inspect(flatbuffer)
    sizes = found.bytes_by_kind
    assert {key: sizes[key] for key in sizes if "weights" in key and sizes[key]} == weights
    assert sizes["biases"] == 16 * (2 if kind == "float16" else 4)
    assert sizes["metadata"] > 0
    assert sum(sizes.values()) == len(flatbuffer)
    assert (found.binary_share, found.float_macs) == (0, 16 * 27 * 16 + 16 * 72)
    conv, dense = found.left_in_float
    assert (conv.name, conv.layer, dense.name) == ("CONV_2D", "conv", "FULLY_CONNECTED")
    width = "8-bit" if kind == "int8" else "real"
    assert conv.why_float.startswith(f"its inputs are the network's own, which are {width};")
    stored = {"float32": "", "dynamic": ", stored as int8"}.get(kind, f", stored as {kind}")
    assert dense.why_float == f"its inputs are {width} (from MEAN); its weights are real{stored}"
    assert sum(sum(o.bytes.values()) for o in found.operators) == sum(
        size for key, size in sizes.items() if key not in ("metadata", "graph")
    )


def test_binary_weights_in_float16(plain):
    """Through the operator that makes them float32."""

    def edit(model):
        graph = model.subgraphs[0]
        index = next(o.inputs[1] for o in graph.operators if len(o.inputs) > 2)
        buffer = model.buffers[graph.tensors[index].buffer]
        signs = np.where(np.frombuffer(bytes(buffer.data), np.float32) < 0, -0.3, 0.3)
        buffer.data = np.frombuffer(signs.astype(np.float32).tobytes(), np.uint8)

    conv, _ = inspect(edited(plain, edit)).left_in_float
    assert conv.why_float.endswith("; its weights are binary")


def test_several_graphs_share_constants(small):
    def edit(model):
        model.subgraphs.append(model.subgraphs[0])

    once, twice = inspect(small), inspect(edited(small, edit))
    assert twice.binary_macs == 2 * once.binary_macs
    assert len(twice.tensors) == 2 * len(once.tensors)
    assert {**twice.bytes_by_kind, "graph": 0} == {**once.bytes_by_kind, "graph": 0}
    assert [o.number for o in twice.operators] == [*"01234", "1.0", "1.1", "1.2", "1.3", "1.4"]
    assert twice.operators[7].convolution == once.operators[2].convolution
    assert twice.operators[7].bytes == {}


def test_files_of_other_programs(plain):
    """With sparse weights, options that only their operator can read, and files after the model."""

    def sparse(model):
        tensor = max(model.subgraphs[0].tensors, key=lambda t: np.prod(t.shape))
        tensor.sparsity = tflite.schema().SparsityParametersT()
        model.buffers[tensor.buffer].data = np.zeros(40, np.uint8)

    def custom(model):
        operator = model.subgraphs[0].operators[0]
        model.operatorCodes[operator.opcodeIndex].customCode = "edgetpu-custom-op"
        operator.customOptions = np.frombuffer(b"\x01not a flexbuffer", np.uint8)

    dense = inspect(edited(plain, sparse)).left_in_float[-1]
    assert dense.why_float.endswith("its weights are sparse")
    assert dense.bytes == {"float32_weights": 40}
    assert inspect(edited(plain, custom)).counts["edgetpu-custom-op"] == 1

    labels = tuple(f"class {number}" for number in range(72))
    table = lr.converters.Metadata(name="plain", labels=labels)
    found = inspect(lr.converters.add_metadata(plain, table))
    assert found.bytes_by_kind["metadata"] > inspect(plain).bytes_by_kind["metadata"] + 72 * 8
    assert found.bytes_by_kind["graph"] < inspect(plain).bytes_by_kind["graph"] + 200


def test_unknown_operator(plain):
    def edit(model):
        model.operatorCodes[0].builtinCode = 5000

    with pytest.raises(ValueError, match="operator code 5000 is unknown"):
        inspect(edited(plain, edit))
