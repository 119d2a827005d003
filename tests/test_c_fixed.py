"""C in fixed point: within the bounds that are derived, whatever the picture, and proved."""

import shutil
import subprocess

import larq_reactnet as lr
from larq_reactnet.converters._c.fixed import Range, bits_behind, filters_of, whole
from larq_reactnet.converters._c.graph import Constant, Graph, Node, Tensor
from larq_reactnet.converters._c.writer import network, network_of
from larq_reactnet.converters.proving_c import prove_c

import larq as lq
import numpy as np
import pytest
import tensorflow as tf

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="There is no C compiler.")
layers = tf.keras.layers
METADATA = lr.converters.Metadata(mean=(120.3, 110, 100), std=(60, 61, 62))
GRAY = lr.converters.Metadata(mean=0, std=1000)  # which makes small numbers of pixels
RNG = np.random.default_rng(3)
SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}


def normalized(x):
    return layers.BatchNormalization(
        beta_initializer=tf.keras.initializers.RandomNormal(seed=4),
        gamma_initializer=tf.keras.initializers.RandomUniform(-0.3, 0.9, seed=5),
    )(x)


def quantized(filters, size=3, **arguments):
    return lq.layers.QuantConv2D(filters, size, padding="same", **SIGNS, **arguments)


def everything():
    """All that has a form in int16."""
    x = inputs = layers.Input((8, 8, 3))
    x = normalized(layers.MaxPool2D(2)(layers.Conv2D(6, 3, padding="same", activation="relu")(x)))
    y = normalized(quantized(6, pad_values=1.0)(x))
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_normal")(layers.Add()([x, y]))
    x = layers.Add()([x, normalized(quantized(6, 1)(x))]) * np.linspace(-1, 1, 6, dtype=np.float32)
    y = normalized(quantized(12, 1)(x))
    x = layers.Add()([layers.Concatenate()([x, layers.AveragePooling2D(3, 1, "same")(x)]), y])
    x = tf.minimum(tf.maximum(x[..., 3:], -0.7), 5.0) / 1.5
    x = layers.Concatenate()([x, layers.MaxPool2D(3, 1, "same")(tf.nn.relu6(1.5 - x))])
    x = layers.Conv2D(5, 3, padding="same", use_bias=False)(x)
    x = layers.Add()([x, lq.quantizers.SteSign()(x - 0.1)])
    x = layers.GlobalAveragePooling2D()(normalized(quantized(7)(x)))
    return tf.keras.Model(inputs, layers.Softmax()(layers.Dense(4)(x)))


@pytest.fixture(scope="module")
def content():
    tf.keras.utils.set_random_seed(1)
    return lr.converters.add_metadata(lr.converters.convert(everything()), METADATA)


@pytest.fixture(autouse=True)
def strict(monkeypatch):
    """An overflow ends the program."""
    monkeypatch.setenv("CC", "cc -O0 -fsanitize=undefined -fno-sanitize-recover=all")


def extreme():
    """Pictures of noise, and black and white ones, whose sums are the largest there can be."""
    noise = RNG.integers(0, 256, (6, 8, 8, 3))
    return np.concatenate([noise, 255 * RNG.integers(0, 2, noise.shape)]).astype(np.uint8)


def proof_of(written, content, pixels):
    images = (pixels - np.array(METADATA.mean)) / METADATA.std
    given = pixels if written.input_type == "uint8" else (pixels.astype(int) - 128).astype(np.int8)
    return prove_c(written, content, given, images.astype(np.float32), progress=False)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_within_its_bounds(input_type, content):
    written = network(content, "model", input_type, METADATA, "int16")
    proof = proof_of(written, content, extreme())
    assert proof.is_equal, proof
    assert proof.difference < proof.bound < 0.2
    assert "fixed point explains" in str(proof)
    kinds = {node.kind for stage in written.stages for node in stage.nodes}
    assert kinds >= {"CONV_2D", "ADD", "PRELU", "AVERAGE_POOL_2D", "MEAN", "CONCATENATION"}
    assert kinds >= {"MUL", "MAXIMUM", "MAX_POOL_2D", "STRIDED_SLICE", "SOFTMAX"}, kinds


def test_small_probabilities_are_compared_as_logits():
    """What this softmax is given is large, so that roundings move a logarithm by more than 1."""
    tf.keras.utils.set_random_seed(2)
    x = inputs = layers.Input((8, 8, 3))
    x = normalized(quantized(5)(normalized(layers.Conv2D(4, 3)(x))))
    head = layers.Dense(4)
    model = tf.keras.Model(inputs, layers.Softmax()(head(layers.GlobalAveragePooling2D()(x))))
    of_all_classes, of_one = 1e5 * RNG.normal(size=(5, 1)), 10 * RNG.normal(size=(5, 4))
    head.set_weights([of_all_classes + of_one, np.zeros(4)])
    content = lr.converters.add_metadata(lr.converters.convert(model), METADATA)
    written = network(content, "model", "uint8", METADATA, "int16")
    proof = proof_of(written, content, extreme())
    assert proof.is_equal, proof
    assert "what the softmax is given" in dict(written.integers())["arithmetic"]


def test_half_of_the_memory(content):
    plain, fixed = (
        network(content, "model", "uint8", METADATA, kind) for kind in ("float32", "int16")
    )
    assert fixed.plan.bytes < 0.65 * plain.plan.bytes
    assert "float *row =" not in fixed.files["model.c"]
    assert "numbers in front of signs are at most" in dict(fixed.integers())["arithmetic"]


@pytest.mark.parametrize(
    ("old", "new"), [("+ 1) >> 1", "+ 9) >> 1"), (">> 16) * factor", ">> 15) * factor")]
)
def test_what_is_not_within_them_is_wrong(old, new, content, monkeypatch):
    monkeypatch.setenv("CC", "cc -O0")
    written = network(content, "model", "uint8", METADATA, "int16")
    assert old in written.files["model.c"]
    written.files["model.c"] = written.files["model.c"].replace(old, new)
    assert not proof_of(written, content, extreme()).is_equal


@pytest.mark.parametrize("popcount", [0, 1])
@pytest.mark.parametrize("compiler", [("gcc", "-std=c99"), ("g++", "-x", "c++", "-std=c++11")])
def test_compiles_without_a_warning(compiler, popcount, content, tmp_path):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"There is no {compiler[0]}.")
    strict = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-fsyntax-only")
    for name, text in network(content, "model", "uint8", METADATA, "int16").files.items():
        (tmp_path / name).write_text(text)
    command = [*compiler, *strict, f"-Dmodel_POPCOUNT={popcount}", "model.c", "model_weights.c"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[:2000]


def test_folder_and_page_say_it(content, tmp_path):
    report = lr.converters.export_c(
        content, tmp_path / "c", arithmetic="int16", verify_limit=2, progress=False
    )
    text = (tmp_path / "c" / "README.md").read_text()
    assert "maps in 16 bits" in text
    assert "fixed point explains" in text
    assert "</i>int16</li>" in report.html()
    assert 'class="float"' in report.html()


def test_refusals(content, tmp_path):
    x = inputs = layers.Input((4, 4, 3))
    x = quantized(8)(layers.DepthwiseConv2D(3, name="blur")(x))
    other = lr.converters.convert(tf.keras.Model(inputs, x))
    options = {"arithmetic": "int16", "metadata": METADATA}
    for file, more, said in (
        (other, {}, r"blur \(DEPTHWISE_CONV_2D\) has no form in int16. .*--arithmetic float32"),
        (content, {"input_type": "float32"}, "in int16 takes the bytes of a picture"),
    ):
        with pytest.raises(lr.converters.ExportError, match=said):
            lr.converters.export_c(file, tmp_path / "c", **options, **more)
    with pytest.raises(ValueError, match="`arithmetic` must be one of"):
        lr.converters.export_c(content, tmp_path / "c", arithmetic="int8")
    assert not [*tmp_path.iterdir()]


def test_sums_of_filters_fit():
    """For weights of every size, also of zeros."""
    weights = RNG.normal(size=(50, 27)) * np.exp(RNG.uniform(-20, 9, (50, 1)))
    weights[0] = 0
    given = Range(np.full(27, -2.0), np.full(27, 3.0), np.full(27, 0.01))
    for most in (1e5, 1e9):
        found = filters_of(weights, given, most, 40)
        assert np.abs(found.values.astype(int)).sum(1).max() <= most + 27
        real = found.values / np.exp2(found.bits)[:, None]
        off = (np.abs(real - weights) * 3.01).sum(1)
        assert (found.range.error >= off).all()
        assert (found.range.high <= 3 * np.abs(weights).sum(1)).all()


def test_bits_behind_the_point():
    for peak in (1e-9, 0.7, 1, 32767, 32768, 1e6):
        bits = bits_behind(peak, 15)
        assert whole(np.array(peak), bits) <= 32767
        assert peak < 1e-5 or whole(np.array(peak), bits + 1) > 32767


def conv(filters, size=3, **arguments):
    return quantized(filters, size, pad_values=1.0, **arguments)


def strange():
    x = inputs = layers.Input((5, 4, 3))
    dense = layers.Dense(64)(layers.Flatten()(inputs))  # the image itself, in another shape
    one, many = layers.Conv2D(1, 1, activation="relu")(x), layers.Conv2D(63, 1)(x)
    x = normalized(conv(64, groups=2)(layers.Conv2D(64, 1)(inputs)))
    x = layers.Add()([x, layers.Concatenate()([many, one])])  # a part of one channel
    x = layers.Add()([x, layers.Concatenate()([one, many])])
    y = normalized(conv(32, 1)(x))
    x = layers.Concatenate()([y, normalized(conv(32, 1)(x))])
    x = layers.Add()([x, layers.Reshape((1, 1, 64))(dense)])  # a number for each channel
    y = normalized(conv(5)(x))
    first, second = layers.Concatenate()([x, y]), layers.Concatenate()([y, x])
    x = layers.GlobalAveragePooling2D()(normalized(conv(6)(layers.Add()([first, second]))))
    one = layers.Dense(1)(x)
    x = layers.Add()([layers.Dense(2)(x), one])  # two numbers, where one was in memory
    return tf.keras.Model(inputs, layers.Add()([layers.Dense(2)(x), x]))


def test_strange_network():
    """Legal, and rarely built: also in float32."""
    tf.keras.utils.set_random_seed(1)
    content = lr.converters.convert(strange())
    pixels = RNG.integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    for arithmetic in ("float32", "int16"):
        proof = proof_of(network(content, "model", "uint8", METADATA, arithmetic), content, pixels)
        assert proof.is_equal, proof
        assert proof.signs > 2 * 5 * 4 * 64 * 3


def test_nothing_to_compute():
    inputs = layers.Input((4, 4, 1))
    content = lr.converters.convert(tf.keras.Model(inputs, layers.Flatten()(inputs)))
    with pytest.raises(ValueError, match="computes nothing of its input"):
        network(content, "model", "uint8", GRAY)


def fixed(kind, *constants):
    """The C in int16 of one node, which is given gray pixels from 0 to 0.255."""
    given, output = Tensor(0, (2, 2, 1)), Tensor(1, (2, 2, 1))
    values = [Constant(np.array([number], np.float32)) for number in constants]
    graph = Graph(given, "FLOAT32", output, (Node(kind, "it", (given, *values), output),))
    return network_of(graph, "model", "uint8", GRAY, "int16")


@pytest.mark.parametrize(
    ("kind", "constants"),
    [("RELU6", ()), ("MINIMUM", (6.0,)), ("MINIMUM", (1e9,)), ("MAXIMUM", (-1e9,))],
)
def test_limits_that_are_never_reached(kind, constants):
    """They take no bits from the numbers, and no number is written that an integer cannot hold."""
    written = fixed(kind, *constants)
    assert written.behind == fixed("RELU").behind
    assert " v = 3" not in written.files["model.c"]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_no_integer_is(number):
    with pytest.raises(ValueError, match="it has weights that are NaN or infinite"):
        fixed("MUL", number)


def test_all_bits_are_used():
    """Also where no map is in memory: pixels up to 0.255 have 32 bits behind the point."""
    assert fixed("RELU").behind == 31
    assert fixed("RELU").errors[1].max() < 1e-7


@pytest.mark.parametrize("mean", [2048.1, -1793.0])
def test_means_that_do_not_fit(mean):
    given, output = Tensor(0, (2, 2, 1)), Tensor(1, (2, 2, 1))
    weights = Constant(np.ones((1, 1, 1, 1), np.float32))
    options = {"padding": 1, "strideH": 1, "strideW": 1}
    node = Node("CONV_2D", "it", (given, weights), output, options)
    graph = Graph(given, "FLOAT32", output, (node,))
    with pytest.raises(ValueError, match="in int16 it can be from -1792 to 2047"):
        network_of(graph, "model", "uint8", lr.converters.Metadata(mean=mean, std=1), "int16")
    fits = lr.converters.Metadata(mean=np.clip(mean, -1792, 2047), std=1)
    network_of(graph, "model", "uint8", fits, "int16")
