"""Makes the files here, with larq_reactnet and TensorFlow: run it where those are installed.

tiny.tflite is a network of random weights with labels and normalization in it, photo.jpg lies on
its side as its EXIF data say, and expected.json is what `larq-reactnet predict` sees in it.
"""

import json
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.converters.converting import convert
from larq_reactnet.converters.metadata import add_metadata
from larq_reactnet.converters.verifying import predict_tflite

import larq as lq
import numpy as np
import tensorflow as tf
from PIL import Image

FOLDER = Path(__file__).parent
SIDE, CLASSES = 24, 7


def network() -> tf.keras.Model:
    layers = tf.keras.layers
    binary = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    image = tf.keras.Input((SIDE, SIDE, 3))
    x = layers.Conv2D(32, 3, strides=2, padding="same")(image)
    x = layers.BatchNormalization()(x)
    y = lq.layers.QuantConv2D(32, 3, padding="same", pad_values=1.0, **binary)(x)
    x = layers.add([x, layers.BatchNormalization()(y)])
    y = lq.layers.QuantConv2D(64, 1, **binary)(x)
    x = layers.PReLU("he_uniform", shared_axes=[1, 2])(layers.BatchNormalization()(y))
    y = lq.layers.QuantConv2D(64, 3, strides=2, padding="same", pad_values=1.0, **binary)(x)
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(y))
    return tf.keras.Model(image, layers.Softmax()(layers.Dense(CLASSES)(x)))


def main() -> None:
    tf.keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    model = network()
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            beta, mean = random.normal(0, 0.5, (2, size))
            # Sums of some hundreds of ones are about this large.
            layer.set_weights([np.ones(size), beta, mean, np.full(size, 100.0)])
    metadata = lr.converters.Metadata(
        name="Tiny",
        description="Random weights.",
        labels=("ant", "bee", "cat", "dog", "élan", "fox", "gnu"),
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        version="1",
        author="make.py",
        license="Apache-2.0",
    )
    content = add_metadata(convert(model), metadata)
    (FOLDER / "tiny.tflite").write_bytes(content)

    coarse = random.integers(0, 256, (6, 9, 3), np.uint8)
    photo = Image.fromarray(coarse).resize((300, 200), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is on the right
    photo.save(FOLDER / "photo.jpg", quality=85, exif=exif)
    classes = lr.converters.predict_image(content, FOLDER / "photo.jpg", top=CLASSES)
    (FOLDER / "expected.json").write_text(json.dumps(dict(classes), indent=1) + "\n")

    inputs = random.integers(-20, 21, (5, SIDE, SIDE, 3)).astype(np.int8)
    outputs = predict_tflite(content, inputs.astype(np.float32) / 10, progress=False)
    np.savez_compressed(FOLDER / "batch.npz", inputs=inputs, outputs=outputs)


if __name__ == "__main__":
    main()
