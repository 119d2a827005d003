"""Compressed dense layers: their values, their place in the file, and what they compute."""

from larq_reactnet.converters import Interpreter, compress, convert, count_operators, predict_tflite
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.file import op_name

import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, model_of, noise, randomized
from tflite_edits import dense_layers, edited, network

layers = tf.keras.layers


@pytest.fixture(scope="module")
def converted():
    """The network, its file, and images."""
    model = network()
    return model, convert(model), noise(model, np.random.default_rng(1), 20)


def with_weights(flatbuffer, values, which=0):
    """The file with other weights in a dense layer."""

    def change(model):
        _, tensor, old = dense_layers(model)[which]
        data = np.broadcast_to(np.asarray(values, np.float32), old.shape).tobytes()
        model.buffers[tensor.buffer].data = np.frombuffer(data, np.uint8)

    return edited(flatbuffer, change)


def features(flatbuffer, images):
    """What the dense layer of the file takes."""

    def change(model):
        graph = model.subgraphs[0]
        graph.outputs = np.array([dense_layers(model)[0][0].inputs[0]], np.int32)
        model.signatureDefs = None

    return predict_tflite(edited(flatbuffer, change), images, engine="lce", progress=False)


def run(flatbuffer, images, **options):
    with Interpreter(flatbuffer, **options) as interpreter:
        return np.concatenate([interpreter.run(image[None])[0] for image in images])


def test_int8(converted):
    model, flatbuffer, images = converted
    small = compress(flatbuffer)
    assert small == compress(flatbuffer, "int8")
    real, bias = (weight.numpy().astype(np.float64) for weight in model.get_layer("head").weights)
    ((_, tensor, values),) = dense_layers(tflite.read(small))
    assert values.dtype == np.int8
    scales = tensor.quantization.scale.astype(np.float64)
    assert not tensor.quantization.zeroPoint.any()
    np.testing.assert_allclose(scales, np.abs(real).max(axis=0) / 127, rtol=1e-6)
    assert (np.abs(values.astype(int)).max(axis=1) == 127).all()
    weights = values.T * scales
    assert (np.abs(weights - real) <= scales / 2 * (1 + 1e-6)).all()
    assert len(flatbuffer) - len(small) > 1.5 * real.size  # of 3, but for scales and operator

    # The engines compute with these weights in float32: nothing else is rounded to 8 bits.
    expected = features(flatbuffer, images).astype(np.float64) @ weights + bias
    for engine in ("lce", "runtime"):
        found = run(small, images, engine=engine)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_float16(converted):
    model, flatbuffer, images = converted
    half = compress(flatbuffer, "float16")
    real, bias = (weight.numpy() for weight in model.get_layer("head").weights)
    ((_, _, values),) = dense_layers(tflite.read(half))
    assert values.dtype == np.float16
    np.testing.assert_array_equal(values, real.T.astype(np.float16))
    x = features(flatbuffer, images).astype(np.float64)
    expected = x @ values.T.astype(np.float64) + bias
    np.testing.assert_allclose(run(half, images), expected, rtol=1e-5, atol=1e-5)
    assert len(compress(flatbuffer)) < len(half) < len(flatbuffer) - real.size


def offsets(flatbuffer):
    """Where in the file the data of each buffer starts."""
    model = tflite.schema().Model.GetRootAsModel(flatbuffer, 0)
    tables = [model.Buffers(index)._tab for index in range(model.BuffersLength())]
    return [table.Vector(offset) for table in tables if (offset := table.Offset(4))]


@pytest.mark.parametrize("storage", ["int8", "float16"])
def test_buffers_are_aligned(converted, storage):
    starts = offsets(compress(converted[1], storage))
    assert len(starts) > 5
    assert {start % 16 for start in starts} == {0}


def plain(value):
    """Objects of the schema as what can be compared."""
    if hasattr(value, "__dict__"):
        return {key: plain(item) for key, item in vars(value).items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def described(flatbuffer):
    """All that a file says, with tensors and operators by name; without its dense layers."""
    model = tflite.read(flatbuffer)
    graph = model.subgraphs[0]
    names = [*(tensor.name for tensor in graph.tensors), None]  # -1 is an input not given
    heads = [operator for operator, _, _ in dense_layers(model)]
    tensors = {
        tensor.name: [
            *map(plain, (tensor.type, tensor.shape, tensor.quantization)),
            plain(model.buffers[tensor.buffer].data),
        ]
        for tensor in graph.tensors
        if all(tensor is not weights for _, weights, _ in dense_layers(model))
    }
    operators = []
    for operator in graph.operators:
        parts = plain(operator)
        del parts["opcodeIndex"]
        parts["inputs"], parts["outputs"] = (
            [names[index] for index in indices] for indices in (operator.inputs, operator.outputs)
        )
        if operator in heads:
            del parts["inputs"][1]
        operators.append((op_name(model, operator), parts))
    rest = plain(tflite._shallow_copy(model, subgraphs=[], buffers=[], operatorCodes=[]))
    ends = [[names[index] for index in indices] for indices in (graph.inputs, graph.outputs)]
    return {"tensors": tensors, "operators": operators, "rest": rest, "ends": ends}


@pytest.mark.parametrize("storage", ["int8", "float16"])
def test_nothing_else_changes(converted, storage):
    before = described(converted[1])
    after = described(compress(converted[1], storage))
    (added,) = after["tensors"].keys() - before["tensors"].keys()
    assert added.endswith(b"_float32")
    del after["tensors"][added]
    ((index, _),) = [
        (index, operator)
        for index, operator in enumerate(after["operators"])
        if operator[0] == "DEQUANTIZE"
    ]
    del after["operators"][index]
    assert after == before


def test_first_convolution_stays_in_float32(converted):
    for storage in ("int8", "float16"):
        model = tflite.read(compress(converted[1], storage))
        graph = model.subgraphs[0]
        (stem,) = (op for op in graph.operators if op_name(model, op) == "CONV_2D")
        weights = tflite.constant(model, graph.tensors[stem.inputs[1]])
        assert weights.nbytes > 1024
        wanted = np.moveaxis(converted[0].get_layer("stem").get_weights()[0], -1, 0)
        np.testing.assert_array_equal(weights, wanted)


def test_a_dense_layer_in_front_of_a_sign_stays(rng):
    model = model_of(
        layers.Dense(64, activation="relu"),
        layers.Dense(64),
        layers.Reshape((1, 1, 64)),
        binary_conv(32, 1),
        layers.BatchNormalization(),
        layers.Flatten(),
        layers.Dense(32),
        layers.Dense(24),
        shape=(16,),
    )
    flatbuffer = convert(randomized(model, rng))
    assert count_operators(flatbuffer)["LceQuantize"] == 1
    for storage, dtype in (("int8", np.int8), ("float16", np.float16)):
        found = [
            values.dtype for *_, values in dense_layers(tflite.read(compress(flatbuffer, storage)))
        ]
        assert found == [np.float32, np.float32, dtype, dtype]


def two_heads(rng):
    inputs = layers.Input((32,))
    heads = [layers.Dense(32, name=name)(inputs) for name in "ab"]
    model = tf.keras.Model(inputs, layers.Concatenate()(heads))
    return randomized(model, rng)


@pytest.mark.parametrize("storage", ["int8", "float16"])
def test_weights_that_share_their_bytes(storage, rng):
    flatbuffer = convert(two_heads(rng))

    def share(file):
        (_, first, _), (_, second, _) = dense_layers(file)
        second.buffer = first.buffer

    def duplicate(file):
        (_, first, _), (_, second, _) = dense_layers(file)
        file.buffers[second.buffer].data = file.buffers[first.buffer].data

    images = rng.normal(size=(3, 32)).astype(np.float32)
    shared = compress(edited(flatbuffer, share), storage)
    found = [values.dtype.itemsize for *_, values in dense_layers(tflite.read(shared))]
    assert found == ([1, 1] if storage == "int8" else [2, 2])
    expected = run(compress(edited(flatbuffer, duplicate), storage), images)
    np.testing.assert_array_equal(run(shared, images), expected)
    before = run(edited(flatbuffer, duplicate), images)
    np.testing.assert_allclose(expected, before, rtol=0.1, atol=0.1)


def test_weights_that_two_layers_share(rng):
    inputs = layers.Input((32,))
    head = layers.Dense(32, activation="relu")
    model = randomized(tf.keras.Model(inputs, head(head(inputs))), rng)
    flatbuffer = convert(model)
    images = rng.normal(size=(3, 32)).astype(np.float32)
    for storage in ("int8", "float16"):
        found = run(compress(flatbuffer, storage), images)
        np.testing.assert_allclose(found, model(images), rtol=0.1, atol=0.1)


# 300 * 2**-149 is no multiple of the smallest scale.
@pytest.mark.parametrize("value", [0.0, -0.0, 300 * 2.0**-149, -1e-40])
def test_weights_of_nothing(converted, value):
    model, flatbuffer, images = converted
    nothing = with_weights(flatbuffer, value)
    bias = model.get_layer("head").get_weights()[1]
    for storage in ("int8", "float16"):
        found = run(compress(nothing, storage), images[:2])
        np.testing.assert_array_equal(found, [bias, bias])


def test_weights_that_cannot_be_held(converted):
    with pytest.raises(ValueError, match=r"float16 cannot hold a weight of 7e\+04"):
        compress(with_weights(converted[1], -7e4), "float16")
    compress(with_weights(converted[1], -7e4), "int8")
    for value in (np.nan, np.inf):
        for storage in ("int8", "float16"):
            with pytest.raises(ValueError, match="cannot hold"):
                compress(with_weights(converted[1], value), storage)


def test_bad_arguments(converted):
    with pytest.raises(ValueError, match=r"must be one of .*got 'int4'"):
        compress(converted[1], "int4")
    with pytest.raises(ValueError, match="not a TensorFlow Lite model"):
        compress(b"nothing")


def test_a_second_time_changes_nothing(converted):
    flatbuffer = converted[1]
    assert compress(flatbuffer, "float32") is flatbuffer
    for storage in ("int8", "float16"):
        once = compress(flatbuffer, storage)
        for again in ("int8", "float16", "float32"):
            assert compress(once, again) is once


def test_small_heads_and_names_that_are_missing(converted):
    tiny = convert(network(8))
    assert compress(tiny) is tiny

    def forget(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.name = None

    _, flatbuffer, images = converted
    for storage in ("int8", "float16"):
        found = run(compress(edited(flatbuffer, forget), storage), images[:2])
        np.testing.assert_array_equal(found, run(compress(flatbuffer, storage), images[:2]))


@pytest.mark.parametrize("storage", ["int8", "float16"])
def test_kernels_and_stock_interpreter(converted, storage, rng):
    _, flatbuffer, images = converted
    small = compress(flatbuffer, storage)
    expected = run(small, images[:4])
    for options in ({"kernel": "default"}, {"kernel": "reference"}, {"xnnpack": True}):
        found = run(small, images[:4], **options)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)

    model = model_of(layers.Conv2D(12, 3), layers.GlobalAveragePooling2D(), layers.Dense(32))
    float_file = convert(randomized(model, rng))
    small = compress(float_file, storage)
    x = noise(model, rng, 1)
    kinds = tf.lite.experimental.OpResolverType
    for kind in (kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES, kinds.AUTO):
        stock = tf.lite.Interpreter(model_content=small, experimental_op_resolver_type=kind)
        stock.allocate_tensors()
        stock.set_tensor(stock.get_input_details()[0]["index"], x)
        stock.invoke()
        found = stock.get_tensor(stock.get_output_details()[0]["index"])
        largest = np.abs(found).max()
        np.testing.assert_allclose(found, run(small, x), rtol=0, atol=1e-5 * largest)
        np.testing.assert_allclose(found, model(x), rtol=0, atol=2e-2 * largest)
