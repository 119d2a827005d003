"""Real networks that are written in different ways."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

layers = tf.keras.layers
SHAPE = (16, 16, 3)


@dataclass(frozen=True)
class Habit:
    """A network, and the names of the layers that become binary."""

    build: Callable[[], tf.keras.Model]
    binary: set[str]


@tf.keras.utils.register_keras_serializable("habits")
class Doubled(layers.Layer):
    """A layer of the user's own."""

    def call(self, inputs):
        return 2 * inputs


def top(x, name="top"):
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(3, activation="softmax", name=name)(x)


def conv_norm_act():
    inputs = x = layers.Input(SHAPE)
    for index, (filters, strides) in enumerate([(8, 1), (8, 1), (16, 2), (16, 1)], 1):
        x = layers.Conv2D(
            filters, 3, strides=strides, padding="same", use_bias=False, name=f"conv{index}"
        )(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
    return tf.keras.Model(inputs, top(x))


def norm_act_conv():
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for index in (1, 2):
        y = x
        for part in "ab":
            y = layers.BatchNormalization()(y)
            y = layers.Activation("relu")(y)
            y = layers.Conv2D(8, 3, padding="same", name=f"block{index}_{part}")(y)
        x = layers.Add()([x, y])
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return tf.keras.Model(inputs, top(x))


def bias_and_no_norm():
    return tf.keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Conv2D(8, 5, activation="relu", name="conv1"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(),
            layers.Dropout(0.2),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="hidden1"),
            layers.Dropout(0.5),
            layers.Dense(16, activation="relu", name="hidden2"),
            layers.Dense(3, name="logits"),
        ]
    )


def separable():
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", activation="swish", name="stem")(inputs)
    x = layers.SeparableConv2D(16, 3, padding="same", activation="swish", name="one")(x)
    x = layers.SeparableConv2D(16, 3, strides=2, padding="same", name="two")(x)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    return tf.keras.Model(inputs, top(x))


def nested():
    inner = tf.keras.Sequential(
        [
            layers.Input((16, 16, 8)),
            layers.Conv2D(8, 3, padding="same", name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(),
        ],
        name="inner",
    )
    inputs = layers.Input(SHAPE)
    x = inner(layers.Conv2D(8, 3, padding="same", name="stem")(inputs))
    x = layers.Conv2D(8, 1, name="behind")(x)
    return tf.keras.Model(inputs, top(x))


def inputs_and_outputs():
    left, right = layers.Input(SHAPE, name="left"), layers.Input(SHAPE, name="right")
    x = layers.Conv2D(8, 3, padding="same", name="stem_left")(left)
    y = layers.Conv2D(8, 3, padding="same", name="stem_right")(right)
    x = layers.Concatenate()([x, y])
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="joined")(x)
    return tf.keras.Model([left, right], {"first": top(x, "one"), "second": top(x, "two")})


def shared():
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    conv = layers.Conv2D(8, 3, padding="same", activation="relu", name="twice")
    x = conv(conv(x))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="once")(x)
    return tf.keras.Model(inputs, top(x))


def custom_layers():
    inputs = layers.Input(SHAPE)
    x = layers.Rescaling(2.0)(inputs)
    x = layers.Conv2D(8, 3, padding="same", name="stem")(x)
    x = Doubled(name="doubled")(x)
    x = layers.Conv2D(
        8, 3, padding="same", activation=lambda tensor: tf.minimum(tensor, 6.0), name="conv"
    )(x)
    x = layers.Lambda(lambda tensor: tensor + 1.0, name="one_more")(x)
    x = tf.nn.relu(x)
    x = layers.Conv2D(8, 3, padding="same", name="last")(x)
    return tf.keras.Model(inputs, top(x))


def unet():
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="down")(inputs)
    y = layers.MaxPooling2D()(x)
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="middle")(y)
    y = layers.UpSampling2D()(y)
    x = layers.Concatenate()([x, y])
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="up")(x)
    return tf.keras.Model(inputs, layers.Conv2D(2, 1, activation="sigmoid", name="mask")(x))


def gates():
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", activation="swish", name="stem")(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="swish", name="conv")(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layers.Conv2D(2, 1, activation="relu", name="squeeze")(y)
    y = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(y)
    x = layers.Multiply()([x, y])
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(8, 3, strides=2, name="padded")(x)
    x = layers.PReLU(shared_axes=[1, 2])(layers.BatchNormalization(scale=False)(x))
    return tf.keras.Model(inputs, top(x))


def basic_blocks():
    inputs = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for filters, strides in [(8, 1), (16, 2)]:
        around = x
        if strides == 2:
            around = layers.Conv2D(filters, 1, strides=2, name="projection")(x)
        for part, stride in (("a", strides), ("b", 1)):
            x = layers.Conv2D(
                filters, 3, strides=stride, padding="same", name=f"conv{filters}{part}"
            )(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x) if part == "a" else x
        x = layers.ReLU()(x + around)
    return tf.keras.Model(inputs, top(x))


def sequences():
    inputs = x = layers.Input((32, 2))
    for index, (filters, strides) in enumerate([(8, 1), (8, 1), (16, 2)], 1):
        x = layers.Conv1D(filters, 5, strides=strides, padding="same", name=f"conv{index}")(x)
        x = layers.ReLU(name=f"valid_activation{'_' * (index - 1)}")(layers.BatchNormalization()(x))
    x = layers.Conv1D(16, 3, dilation_rate=2, activation="relu", name="valid")(
        layers.MaxPool1D()(x)
    )
    x = layers.Conv1D(16, 3, padding="causal", activation="relu", name="causal")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return tf.keras.Model(inputs, layers.Dense(3, activation="softmax", name="top")(x))


HABITS = {
    "conv-norm-act": Habit(conv_norm_act, {"conv2", "conv3", "conv4"}),
    "norm-act-conv": Habit(norm_act_conv, {"block1_a", "block1_b", "block2_a", "block2_b"}),
    "bias": Habit(bias_and_no_norm, {"conv2", "hidden1", "hidden2"}),
    "separable": Habit(
        separable, {"one_depthwise", "one_pointwise", "two_depthwise", "two_pointwise"}
    ),
    "nested": Habit(nested, {"conv", "behind"}),
    "inputs and outputs": Habit(inputs_and_outputs, {"joined"}),
    "shared": Habit(shared, {"once"}),
    "custom": Habit(custom_layers, {"conv", "last"}),
    "unet": Habit(unet, {"middle", "up"}),
    "gates": Habit(gates, {"conv", "padded"}),
    "sequences": Habit(sequences, {"conv2", "conv3", "valid"}),
    "basic blocks": Habit(basic_blocks, {"conv8a", "conv8b", "conv16a", "conv16b"}),
}
