"""A network of stock layers only, for training_worker.py."""

import larq_reactnet as lr

import tensorflow as tf

STOCK = {
    lr.quantizers.RSign: "approx_sign",
    lr.quantizers.ReActSign: "magnitude_aware_sign",
    lr.quantizers.SwishSign: "swish_sign",
    lr.quantizers.BNNPlusSign: "swish_sign",
}


def stock_twin(model: tf.keras.Model) -> tf.keras.Model:
    """`model` with Larq's and Keras's own layers in place of this project's.

    It has the same convolutions, batch normalizations and shortcuts, but the quantizers of `STOCK`
    without thresholds and regularizers, a plain PReLU instead of RPReLU, and no shifts.
    """

    def clone(layer: tf.keras.layers.Layer) -> tf.keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, lr.layers.RPReLU):
            slope = tf.keras.initializers.Constant(0.25)
            return tf.keras.layers.PReLU(slope, shared_axes=[1, 2], name=layer.name)
        if isinstance(layer, lr.layers.LearnableBias):
            return tf.keras.layers.Activation("linear", name=layer.name)
        for name in ("input_quantizer", "kernel_quantizer"):
            quantizer = getattr(layer, name, None)
            config.update({name: STOCK[type(quantizer)]} if type(quantizer) in STOCK else {})
        return type(layer).from_config(config)

    return tf.keras.models.clone_model(model, clone_function=clone)
