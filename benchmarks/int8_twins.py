"""The shipped networks as they would be in int8: real weights, and no signs."""

from typing import Any

import larq_reactnet as lr

import tensorflow as tf

__all__ = ["SHIPPED", "real_twin"]

layers = tf.keras.layers
# Of each: its title, its name in the zoo, the options that its weights need, and their recipe.
SHIPPED = {
    "dorefanet": ("DoReFa-Net", "bnn_plus_dorefanet", {}, "bnn_plus_dorefanet_cifar10_short"),
    "reactnet": (
        "ReActNet-A, width 0.25",
        "reactnet_a",
        {"input_shape": (32, 32, 3), "width": 0.25, "stem_strides": 1},
        "reactnet_a_quarter_cifar10_short",
    ),
}


def real_twin(model: tf.keras.Model) -> tf.keras.Model:
    """The same network with real weights, and ReLU in place of signs and RPReLU.

    Batch normalization stands right behind its convolution, where TensorFlow Lite makes it a part
    of that.
    """
    has_activations = any(isinstance(layer, lr.layers.RPReLU) for layer in model.layers)

    def twin(layer: Any) -> Any:
        if isinstance(layer, lr.layers.RPReLU):
            return layers.ReLU(name=layer.name)
        if isinstance(layer, lr.layers.LearnableBias):
            return layers.Activation("linear", name=layer.name)
        if isinstance(layer, layers.GlobalAveragePooling2D):
            whole = layers.AveragePooling2D(layer.input_shape[1:3])
            return tf.keras.Sequential([whole, layers.Flatten()], name=layer.name)
        if isinstance(layer, layers.BatchNormalization):
            return layers.Activation("linear", name=layer.name)
        if isinstance(layer, layers.Conv2D):
            shape = {"strides": layer.strides, "padding": layer.padding, "use_bias": False}
            conv = layers.Conv2D(layer.filters, layer.kernel_size, **shape)
            activation = [] if has_activations else [layers.ReLU()]
            parts = [conv, layers.BatchNormalization(), *activation]
            return tf.keras.Sequential(parts, name=layer.name)
        return type(layer).from_config(layer.get_config())

    return tf.keras.models.clone_model(model, clone_function=twin)
