"""Every layer, activation and common function of TensorFlow, as tables of branches of a model."""

import numpy as np
import tensorflow as tf
from faulty_models import binary_conv, randomized

layers = tf.keras.layers
activations = tf.keras.activations


def behind(*branches):
    """A model with each branch behind the same binary convolution, of 4x4 outputs in 8 channels."""
    inputs = layers.Input((6, 6, 4))
    binary = binary_conv(8, name="binary")(inputs)
    results = []
    for branch in branches:
        x = binary
        for layer in branch:
            x = layer(x)
        x = tf.cast(x, tf.float32) if x.dtype != tf.float32 else x
        results.append(layers.Flatten()(x))
    result = results[0] if len(results) == 1 else layers.Concatenate()(results)
    return randomized(tf.keras.Model(inputs, result, name="behind"), np.random.default_rng(0))


def line():
    return layers.Reshape((16, 8))


def cube():
    return layers.Reshape((4, 4, 4, 2))


def mean():
    return layers.GlobalAveragePooling2D()


def ints():
    return layers.Lambda(lambda x: tf.cast(x > 0, tf.int32))


def pair(layer, make=line):
    """A layer of two inputs, the second of which is computed from the first."""

    def call(x):
        x = make()(x)
        return layer([x, layers.Dense(8)(x)])

    return call


def attention(x):
    x = line()(x)
    return layers.MultiHeadAttention(2, 4)(x, layers.Dense(8)(x))


# Branches by the names of layers.
RIGHT = {
    "Activation": lambda: [layers.Activation("relu")],
    "ActivityRegularization": lambda: [layers.ActivityRegularization(0.1)],
    "Add": lambda: [pair(layers.Add())],
    "AdditiveAttention": lambda: [pair(layers.AdditiveAttention())],
    "AlphaDropout": lambda: [layers.AlphaDropout(0.1)],
    "Attention": lambda: [pair(layers.Attention())],
    "Average": lambda: [pair(layers.Average())],
    "AveragePooling1D": lambda: [line(), layers.AveragePooling1D()],
    "AveragePooling2D": lambda: [layers.AveragePooling2D(3, padding="same")],
    "BatchNormalization": lambda: [layers.BatchNormalization()],
    "CenterCrop": lambda: [layers.CenterCrop(2, 2)],
    "Concatenate": lambda: [pair(layers.Concatenate())],
    "Conv1D": lambda: [line(), layers.Conv1D(3, 3, padding="causal", dilation_rate=2)],
    "Conv1DTranspose": lambda: [line(), layers.Conv1DTranspose(3, 3)],
    "Conv2D": lambda: [layers.Conv2D(4, 2, groups=2, dilation_rate=2, activation="tanh")],
    "Conv2DTranspose": lambda: [layers.Conv2DTranspose(3, 3, 2, padding="same")],
    "Conv3D": lambda: [cube(), layers.Conv3D(3, 2)],
    "Conv3DTranspose": lambda: [cube(), layers.Conv3DTranspose(3, 2)],
    "Cropping1D": lambda: [line(), layers.Cropping1D(1)],
    "Cropping2D": lambda: [layers.Cropping2D(1)],
    "Cropping3D": lambda: [cube(), layers.Cropping3D(1)],
    "Dense": lambda: [layers.Dense(3, "sigmoid")],
    "DepthwiseConv1D": lambda: [line(), layers.DepthwiseConv1D(3)],
    "DepthwiseConv2D": lambda: [layers.DepthwiseConv2D(3, depth_multiplier=2)],
    "Dot": lambda: [pair(layers.Dot(2))],
    "Dropout": lambda: [layers.Dropout(0.1)],
    "ELU": lambda: [layers.ELU()],
    "EinsumDense": lambda: [layers.EinsumDense("bhwc,cd->bhwd", (None, None, 3))],
    "Embedding": lambda: [ints(), layers.Flatten(), layers.Embedding(2, 3)],
    "Flatten": lambda: [layers.Flatten()],
    "GaussianDropout": lambda: [layers.GaussianDropout(0.1)],
    "GaussianNoise": lambda: [layers.GaussianNoise(0.1)],
    "GlobalAveragePooling1D": lambda: [line(), layers.GlobalAveragePooling1D()],
    "GlobalAveragePooling2D": lambda: [mean()],
    "GlobalAveragePooling3D": lambda: [cube(), layers.GlobalAveragePooling3D()],
    "GlobalMaxPooling1D": lambda: [line(), layers.GlobalMaxPooling1D()],
    "GlobalMaxPooling2D": lambda: [layers.GlobalMaxPooling2D()],
    "GlobalMaxPooling3D": lambda: [cube(), layers.GlobalMaxPooling3D()],
    "GroupNormalization": lambda: [layers.GroupNormalization(4)],
    "Identity": lambda: [layers.Identity()],
    "Lambda": lambda: [layers.Lambda(lambda x: x * 2)],
    "LayerNormalization": lambda: [layers.LayerNormalization()],
    "LeakyReLU": lambda: [layers.LeakyReLU()],
    "LocallyConnected1D": lambda: [line(), layers.LocallyConnected1D(3, 3)],
    "LocallyConnected2D": lambda: [layers.LocallyConnected2D(3, 3)],
    "Masking": lambda: [line(), layers.Masking()],
    "MaxPooling1D": lambda: [line(), layers.MaxPooling1D()],
    "MaxPooling2D": lambda: [layers.MaxPooling2D(2, padding="same")],
    "Maximum": lambda: [pair(layers.Maximum())],
    "Minimum": lambda: [pair(layers.Minimum())],
    "MultiHeadAttention": lambda: [attention],
    "Multiply": lambda: [pair(layers.Multiply())],
    "PReLU": lambda: [layers.PReLU()],
    "Permute": lambda: [layers.Permute((2, 3, 1))],
    "RandomBrightness": lambda: [layers.RandomBrightness(0.2)],
    "RandomContrast": lambda: [layers.RandomContrast(0.2)],
    "RandomCrop": lambda: [layers.RandomCrop(3, 3)],
    "RandomFlip": lambda: [layers.RandomFlip()],
    "RandomHeight": lambda: [layers.RandomHeight(0.2), mean()],
    "RandomRotation": lambda: [layers.RandomRotation(0.2)],
    "RandomTranslation": lambda: [layers.RandomTranslation(0.2, 0.2)],
    "RandomWidth": lambda: [layers.RandomWidth(0.2), mean()],
    "RandomZoom": lambda: [layers.RandomZoom(0.2)],
    "ReLU": lambda: [layers.ReLU()],
    "RepeatVector": lambda: [layers.Flatten(), layers.RepeatVector(2)],
    "Rescaling": lambda: [layers.Rescaling(0.5, 0.1)],
    "Reshape": lambda: [line()],
    "Resizing": lambda: [layers.Resizing(3, 3)],
    "SeparableConv1D": lambda: [line(), layers.SeparableConv1D(3, 3)],
    "SeparableConv2D": lambda: [layers.SeparableConv2D(3, 3)],
    "Softmax": lambda: [layers.Softmax()],
    "SpatialDropout1D": lambda: [line(), layers.SpatialDropout1D(0.1)],
    "SpatialDropout2D": lambda: [layers.SpatialDropout2D(0.1)],
    "SpatialDropout3D": lambda: [cube(), layers.SpatialDropout3D(0.1)],
    "SpectralNormalization": lambda: [layers.SpectralNormalization(layers.Conv2D(3, 3))],
    "Subtract": lambda: [pair(layers.Subtract())],
    "ThresholdedReLU": lambda: [layers.ThresholdedReLU(0.3)],
    "TimeDistributed": lambda: [line(), layers.TimeDistributed(layers.Dense(3))],
    "UnitNormalization": lambda: [layers.UnitNormalization()],
    "UpSampling1D": lambda: [line(), layers.UpSampling1D(2)],
    "UpSampling2D": lambda: [layers.UpSampling2D(2, interpolation="bilinear")],
    "UpSampling3D": lambda: [cube(), layers.UpSampling3D(2)],
    "ZeroPadding1D": lambda: [line(), layers.ZeroPadding1D(1)],
    "ZeroPadding2D": lambda: [layers.ZeroPadding2D(1)],
    "ZeroPadding3D": lambda: [cube(), layers.ZeroPadding3D(1)],
}
RIGHT_ACTIVATIONS = [
    "elu",
    "exponential",
    "hard_sigmoid",
    "linear",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "swish",
    "tanh",
]
RIGHT_FUNCTIONS = {
    **{
        name: getattr(tf.math, name)
        for name in ["abs", "cos", "sin", "exp", "expm1", "square", "sign", "floor"]
    },
    **{name: getattr(tf.math, name) for name in ["softplus", "log_softmax", "log_sigmoid"]},
    **{name: getattr(tf.nn, name) for name in ["relu6", "leaky_relu", "crelu", "silu"]},
    "add": lambda x: x + 0.5,
    "add two": lambda x: x + tf.exp(x),
    "maximum": lambda x: tf.maximum(x, tf.exp(x)),
    "minimum": lambda x: tf.minimum(x, tf.exp(x)),
    "multiply": lambda x: x * tf.exp(x),
    "subtract": lambda x: x - tf.exp(x),
    "argmax": lambda x: tf.argmax(x, -1),
    "clip": lambda x: tf.clip_by_value(x, -1.0, 1.0),
    "concat": lambda x: tf.concat([x, 2 * x], -1),
    "conv2d": lambda x: tf.nn.conv2d(x, tf.ones((2, 2, 8, 3)), 1, "SAME"),
    "depth_to_space": lambda x: tf.nn.depth_to_space(x, 2),
    "einsum": lambda x: tf.einsum("bhwc,bhwd->bhcd", x, x),
    "expand_dims": lambda x: tf.expand_dims(x, 1),
    "gather": lambda x: tf.gather(x, [0, 2], axis=1),
    "gelu(approximate=True)": lambda x: tf.nn.gelu(x, approximate=True),
    "log": lambda x: tf.math.log(tf.abs(x) + 1),
    "matmul": lambda x: tf.matmul(x, x, transpose_b=True),
    "max_pool2d": lambda x: tf.nn.max_pool2d(x, 2, 2, "SAME"),
    "pad": lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"),
    "pow": lambda x: tf.pow(tf.abs(x) + 0.1, 1.5),
    "reduce_max": lambda x: tf.reduce_max(x, [1, 2]),
    "reduce_mean": lambda x: tf.reduce_mean(x, [1, 2]),
    "resize": lambda x: tf.image.resize(x, (8, 8)),
    "reverse": lambda x: tf.reverse(x, [1]),
    "slice": lambda x: x[:, ::2, 1:3],
    "space_to_depth": lambda x: tf.nn.space_to_depth(x, 2),
    "split": lambda x: tf.split(x, 2, -1)[0],
    "sqrt": lambda x: tf.sqrt(tf.abs(x)),
    "stack": lambda x: tf.stack([x, x + 1], 1),
    "tile": lambda x: tf.tile(x, [1, 2, 1, 1]),
    "top_k": lambda x: tf.math.top_k(x, 2)[0],
    "transpose": lambda x: tf.transpose(x, [0, 3, 1, 2]),
    "where": lambda x: tf.where(x > 0, x, 2 * x),
}

# Recurrent layers, of which a model may have one: LCE makes a loop of each.
LOOPS = {
    "ConvLSTM1D": lambda: [layers.Reshape((4, 4, 8)), layers.ConvLSTM1D(3, 2)],
    "ConvLSTM2D": lambda: [cube(), layers.ConvLSTM2D(3, 2)],
    "GRU": lambda: [line(), layers.GRU(3)],
    "RNN": lambda: [line(), layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)])],
    "SimpleRNN": lambda: [line(), layers.SimpleRNN(3)],
}

# What `check` finds and `export` cures: the branch, and words of the finding.
CURED = {
    "gelu": (lambda: [layers.Activation("gelu")], r"Erfc; use `gelu\(x, approximate=True\)`"),
    "tf.nn.gelu": (lambda: [tf.nn.gelu], "operator Erfc"),
    "gelu of a layer": (lambda: [layers.Dense(5, "gelu")], "operator Erfc"),
    "erf": (lambda: [tf.math.erf], "operator Erf; "),
    "softsign": (lambda: [layers.Activation("softsign")], r"operator Softsign; write it as `x /"),
    "Normalization": (
        lambda: [layers.Normalization(mean=np.arange(8.0), variance=np.arange(1.0, 9))],
        "fuses its constant.*use a BatchNormalization",
    ),
    "LSTM": (lambda: [line(), layers.LSTM(3)], r"one tensor of the two states.*RNN\(LSTMCell"),
    "Bidirectional": (
        lambda: [layers.Reshape((4, 32)), layers.Bidirectional(layers.LSTM(3))],
        "one tensor of the two states",
    ),
    "LSTM of sequences": (
        lambda: [layers.Reshape((4, 32)), layers.LSTM(3, return_sequences=True)],
        "gives its output for each step; give it `unroll=True`",
    ),
    "Bidirectional of sequences": (
        lambda: [
            layers.Reshape((4, 32)),
            layers.Bidirectional(layers.GRU(3, return_sequences=True)),
        ],
        "gives its output for each step; give it `unroll=True`",
    ),
    "two recurrent layers": (
        lambda: [
            layers.Reshape((2, 64)),
            layers.GRU(2, return_sequences=True),
            layers.LSTM(2, go_backwards=True),
        ],
        "several recurrent layers.*unroll=True",
    ),
}

# What `check` refuses: the branch, and words of the finding.
REFUSED = {
    "AveragePooling3D": (lambda: [cube(), layers.AveragePooling3D()], "AvgPool3D; reshape"),
    "CategoryEncoding": (
        lambda: [
            layers.Flatten(),
            layers.Lambda(lambda x: tf.cast(x[:, :3] > 0, tf.int32)),
            layers.CategoryEncoding(4),
        ],
        "cannot convert its operator DenseBincount; use `tf.one_hot`",
    ),
    "ConvLSTM3D": (
        lambda: [layers.Reshape((2, 4, 4, 2, 2)), layers.ConvLSTM3D(2, 2)],
        "operator StridedSlice",
    ),
    "MaxPooling3D": (lambda: [cube(), layers.MaxPooling3D()], "MaxPool3D; reshape"),
    "bicubic": (
        lambda: [layers.UpSampling2D(2, interpolation="bicubic")],
        "ResizeBicubic; use the interpolation 'bilinear'",
    ),
    "area": (lambda: [layers.Resizing(3, 3, interpolation="area")], "ResizeArea"),
    "lanczos": (lambda: [layers.Resizing(3, 3, "lanczos3")], "ScaleAndTranslate"),
    "two convolutions in time": (
        lambda: [cube(), layers.ConvLSTM2D(2, 1, return_sequences=True), layers.ConvLSTM2D(2, 2)],
        "use one recurrent layer",
    ),
    "a map of constants": (lambda: [lambda x: x + np.ones((4, 4, 8), np.float32)], "fuses its"),
    **{
        name: (lambda name=name: [getattr(tf.math, name)], f"operator {operator}; ")
        for name, operator in {
            "acos": "Acos", "asinh": "Asinh", "atan": "Atan", "digamma": "Digamma", "erfc": "Erfc",
            "erfinv": "Erfinv", "cumprod": "Cumprod", "bessel_i0": "BesselI0",
        }.items()
    },
    "tan": (lambda: [tf.math.tan], r"operator Tan; use `tf.sin\(x\) / tf.cos\(x\)`"),
}  # fmt: skip


# Not for models with numbers as inputs, of the type int64 (which `export` refuses by its name), or
# not layers by themselves.
ELSEWHERE = {
    "AbstractRNNCell", "DenseFeatures", "Discretization", "GRUCell", "HashedCrossing", "Hashing",
    "InputLayer", "InputSpec", "IntegerLookup", "LSTMCell", "Layer", "SimpleRNNCell",
    "StackedRNNCells", "StringLookup", "TFSMLayer", "TextVectorization", "Wrapper",
}  # fmt: skip
