"""Real networks made binary: the papers' networks, networks of other habits, and bad input."""

import larq_reactnet as lr
from larq_reactnet._graph.calls import rebuild
from larq_reactnet.binarizing import STYLES
from larq_reactnet.binarizing.weights import kernel_of, restyled
from larq_reactnet.converters import count_operators
from larq_reactnet.layers import RPReLU
from larq_reactnet.profiling import is_binary, ops

import numpy as np
import pytest
import tensorflow as tf
from habits import HABITS
from helpers import representatives, some

layers = tf.keras.layers
SHAPE = (32, 32, 3)

# A real network, the network of a paper, and the style that makes the one of the other.
PAPERS = [
    ("mobilenet_v1", "reactnet_a", "reactnet", {"width": 0.25}),
    ("resnet18", "reactnet_18", "reactnet", {"width": 0.125}),
    ("resnet34", "reactnet_34", "reactnet", {"width": 0.125}),
    ("resnet34", "birealnet34", "birealnet", {"width": 0.125}),
    ("resnet18", "birealnet18", "birealnet", {}),
    ("resnet18", "bnn_plus_resnet18", "bnn_plus", {"width": 0.125}),
    ("alexnet", "bnn_plus_alexnet", "bnn_plus", {"width": 0.125}),
    ("alexnet_imagenet", "bnn_plus_alexnet_imagenet", "bnn_plus", {"width": 0.125}),
    ("vgg_small", "bnn_plus_vgg_small", "bnn_plus", {"width": 0.125}),
]
PAPERS = [row for row in PAPERS if row[1] in representatives(lr.zoo.list_models())]


def binarized(model, *args, **kwargs):
    """The binary form of `model`, and the report."""
    reports = []
    return lr.binarize_model(model, *args, report=reports.append, **kwargs), reports[0]


def became_binary(report):
    return {layer.name for layer in report.layers if layer.became}


def randomized(model, rng):
    model.set_weights([rng.uniform(0.1, 0.9, weight.shape) for weight in model.get_weights()])
    for layer in model.layers:
        if is_binary(layer):
            kernel, *rest = layer.get_weights()
            layer.set_weights([rng.choice([-0.5, 0.5], kernel.shape), *rest])
    return model


@pytest.mark.slow
@pytest.mark.parametrize(("real", "paper", "style", "options"), PAPERS)
def test_the_papers_networks(real, paper, style, options, rng):
    """The same operations and weights and, given these, the same outputs."""
    shape = (64, 64, 3)
    arguments = {"input_shape": shape, "num_classes": 10, **options}
    mine, _ = binarized(lr.zoo.create(real, **arguments), style)
    theirs = lr.zoo.create(paper, **arguments)
    assert ops(mine) == ops(theirs)
    assert mine.count_params() == theirs.count_params()
    randomized(mine, rng)
    own = [layer for layer in mine.layers if layer.weights]
    other = [layer for layer in theirs.layers if layer.weights]
    for source, target in zip(own, other, strict=True):
        pairs = zip(source.get_weights(), target.get_weights(), strict=True)
        # The classifier of MobileNet is a 1x1 convolution.
        target.set_weights([new.reshape(old.shape) for new, old in pairs])
    images = rng.normal(size=(2, *shape))
    outputs = [np.asarray(rebuild(m, dtype="float64")(images)) for m in (mine, theirs)]
    assert np.ptp(outputs[1]) > 1e-6  # so that not everything is equal anyway
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("name", HABITS)
def test_networks_of_other_habits(name, rng):
    """They convert, train a step with finite gradients, and have nothing that LCE gets wrong."""
    habit = HABITS[name]
    model = habit.build()
    before = [np.array(weight) for weight in model.get_weights()]
    mine, report = binarized(model)
    assert became_binary(report) == habit.binary, str(report)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    tf.nest.assert_same_structure(mine.output, model.output)
    assert mine.output_names == model.output_names  # by which `fit` finds the targets
    images = [rng.normal(size=(8, *tensor.shape[1:])).astype("f") for tensor in mine.inputs]
    with tf.GradientTape() as tape:
        outputs = tf.nest.flatten(mine(images if len(images) > 1 else images[0], training=True))
        loss = tf.add_n([tf.reduce_sum(output[:, ..., 0] ** 2) for output in outputs])
    for weight, gradient in zip(
        mine.trainable_weights, tape.gradient(loss, mine.trainable_weights), strict=True
    ):
        assert gradient is not None, weight.name
        assert np.isfinite(np.asarray(tf.convert_to_tensor(gradient))).all(), weight.name
    assert [finding for finding in lr.converters.check(mine) if finding.kind != "cost"] == []
    convolutions = [layer for layer in mine.layers if is_binary(layer)]
    assert len(convolutions) == sum(len(layer.became) for layer in report.layers)


@pytest.mark.slow
@pytest.mark.parametrize("name", some(["bias", "separable", "gates", "basic blocks"], "gates"))
def test_they_become_files(name, tmp_path, rng):
    """Every binarized convolution is one of LCE's; benchmarks/binarized_files.py looks at more."""
    habit = HABITS[name]
    mine, report = binarized(habit.build())
    images = rng.normal(size=(16, *mine.input_shape[1:])).astype("f")
    lr.recalibrate(mine, images, print_fn=None)
    lr.converters.export(mine, tmp_path / "model.tflite", verify_with=images, min_agreement=0.5)
    found = count_operators((tmp_path / "model.tflite").read_bytes())
    # `export` joins the two halves of a convolution that doubles the channels.
    assert found["LceBconv2d"] == len(became_binary(report))


@pytest.mark.parametrize("style", STYLES)
def test_every_style_and_both_steps(style):
    model = HABITS["conv-norm-act"].build()
    step1, _ = binarized(model, style, binary_weights=False)
    assert ops(step1).bops == 0
    step2 = lr.binarize_weights(step1, print_fn=None)
    once, _ = binarized(model, style)
    assert ops(step2) == ops(once) or style == "bnn_plus"  # whose scale is a weight
    assert ops(step2).bops == ops(once).bops > 0


def test_weights_are_carried_over(rng):
    """Kernels as they are, a bias in the mean, and other constants for the same function."""
    inputs = layers.Input((8, 8, 4))
    x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(epsilon=1e-3, name="norm")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(inputs, layers.Dense(2, name="top")(x))
    model.set_weights([rng.uniform(0.1, 0.9, weight.shape) for weight in model.get_weights()])
    model.get_layer("norm").trainable = False
    mine, _ = binarized(model, binary_weights=False)
    assert mine.get_layer("norm").trainable  # frozen statistics do not fit binary sums
    for name in ("stem", "top"):
        for old, new in zip(
            model.get_layer(name).get_weights(), mine.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(old, new)
    kernel, bias = model.get_layer("conv").get_weights()
    np.testing.assert_array_equal(mine.get_layer("conv").get_weights()[0], kernel)
    sums = rng.normal(size=(2, 8, 8, 4)).astype("f")
    expected = model.get_layer("norm")(sums + bias)
    np.testing.assert_allclose(mine.get_layer("norm")(sums), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-1])
def test_other_constants_of_normalization(epsilon, rng):
    norm = layers.BatchNormalization(epsilon=1e-2)
    norm.build((None, 5))
    weights = [rng.uniform(0.01, 0.2, 5) for _ in range(4)]
    norm.set_weights(weights)
    gamma, beta, mean, variance = weights
    x = rng.normal(size=(3, 5))
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-2) + beta
    gamma, beta, mean, variance = restyled(norm, epsilon).weights()
    assert (variance >= 0).all()
    found = gamma * (x - mean) / np.sqrt(variance + epsilon) + beta
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_depthwise_kernel_is_the_diagonal(rng):
    layer = layers.DepthwiseConv2D(3)
    layer.build((None, 8, 8, 6))
    full = kernel_of(layer, "depthwise", (8, 8, 6))
    diagonal = np.einsum("hwii->hwi", full)
    np.testing.assert_array_equal(diagonal, np.asarray(layer.depthwise_kernel)[..., 0])
    beside = full[:, :, ~np.eye(6, dtype=bool)]
    assert (beside != 0).all()
    assert 0.4 < (beside > 0).mean() < 0.6
    assert np.abs(beside).mean() < 0.02 * np.abs(diagonal).mean()


def test_depthwise_convolutions_on_expanded_channels_stay_real():
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, name="stem")(inputs)
    decay = tf.keras.regularizers.L2(1e-4)
    x = layers.DepthwiseConv2D(3, padding="same", depthwise_regularizer=decay, name="first")(x)
    x = layers.Conv2D(48, 1, name="expand")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(inputs, layers.Dense(2, name="top")(x))
    mine, report = binarized(model)
    assert became_binary(report) == {"first", "expand"}
    assert mine.get_layer("first").kernel_regularizer is decay
    assert "8 channels were made 48" in str(report)
    assert became_binary(binarized(model, widen=True)[1]) == {"first", "expand", "second"}
    assert became_binary(binarized(model, widen=False)[1]) == {"expand"}


def test_first_and_last_layers_of_other_kinds():
    """Both parts of a separable convolution, and a convolution that gives the classes."""
    inputs = layers.Input((8, 8, 3))
    x = layers.SeparableConv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.Conv2D(8, 3, padding="same", name="conv")(x)
    mask = layers.SeparableConv2D(1, 3, activation="sigmoid", name="mask")(x)
    x = layers.Conv2D(3, 1, name="classes")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    classes = layers.Softmax()(layers.GlobalAveragePooling2D()(x))
    _, report = binarized(tf.keras.Model(inputs, [classes, mask]))
    assert became_binary(report) == {"conv"}
    assert [layer.why for layer in report.layers if not layer.became] == [
        "the first layer",
        "the first layer",
        "the last layer",
        "the last layer",
    ]


def test_what_stays_real_is_said(rng):
    model = HABITS["conv-norm-act"].build()
    mine, report = binarized(model, skip="conv3")
    rows = {layer.name: layer for layer in report.layers}
    assert rows["conv3"].why == "named in `skip`"
    assert rows["conv1"].why == "the first layer"
    assert rows["top"].why == "the last layer"
    assert rows["conv2"].shortcut == "identity"
    assert rows["conv2"].bytes_after == rows["conv2"].weights_after / 8
    assert report.after == ops(mine)
    assert report.before == ops(model)
    assert "conv3" in report.html()
    assert report.as_dict()["layers"][1]["name"] == "conv2"


def test_activations_and_shortcuts_can_be_chosen():
    model = HABITS["conv-norm-act"].build()
    mine, report = binarized(model, activation=None, shortcuts=False)
    assert not any(isinstance(layer, RPReLU | layers.Add) for layer in mine.layers)
    assert {layer.shortcut for layer in report.layers} == {""}
    model = HABITS["bias"].build()
    mine, _ = binarized(model, "plain", activation="prelu", shortcuts=True)
    assert any(isinstance(layer, layers.PReLU) for layer in mine.layers)
    assert any(isinstance(layer, layers.Add) for layer in mine.layers)
    mine, _ = binarized(model, input_quantizer="ste_sign", kernel_quantizer="magnitude_aware_sign")
    found = {type(layer.input_quantizer).__name__ for layer in mine.layers if is_binary(layer)}
    assert found == {"SteSign"}


def test_images_of_any_size():
    inputs = layers.Input((None, None, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(inputs, layers.Dense(2, name="top")(x))
    mine, report = binarized(model)
    assert became_binary(report) == {"conv"}
    assert report.before is None
    assert mine(np.zeros((1, 7, 9, 3))).shape == (1, 2)


def test_mixed_precision_stays():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = HABITS["conv-norm-act"].build()
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    mine, _ = binarized(model)
    policies = {
        layer.dtype_policy.name
        for layer in mine.layers
        if layer.weights and not isinstance(layer, layers.InputLayer)
    }
    assert policies == {"mixed_bfloat16"}


class Subclassed(tf.keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (Subclassed, {}, "functional or sequential"),
        (lambda: tf.keras.Sequential([layers.Dense(2)]), {}, "that is built"),
        (lambda: 3, {}, "functional or sequential"),
        (
            lambda: lr.zoo.ReActNet18(input_shape=SHAPE, width=0.125, stem_strides=1),
            {},
            "binary already: stage1_block1 and 15 more",
        ),
        (HABITS["conv-norm-act"].build, {"skip": ["conv_3"]}, "Did you mean 'conv3'"),
        (HABITS["conv-norm-act"].build, {"style": "reactnet_a"}, "Did you mean 'reactnet'"),
        (HABITS["conv-norm-act"].build, {"activation": "relu"}, "'rprelu', 'prelu' or None"),
        (HABITS["conv-norm-act"].build, {"kernel_quantizer": "dorefa_quantizer"}, "binary"),
        (
            lambda: tf.keras.Sequential([layers.Input((4, 3)), layers.LSTM(4, name="lstm")]),
            {},
            "lstm: LSTM has no binary form",
        ),
    ],
)
def test_bad_input(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        lr.binarize_model(make(), report=None, **arguments)


def test_padding_that_is_never_read_goes(rng):
    """The stem of Keras's ResNet50, whose last row LCE would take for one of `padding="same"`."""
    inputs = layers.Input((16, 16, 3))
    x = layers.ZeroPadding2D(3, name="pad")(inputs)
    x = layers.Conv2D(8, 7, strides=2, name="stem")(x)
    x = layers.Conv2D(8, 3, padding="same", name="conv")(layers.ReLU()(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = tf.keras.Model(inputs, layers.Dense(2, name="top")(x))
    mine, _ = binarized(model)
    assert mine.get_layer("pad").padding == ((3, 2), (3, 2))
    images = rng.normal(size=(2, 16, 16, 3)).astype("f")
    stems = [tf.keras.Model(m.inputs, m.get_layer("stem").output)(images) for m in (model, mine)]
    np.testing.assert_array_equal(*stems)
    assert {finding.kind for finding in lr.converters.check(mine)} <= {"cost"}
