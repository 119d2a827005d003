"""Every model of the registry, in a small size: it builds, trains, saves and exports."""

import larq_reactnet as lr
from larq_reactnet.zoo import sizes

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from helpers import (
    ALIKE,
    DEEPER,
    EVERY,
    FOREIGN,
    assert_same_outputs,
    every,
    reloaded,
    representatives,
)

MODELS = lr.zoo.list_models()
# DoReFa-Net has activations of two bits and real dense layers, for which LCE has no kernel.
LEFT_IN_FLOAT = {"dorefanet": 6}
# A network that is hardly trained is chaotic: if rounding flips one sign, others follow, and an
# image may change its class. (`make demo` compares trained networks.)
MOST = 0.9
REPRESENTATIVES = representatives(MODELS)
# Networks whose layers other networks have too, as far as saving is concerned.
SAVED_ALIKE = (
    "bnn_plus_dorefanet",
    "dorefanet",
    "mobilenet_v1",
    "quicknet_small",
    "reactnet_18",
)
SAVED = [name for name in REPRESENTATIVES if EVERY or name not in SAVED_ALIKE]
# Networks of blocks that others have, too, as far as their export is concerned.
EXPORTED_ALIKE = ("dorefanet", "vgg_small")
EXPORTED = [name for name in REPRESENTATIVES if EVERY or name not in EXPORTED_ALIKE]
# Tests of the arguments of a constructor, which one function has for several networks.
CONSTRUCTORS = REPRESENTATIVES
# All tests of these are in `make fast`, which takes none of another network.
FAST = ("binarynet", "bnn_plus_dorefanet")
# Convolutions that `export` joins with another one.
JOINED = {"reactnet_a": 5}
REAL = ("alexnet", "alexnet_imagenet", "mobilenet_v1", "resnet18", "resnet34", "vgg_small")


def models(argument, names=MODELS, **options):
    """Parametrize with models. One worker runs all tests of a model."""
    slow = {name: [] if name in FAST else [pytest.mark.slow] for name in names}
    groups = [
        pytest.param(name, marks=[pytest.mark.xdist_group(name), *slow[name]]) for name in names
    ]
    return pytest.mark.parametrize(argument, groups, **options)


def trained_models(names):
    return models("trained", names, indirect=True, scope="module")


def small(name, **arguments):
    entry = lr.zoo.get(name)
    shape = (entry.small_size, entry.small_size, 3)
    return lr.zoo.create(
        name, **{"input_shape": shape, "num_classes": 10, **entry.small, **arguments}
    )


@pytest.fixture(scope="module")
def trained(request):
    """A small model after a step of `fit`, and images like those that it has seen."""
    tf.keras.utils.set_random_seed(0)
    size = lr.zoo.get(request.param).small_size
    data = lr.zoo.datasets.load("digits", batch_size=16, image_size=size)
    model = small(request.param)
    # Eagerly, because tracing a deep network takes longer than the step.
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    history = model.fit(data.train.take(1), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    images, _ = next(iter(data.train))
    calibrate(model, images)
    return model, images.numpy()


def calibrate(model, images):
    """Give batch normalization the statistics of `images`, as a longer training would.

    Its offsets get random values. Otherwise a channel that is the same for all images would be
    exactly at the threshold of the next sign, where rounding decides.
    """
    layers = [
        layer for layer in model.layers if isinstance(layer, tf.keras.layers.BatchNormalization)
    ]
    momentum = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, before in zip(layers, momentum, strict=True):
        layer.momentum = before
        layer.moving_variance.assign_add(tf.fill(layer.moving_variance.shape, 0.1))
        if layer.center:
            layer.beta.assign_add(tf.random.normal(layer.beta.shape, stddev=0.5))


@trained_models(REPRESENTATIVES)
def test_every_weight_gets_a_gradient(trained, rng):
    model, images = trained
    labels = rng.integers(0, 10, len(images))
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = tf.keras.losses.sparse_categorical_crossentropy(labels, outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.name
        assert np.isfinite(gradient).all(), variable.name
        assert np.any(gradient != 0), variable.name


@trained_models(SAVED)
def test_h5(trained, tmp_path):
    check_reloaded(*trained, "h5", tmp_path)


@trained_models(SAVED)
def test_saved_model(trained, tmp_path):
    check_reloaded(*trained, "untraced", tmp_path)


def check_reloaded(model, images, how, folder):
    twin = reloaded(model, how, folder)
    assert_same_outputs(model, twin, images[:4])
    lines = [[], []]
    for m, printed in zip((model, twin), lines, strict=True):
        lq.models.summary(m, print_fn=printed.append)
    assert lines[0] == lines[1]


@every
def test_names_of_the_most_layers_fit_into_h5(tmp_path):
    model = small("meliusnet59")
    weights = model.get_weights()
    model.save_weights(tmp_path / "weights.h5")
    model.set_weights([np.zeros_like(weight) for weight in weights])
    model.load_weights(tmp_path / "weights.h5")
    for found, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bnn_plus_vgg_small"])
def test_traced_saved_model(name, rng, tmp_path):
    model = small(name)
    images = rng.normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    assert_same_outputs(model, reloaded(model, "tf", tmp_path), images)


@trained_models(SAVED)
def test_weights_files(trained, tmp_path):
    model, images = trained
    path = str(tmp_path / "weights.h5")
    model.save_weights(path)
    twin = small(model.name, weights=path)
    assert_same_outputs(model, twin, images[:4])
    twin.set_weights([np.zeros_like(weight) for weight in twin.get_weights()])
    lr.save_packed(model, tmp_path / "weights.safetensors")
    lr.load_packed(twin, tmp_path / "weights.safetensors")
    assert_same_outputs(model, twin, images[:4])


@trained_models(EXPORTED)
def test_export(trained, tmp_path):
    model, images = trained
    findings = [finding for finding in lr.converters.check(model) if finding.blocks]
    assert len(findings) == LEFT_IN_FLOAT.get(model.name, 0)
    report = lr.converters.export(
        model,
        tmp_path / "model.tflite",
        verify_with=images[:4],
        min_agreement=MOST,
        allow_float=bool(findings),
        progress=False,
    )
    binary = [layer for layer in model.layers if lr.profiling.is_binary(layer)]
    joined = JOINED.get(model.name, 0)
    assert bool(binary) == (model.name not in (*REAL, *LEFT_IN_FLOAT))
    assert report.binary_convolutions == len(binary) - joined
    assert report.operators.get("LceBconv2d", 0) == report.binary_convolutions
    activations = [layer for layer in model.layers if isinstance(layer, lr.layers.RPReLU)]
    assert report.operators.get("PRELU", 0) >= len(activations)
    shifted = any(isinstance(layer, lr.layers.LearnableBias) for layer in model.layers)
    assert (report.folding_error is None) == (not shifted and not activations)
    if joined:
        assert report.operators["ADD"] == 51
    assert not {"SELECT", "SELECT_V2", "SIGN", "LceDequantize"} & report.operators.keys()
    # A bit for each binary weight, in words of 32 channels, 4 bytes for each other, and the graph.
    words = sum(
        layer.kernel[..., 0, :].shape.num_elements() * -(-layer.input_shape[-1] // 32)
        for layer in binary
    )
    graph = 256 * sum(report.operators.values())
    assert report.bytes < 4 * (words + report.ops.float_weights) + graph


@models("name", CONSTRUCTORS)
def test_arguments(name):
    with pytest.raises(ValueError, match="images or larger") as error:
        small(name, input_shape=(7, 7, 3))
    smallest = int(str(error.value).split("takes ")[1].split("x")[0])
    with pytest.raises(ValueError, match="images or larger"):
        small(name, input_shape=(smallest - 1, smallest, 3))
    inputs = tf.keras.layers.Input((smallest, smallest, 3), name="photo")
    model = small(name, input_tensor=inputs, num_classes=7, classifier_activation=None)
    assert model.input_names == ["photo"]
    assert model.output_shape == (None, 7)
    assert model.layers[-1].activation is tf.keras.activations.linear
    assert model.name == name


@models("name", CONSTRUCTORS)
def test_any_size_without_top(name, rng):
    """As in Larq Zoo and keras.applications."""
    model = small(name, include_top=False, input_shape=None)
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape[:3] == (None, None, None)
    assert len(model.output_shape) == 4
    size = lr.zoo.get(name).small_size
    for shape in ((size, size), (size + 32, size)):
        images = rng.normal(size=(1, *shape, 3)).astype(np.float32)
        assert np.isfinite(model(images)).all()


@models("name", CONSTRUCTORS)
def test_arguments_of_some(name):
    arguments = lr.zoo.get(name).arguments
    if "width" in arguments:
        narrow = small(name, width=0.04, include_top=False, input_shape=(None, None, 3))
        assert narrow.count_params() < sizes.read()[name].parameters / 20
        for width in (0, "wide"):
            with pytest.raises(ValueError, match=r"`width` must be a number (above 0|from 1/32)"):
                small(name, width=width)
    if "torch_padding" in arguments:
        model = small(name, torch_padding=True)
        assert isinstance(model.layers[1], lr.layers.Rotate180)
        baseline = small(name, rsign=False, activation=None)
        for kind in (lr.layers.RPReLU, lr.layers.LearnableBias):
            assert not [layer for layer in baseline.layers if isinstance(layer, kind)]
        assert lr.profiling.ops(baseline).ops == lr.profiling.ops(model).ops
        with pytest.raises(ValueError, match="must be 'rprelu', 'prelu' or None"):
            small(name, activation="relu")
    if "regularizer" in arguments:
        with pytest.raises(ValueError, match="'r1', 'r2' or None"):
            small(name, regularizer="r3")


@models("name")
def test_bad_arguments(name):
    with pytest.raises(ValueError, match="has no argument 'depth'"):
        small(name, depth=3)
    with pytest.raises(ValueError, match=r"must be \(height, width, channels\)"):
        small(name, input_shape=(32, 32))
    with pytest.raises(ValueError, match="must be a Keras tensor"):
        small(name, input_tensor=np.zeros((1, 32, 32, 3)))


@pytest.mark.parametrize("name", ["binarynet", "quicknet_small"])
def test_unknown_weights(name):
    with pytest.raises(ValueError, match=r"no (pretrained|'imagenet64') weights"):
        small(name, weights="imagenet64")


@pytest.mark.parametrize(
    ("name", "bops", "flops", "ops"),
    [
        # ReActNet's table 1: BOPs, FLOPs and OPs as printed.
        ("reactnet_a", 4.82e9, 0.12e8, 0.871e8),
        ("reactnet_b", 4.69e9, 0.44e8, 1.172e8),  # printed: 1.63e8, not by its own rule
        ("reactnet_c", 4.69e9, 1.40e8, 2.136e8),
        ("reactnet_18", 1.68e9, 1.38e8, 1.640e8),
        ("birealnet18", 1.68e9, 1.38e8, 1.640e8),
        ("birealnet34", 3.53e9, 1.38e8, 1.929e8),
        ("meliusnet29", 5.47e9, 1.29e8, 2.150e8),
        ("meliusnet42", 9.69e9, 1.75e8, 3.265e8),
        ("meliusnet59", 18.3e9, 2.47e8, 5.333e8),
        ("mobilenet_v1", 0, 5.69e8, 5.687e8),
    ],
)
def test_operations_of_the_papers(name, bops, flops, ops):
    size = sizes.read()[name]
    assert size.bops == pytest.approx(bops, rel=0.003)
    assert size.flops == pytest.approx(flops, rel=0.012)
    assert size.ops == pytest.approx(ops, rel=0.0006)


def test_operations_of_half_a_mobilenet():
    model = lr.zoo.MobileNetV1(width=0.5)
    assert lr.profiling.ops(model).ops == pytest.approx(1.49e8, rel=0.005)


@models("name")
def test_constructor(name):
    """It is in `lr.zoo`, under the name of the model without underscores."""
    constructor = lr.zoo.get(name).constructor
    assert constructor.__name__.lower() == name.replace("_", "")
    assert getattr(lr.zoo, constructor.__name__) is constructor
    assert constructor.__name__ in lr.zoo.__all__


def test_constructors_are_registered():
    names = [name for name in lr.zoo.__all__ if name[0].isupper() and name != "Entry"]
    assert sorted(names) == sorted(lr.zoo.get(name).constructor.__name__ for name in MODELS)


def test_representatives():
    """Each network that long tests see in `make every` only is like one that they always see."""
    assert {*ALIKE, *DEEPER, *FOREIGN} <= {*MODELS}
    assert {*ALIKE.values()} <= {*MODELS} - {*ALIKE} - {*DEEPER} - {*FOREIGN}


def test_list_models():
    assert lr.zoo.list_models("") == lr.zoo.list_models("*") == MODELS == sorted(MODELS)
    assert lr.zoo.list_models("quicknet") == ["quicknet"]
    assert lr.zoo.list_models("quicknet*") == ["quicknet", "quicknet_large", "quicknet_small"]
    assert lr.zoo.list_models(["*net_[ab]", "resnet18"]) == ["reactnet_a", "reactnet_b", "resnet18"]
    assert lr.zoo.list_models(("no*", "none")) == lr.zoo.list_models([]) == []
    with_weights = lr.zoo.list_models(pretrained=True)
    assert with_weights == [name for name in MODELS if lr.zoo.pretrained.list_weights(name)]
    assert 0 < len(with_weights) < len(MODELS)
    assert lr.zoo.list_models("re*", pretrained=True) == ["reactnet_a", "real_to_binary_net"]


def test_registry():
    with pytest.raises(ValueError, match="Did you mean 'reactnet_a'"):
        lr.zoo.create("reactnet_aa")
    entry = lr.zoo.get("reactnet_b")
    assert entry.constructor is lr.zoo.ReActNetB
    assert entry.arguments["num_classes"] == 1000
    assert lr.zoo.get("bnn_plus_vgg_small").arguments["input_shape"] == (32, 32, 3)
