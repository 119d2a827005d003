"""Outputs that are not classes, and several of them: what is compared, and how it is reported."""

import importlib
import re

import larq_reactnet as lr
from larq_reactnet.converters import ExportError, Metadata, convert, export, replay, verify
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.tasks import outputs_of

import numpy as np
import pytest
import tensorflow as tf
from faulty_models import binary_conv, noise, randomized
from tflite_edits import dense_layers

layers = tf.keras.layers


def trunk(inputs, filters=128):
    """Numbers in front of a head, which differ from image to image."""
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    x = layers.BatchNormalization()(binary_conv(filters, name="binary", padding="same")(x))
    return layers.GlobalAveragePooling2D()(x)


def headed(*heads, filters=128):
    """A model with these layers as heads."""
    inputs = layers.Input((8, 8, 3), name="image")
    x = trunk(inputs, filters)
    outputs = [head(x) for head in heads]
    model = tf.keras.Model(inputs, outputs[0] if len(outputs) == 1 else outputs)
    return randomized(model, np.random.default_rng(0))


def kinds(model, task="auto", labels=()):
    return [(output.by_class, output.by_numbers) for output in outputs_of(model, task, labels)]


CLASSES, NUMBERS, BOTH = (True, False), (False, True), (True, True)


def test_what_outputs_are():
    softmax, numbers = layers.Dense(4, activation="softmax"), layers.Dense(4)
    probability, number = layers.Dense(1, activation="sigmoid"), layers.Dense(1)
    attributes = layers.Dense(4, activation="sigmoid")
    model = headed(softmax, numbers, probability, number, attributes)
    assert kinds(model) == [CLASSES, NUMBERS, BOTH, NUMBERS, NUMBERS]
    assert kinds(model, "classify") == [CLASSES, CLASSES, BOTH, BOTH, CLASSES]
    assert kinds(model, "regress") == [NUMBERS] * 5
    with pytest.raises(ValueError, match="`task` must be one of"):
        outputs_of(model, "classes")


def test_softmax_by_other_means():
    inputs = layers.Input((4,))
    inner = tf.keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Softmax()])
    for output in (
        inner(inputs),
        tf.nn.softmax(inputs),
        layers.Softmax()(inputs),
        layers.Activation("linear")(layers.Dropout(0.5)(inner(inputs))),
    ):
        assert kinds(tf.keras.Model(inputs, output)) == [CLASSES]
    assert kinds(tf.keras.Model(inputs, tf.sigmoid(layers.Dense(1)(inputs)))) == [BOTH]


def test_logits_that_are_known_to_be_of_classes():
    model = headed(layers.Dense(4))
    assert kinds(model) == [NUMBERS]
    assert kinds(model, labels=("a", "b", "c", "d")) == [CLASSES]
    assert kinds(model, labels=("a", "b", "c")) == [NUMBERS]
    assert kinds(lr.Distiller(model, headed(layers.Dense(4)))) == [CLASSES]
    losses = tf.keras.losses
    for loss, kind in (
        (losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
        (lr.losses.SoftCategoricalCrossentropy(from_logits=True), CLASSES),
        ("categorical_crossentropy", CLASSES),
        (losses.sparse_categorical_crossentropy, CLASSES),
        (losses.BinaryCrossentropy(from_logits=True), NUMBERS),
        ("mse", NUMBERS),
    ):
        model.compile("adam", loss)
        assert kinds(model) == [kind]
    two = headed(layers.Dense(1, name="p"), layers.Dense(4, name="q"))
    two.compile("adam", {"p": losses.BinaryCrossentropy(from_logits=True), "q": "mse"})
    assert kinds(two) == [BOTH, NUMBERS]


@pytest.mark.slow
def test_regression_is_judged_by_its_numbers(tmp_path, rng):
    """A score beside pixels: int8 is refused for the score, although arg-max never changes."""
    model = headed(layers.Dense(3, name="head"), filters=512)
    head, bn = model.get_layer("head"), model.layers[3]
    gamma, *others = bn.get_weights()
    bn.set_weights([gamma * (np.arange(512) > 0), *others])  # the first feature is constant
    kernel, _ = head.get_weights()
    kernel[:, 1:] *= 100
    kernel[0, 0] = 300.0  # int8 has no steps left for the other weights of the score
    head.set_weights([kernel, np.array([-300.0 * others[0][0], 1e4, 2e4])])
    path, images = tmp_path / "model.tflite", noise(model, rng, 30)
    arguments = {"verify_with": images, "progress": False}

    report = export(model, path, **arguments)
    assert report.storage == "float16"
    assert "int8 would move outputs by" in report.storage_reason
    assert report.agreement.same_class is None
    assert report.agreement.error_of_numbers < 0.02
    table = str(report)
    assert "same class" not in table
    assert re.search(r"error against Keras +\S+ of what a number varies by over 30 given", table)
    assert re.search(r"error of each number +\S+, \S+, \S+ of what it varies by", table)

    with pytest.raises(ExportError, match=r"other numbers than .* output 'head' are off by [\d.]+"):
        export(model, path, storage="int8", **arguments)
    report = export(model, path, storage="int8", task="classify", **arguments)
    assert report.agreement.same_class == 1
    assert report.agreement.relative_error > 0.1
    assert "same class as Keras" in str(report)
    report = export(model, path, storage="int8", min_agreement=0, **arguments)
    assert report.agreement.errors[0] > 0.1 > report.agreement.errors[1]


def test_probability_of_one_class(tmp_path, rng):
    model = headed(layers.Dense(1, activation="sigmoid"))
    report = export(model, tmp_path / "m.tflite", verify_with=noise(model, rng, 30), progress=False)
    assert report.agreement.same_class == 1
    assert report.agreement.error_of_numbers < 0.02
    assert "same class as Keras" in str(report)
    assert "error against Keras" in str(report)


def test_probabilities_near_zero_are_rounded_by_their_logits(rng):
    """They are small, and their rounding is not small relative to them."""
    model = headed(layers.Dense(1, activation="sigmoid", name="head"))
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([100 * kernel, bias * 0])
    images = noise(model, rng, 30)
    logits = tf.keras.Model(model.input, model.get_layer("head").input)(images) @ (100 * kernel)
    low = images[np.argsort(logits[:, 0])[:2]]
    model.get_layer("head").set_weights([100 * kernel, bias * 0 - np.median(logits) - 12])
    assert (model(low).numpy() < 1e-4).all()
    assert replay(model, convert(model), low).is_equal


def test_labels_make_classes_of_numbers(tmp_path, rng):
    model = headed(layers.Dense(2))
    arguments = {"verify_with": noise(model, rng, 10), "progress": False}
    metadata = Metadata(labels=("no", "yes"))
    report = export(model, tmp_path / "m.tflite", metadata=metadata, **arguments)
    assert report.agreement.same_class == 1


def test_a_wrong_number_is_not_hidden_by_a_large_one(rng):
    """The replay judges each number by its own size, if they are not classes."""
    model = headed(layers.Dense(2, name="head"))
    kernel, bias = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel * [[1e-3, 1e3]], bias * [1e-3, 1e3]])
    flatbuffer, images = convert(model), noise(model, rng, 2)
    assert replay(model, flatbuffer, images).is_equal
    file = tflite.read(flatbuffer)
    ((_, tensor, weights),) = dense_layers(file)
    weights = weights * np.array([[1.01], [1.0]], np.float32)
    file.buffers[tensor.buffer].data = np.frombuffer(weights.tobytes(), np.uint8)
    wrong = tflite.write(file)
    assert not replay(model, wrong, images).is_equal
    assert replay(model, wrong, images, task="classify").is_equal


def several():
    """A model of two inputs and of three outputs, one of each kind."""
    image, extra = layers.Input((8, 8, 3), name="image"), layers.Input((5,), name="extra")
    x = layers.Concatenate()([trunk(image), layers.Dense(7, activation="relu")(extra)])
    outputs = [
        layers.Dense(4, activation="softmax", name="kind")(x),
        layers.Dense(2, name="place")(x),
        layers.Dense(1, activation="sigmoid", name="score")(x),
    ]
    model = tf.keras.Model([image, extra], outputs, name="several")
    return randomized(model, np.random.default_rng(0))


@pytest.fixture(scope="module")
def model():
    return several()


@pytest.fixture
def inputs(rng):
    shapes = ((20, 8, 8, 3), (20, 5))
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.slow
def test_several_inputs_and_outputs(tmp_path, model, inputs):
    path = tmp_path / "model.tflite"
    report = export(model, path, verify_with=inputs, thorough=True, progress=False)
    by_name = {agreement.output: agreement for agreement in report.agreement.outputs}
    assert [*by_name] == ["kind", "place", "score"]
    assert by_name["kind"].same_class == by_name["score"].same_class == 1
    assert by_name["place"].same_class is None
    assert all(agreement.relative_error < 0.02 for agreement in by_name.values())
    assert all(replay.is_equal for replay in report.proof.replays)
    assert not report.proof.not_replayed
    assert len(report.proof.layers) == 1
    table = str(report)
    assert len(re.findall(r"^output +(?:kind|place|score)$", table, re.MULTILINE)) == 3
    expected = model(inputs)
    with lr.converters.Interpreter(path) as interpreter:
        assert [shape[1:] for shape in interpreter.input_shapes] == [(8, 8, 3), (5,)]
        found = interpreter.predict(inputs)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_several_inputs_in_the_runtime(model, inputs):
    pytest.importorskip("larq_reactnet_runtime")
    agreement = verify(model, convert(model), inputs, progress=False)
    assert agreement.refusal == ""
    assert [one.output for one in agreement.second.outputs] == ["kind", "place", "score"]
    assert all(one.relative_error < 1e-3 for one in agreement.second.outputs)


@pytest.mark.slow
def test_one_wrong_output_of_several_is_refused(tmp_path, model, inputs, monkeypatch):
    other = several()
    kernel, bias = other.get_layer("place").get_weights()
    other.get_layer("place").set_weights([kernel * [[1.0, 1.5]], bias])
    module = importlib.import_module("larq_reactnet.converters.exporting")
    monkeypatch.setattr(module, "convert", lambda *_, **__: convert(other))
    with pytest.raises(ExportError, match="does not compute the Keras model"):
        export(model, tmp_path / "m.tflite", verify_with=inputs, progress=False)
    assert not (tmp_path / "m.tflite").exists()
    agreement = verify(model, convert(other), inputs, progress=False)
    errors = [one.relative_error for one in agreement.outputs]
    assert errors[1] > 0.1 > max(errors[0], errors[2])


@pytest.mark.slow
def test_forms_of_several_inputs(tmp_path, model, inputs):
    named = dict(zip(("image", "extra"), inputs, strict=True))
    labels = np.zeros(20)
    rows = tf.data.Dataset.from_tensor_slices((tuple(inputs), labels)).batch(8)
    for number, form in enumerate((named, (named, labels), (inputs, labels), rows, None)):
        path = tmp_path / f"{number}.tflite"
        report = export(model, path, verify_with=form, verify_limit=10, progress=False)
        assert report.agreement.images == 10
    for wrong, message in (
        (inputs[0], "must be an array of numbers, for each of the inputs image, extra"),
        ({"image": inputs[0]}, "for each of the inputs image, extra"),
        ([inputs[0], inputs[1][:5]], "as many rows for each input"),
        ([inputs[0], inputs[1][:, :3]], r"of shape \(5,\) for extra"),
    ):
        with pytest.raises(ExportError, match=message):
            export(model, tmp_path / "wrong.tflite", verify_with=wrong, progress=False)


@pytest.mark.slow
def test_inputs_and_outputs_in_dicts(tmp_path, model, inputs):
    names = {"b": layers.Input((8, 8, 3)), "a": layers.Input((5,))}
    outputs = model([names["b"], names["a"]])
    nested = tf.keras.Model(names, dict(zip("xyz", outputs, strict=True)))
    named = {"b": inputs[0], "a": inputs[1]}
    report = export(nested, tmp_path / "m.tflite", verify_with=named, progress=False)
    assert len(report.agreement.outputs) == 3
    assert all(one.relative_error < 0.02 for one in report.agreement.outputs)
    shapes = [(5,), (8, 8, 3)]  # in the order of their names
    again = export(
        nested, tmp_path / "m.tflite", verify_with=named, input_shape=shapes, progress=False
    )
    assert again.bytes == report.bytes


def test_numbers_in_the_tail_of_a_function(tmp_path, rng):
    """There GELU is a difference of numbers that are much larger, so it is less exact."""
    head = layers.Dense(3, activation="gelu")
    model = headed(head)
    head.set_weights([rng.normal(0, 1e-4, head.kernel.shape), np.float32([-5, 0, 1])])
    report = export(model, tmp_path / "m.tflite", verify_with=noise(model, rng, 2), progress=False)
    assert np.abs(model(noise(model, rng, 2))[:, 0]).max() < 1e-5
    assert report.agreement.max_distance < 1e-6
