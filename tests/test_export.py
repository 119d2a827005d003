"""Export: the report, the proof, and everything that must be refused with nothing written."""

import html
import importlib

import larq_reactnet as lr
from larq_reactnet.converters import (
    ExportError,
    convert,
    count_operators,
    export,
    predict_tflite,
    verify,
)

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model, every


@pytest.fixture
def images(rng):
    return rng.normal(size=(20, 8, 8, 3)).astype(np.float32)


def refused(model, path, match, **arguments):
    """`export` raises an ExportError that matches, and writes nothing."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(ExportError, match=match):
        export(model, path, progress=False, **arguments)
    assert sorted(path.parent.iterdir()) == before


def test_report(tmp_path, images, capsys):
    model = binary_model("rsign", "react_sign")
    path = tmp_path / "model.tflite"
    report = export(model, path, verify_with=images, task="classify")
    assert "Converting small" in capsys.readouterr().out
    assert path.read_bytes()[4:8] == b"TFL3"
    assert report.bytes == path.stat().st_size
    assert report.float_bytes == 4 * model.count_params()
    assert report.binary_convolutions == report.operators["LceBconv2d"] == 1
    assert report.operators == count_operators(path.read_bytes())
    assert report.ops == lr.profiling.ops(model)
    assert report.agreement.images == 20
    assert report.agreement.same_class == 1
    assert report.agreement.max_distance < 1e-4
    table = str(report)
    for piece in (
        f"{report.bytes:,} bytes",
        "1 of 1 are LceBconv2d",
        "100.00% of 20 given inputs",
        "LceBconv2d 1",
        str(path),
    ):
        assert piece in table
    shown = (report, report.proof, report.agreement, *report.proof.replays, report.ops)
    for result in (*shown, lr.converters.inspect(path)):
        assert repr(result) == str(result)
        assert result._repr_html_() == f"<pre>{html.escape(str(result))}</pre>"


def test_file_gives_what_the_report_says(tmp_path, images):
    model = binary_model()
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    outputs = predict_tflite(report.path.read_bytes(), images, progress=False)
    distance = np.abs(outputs - model.predict(images, verbose=0))
    assert distance.max() == pytest.approx(report.agreement.max_distance, rel=0.1, abs=1e-7)


@pytest.mark.slow
def test_inputs_may_be_a_dataset_with_labels_or_noise(tmp_path, images):
    model = binary_model()
    data = tf.data.Dataset.from_tensor_slices((images, np.arange(20))).batch(8)
    report = export(model, tmp_path / "a.tflite", verify_with=data, verify_limit=10, progress=False)
    assert report.agreement.images == 10
    labelled = (images, np.arange(20))
    report = export(model, tmp_path / "p.tflite", verify_with=labelled, progress=False)
    assert report.agreement.images == 20
    report = export(model, tmp_path / "b.tflite", progress=False)
    assert report.verified_with == "random inputs"


def test_distiller_stands_for_its_student(tmp_path, images):
    distiller = lr.Distiller(binary_model(), binary_model())
    export(distiller, tmp_path / "model.tflite", verify_with=images, progress=False)


def test_logits_of_a_softmax_are_compared(images):
    logits = binary_model()
    softmax = tf.keras.Sequential([logits, tf.keras.layers.Softmax()])
    softmax.build((None, 8, 8, 3))
    distances = []
    for model in (logits, softmax):
        flatbuffer = convert(model)
        weights = model.get_weights()
        model.set_weights([*weights[:-1], weights[-1] + [1, 0, 0, 0]])  # one logit is off by 1
        distances.append(verify(model, flatbuffer, images, progress=False).max_distance)
    assert distances[0] == pytest.approx(1, abs=1e-4)
    assert distances[1] == pytest.approx(0.75, abs=1e-4)  # centered: 1 - 1/4


def test_a_difference_is_found_and_nothing_is_written(tmp_path, images, monkeypatch):
    """A file that is converted from other weights than those it is verified against."""
    model, path = binary_model(), tmp_path / "model.tflite"
    path.write_bytes(b"old")
    other = binary_model()
    other.get_layer("binary").set_weights(model.get_layer("binary").get_weights())
    module = importlib.import_module("larq_reactnet.converters.exporting")
    monkeypatch.setattr(module, "convert", lambda *_, **__: convert(other))
    with pytest.raises(
        ExportError,
        match="of 1,024 signs are not those of the Keras model, first in front of binary",
    ):
        export(model, path, verify_with=images, progress=False)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_lce_does_not_make_binary_is_named_by_its_layer(tmp_path, images, monkeypatch):
    """As if `check` had not seen it: a file in which the convolution is in float."""

    @lq.utils.set_precision(1)
    def unrecognized(x):
        return 2 * tf.cast(x >= 0, x.dtype) - 1

    model, other = binary_model(), binary_model(unrecognized)
    other.set_weights(model.get_weights())
    module = importlib.import_module("larq_reactnet.converters.exporting")
    monkeypatch.setattr(module, "convert", lambda *_, **__: convert(other))
    path = tmp_path / "model.tflite"
    message = "1 of 1 binary convolutions did not become LceBconv2d: binary[.]"
    refused(model, path, message, verify_with=images)
    report = export(model, path, verify_with=images, allow_float=True, progress=False)
    assert "0 of 1 are LceBconv2d" in str(report)


def test_allow_float(tmp_path, images):
    model = binary_model(kernel_quantizer="ste_tern")
    path = tmp_path / "model.tflite"
    refused(model, path, "binary: its kernel quantizer SteTern gives zeros", verify_with=images)
    report = export(model, path, verify_with=images, allow_float=True, progress=False)
    assert report.left_in_float[0].startswith("binary: ")
    assert "left in float" in str(report)


def test_models_that_cannot_be_converted(tmp_path, images):
    path = tmp_path / "model.tflite"
    refused("model", path, "must be a Keras 2 model")
    model = binary_model()
    for value in (np.nan, np.inf):
        weights = model.get_weights()
        weights[2].flat[0] = value
        broken = binary_model()
        broken.set_weights(weights)
        refused(broken, path, "weight binary/kernel:0 has NaN or infinite", verify_with=images)


def test_what_no_kernel_runs_is_refused_even_if_float_is_allowed(tmp_path, rng):
    """LCE converts it, its indirect kernel runs it, and its default kernel does not."""

    def mean_of_all(w):  # which keeps `cure` from splitting the groups
        return tf.reduce_mean(tf.abs(w)) * lq.math.sign(w)

    model = tf.keras.Sequential(
        [
            tf.keras.layers.Input((8, 8, 64)),
            lq.layers.QuantConv2D(
                8,
                3,
                groups=2,
                input_quantizer="ste_sign",
                kernel_quantizer=mean_of_all,
                kernel_constraint="weight_clip",
            ),
        ]
    )
    images = rng.normal(size=(4, 8, 8, 64)).astype(np.float32)
    path = tmp_path / "m.tflite"
    refused(model, path, "interpreter refuses", verify_with=images, allow_float=True)


def test_layer_called_at_two_sizes(tmp_path, rng):
    inputs = tf.keras.layers.Input((16, 16, 8))
    shared = lq.layers.QuantConv2D(
        8,
        3,
        padding="same",
        input_quantizer="ste_sign",
        kernel_quantizer="ste_sign",
        kernel_constraint="weight_clip",
    )
    x = shared(tf.keras.layers.AveragePooling2D(2)(shared(inputs)))
    model = tf.keras.Model(inputs, tf.keras.layers.GlobalAveragePooling2D()(x))
    images = rng.normal(size=(4, 16, 16, 8)).astype(np.float32)
    report = export(model, tmp_path / "m.tflite", verify_with=images, progress=False)
    assert report.binary_convolutions == report.operators["LceBconv2d"] == 2


def test_arguments_that_do_not_fit(tmp_path, images):
    model, path = binary_model(), tmp_path / "model.tflite"
    with pytest.raises(TypeError, match=r"`metadata` must be a .*Metadata`, got dict: write Meta"):
        export(model, path, verify_with=images, metadata={"labels": ("a",)})
    for wrong in ({"task": "both"}, {"input_type": "float16"}):
        with pytest.raises(ValueError, match="must be one of"):
            export(model, path, verify_with=images, **wrong)
    for wrong in ({"min_agreement": 99}, {"min_agreement": np.nan}, {"verify_limit": 0}):
        with pytest.raises(ValueError, match="must be in 0 to 1"):
            export(model, path, verify_with=images, **wrong)
    refused(model, path, "array of numbers", verify_with={"images": images})
    refused(model, path, r"inputs of shape \(8, 8, 3\)", verify_with=images[:, :4])
    refused(model, path, r"inputs of shape \(8, 8, 3\)", verify_with=images[0])
    for nothing in (images[:0], [], tf.data.Dataset.from_tensor_slices(images).batch(4).take(0)):
        refused(model, path, "`verify_with` is empty", verify_with=nothing)
    refused(model, path, "NaN or infinite", verify_with=images * np.nan)


def test_paths_that_cannot_be_written(tmp_path, images):
    model = binary_model()
    with pytest.raises(IsADirectoryError):
        export(model, tmp_path, verify_with=images, progress=False)
    with pytest.raises(FileNotFoundError):
        export(model, tmp_path / "missing" / "model.tflite", verify_with=images, progress=False)


def test_full_disk(tmp_path, images, monkeypatch):
    def no_space(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", no_space)
    with pytest.raises(OSError, match="No space left"):
        export(binary_model(), tmp_path / "model.tflite", verify_with=images, progress=False)
    assert not list(tmp_path.iterdir())


def test_without_lce(tmp_path, images, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "larq_compute_engine", None)
    refused(binary_model(), tmp_path / "m.tflite", "needs larq-compute-engine", verify_with=images)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0\0\0\0TFL3", b"\xff" * 4 + b"TFL3" * 9])
def test_operators_of_a_corrupt_file(content):
    with pytest.raises(ValueError, match=r"not a TensorFlow Lite model|is corrupt"):
        count_operators(content)


def test_prediction_of_other_sizes(images):
    with pytest.raises(ValueError, match=r"takes inputs of shape \(8, 8, 3\)"):
        predict_tflite(convert(binary_model()), images[:, :4], progress=False)


@pytest.mark.slow
@every  # half a minute of LCE
def test_large_kernels_become_binary_too(rng):
    """LCE computes quantized weights only up to a size, and leaves XNOR-Net's in float."""
    import larq_compute_engine as lce

    inputs = tf.keras.layers.Input((6, 6, 256))
    conv = lq.layers.QuantConv2D(
        4096,
        6,
        use_bias=False,
        input_quantizer="ste_sign",
        kernel_quantizer="react_sign",
        kernel_constraint="weight_clip",
    )
    model = tf.keras.Model(inputs, tf.keras.layers.Flatten()(conv(inputs)))
    assert count_operators(lce.convert_keras_model(model)).get("LceBconv2d", 0) == 0
    quantizer = conv.kernel.quantizer
    flatbuffer = lr.converters.convert(model)
    assert conv.kernel.quantizer is quantizer
    assert count_operators(flatbuffer)["LceBconv2d"] == 1
    assert len(flatbuffer) < 6 * 6 * 256 * 4096 / 8 + 50_000
    images = rng.normal(size=(2, 6, 6, 256)).astype(np.float32)
    found = lr.converters.predict_tflite(flatbuffer, images, progress=False)
    np.testing.assert_allclose(found, model(images), rtol=1e-4, atol=1e-3)
