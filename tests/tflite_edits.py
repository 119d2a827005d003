"""A small network with a head, and what tests do with its file."""

from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.file import op_name

import numpy as np
import tensorflow as tf
from faulty_models import binary_conv, model_of, randomized

layers = tf.keras.layers


def network(classes=32, filters=16):
    """A float stem, a binary convolution of `filters`, and a head of `classes`."""
    model = model_of(
        layers.Conv2D(12, 3, name="stem"),
        binary_conv(filters, name="binary"),
        layers.BatchNormalization(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(classes, name="head"),
    )
    return randomized(model, np.random.default_rng(0))


def edited(flatbuffer, change):
    """The file after `change` of its `ModelT`."""
    model = tflite.read(flatbuffer)
    change(model)
    return tflite.write(model)


def dense_layers(model):
    """The operators of dense layers, and for each the tensor and values of its weights."""
    graph = model.subgraphs[0]
    found = []
    for operator in graph.operators:
        if op_name(model, operator) == "FULLY_CONNECTED":
            source = operator.inputs[1]
            for other in graph.operators:  # of float16
                if op_name(model, other) == "DEQUANTIZE" and other.outputs[0] == source:
                    source = other.inputs[0]
            tensor = graph.tensors[source]
            found.append((operator, tensor, tflite.constant(model, tensor)))
    return found


def corrupted(content, seed):
    """The file cut off, or with one to four other bits."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    if seed % 5 == 0:
        return bytes(data[: rng.integers(len(data))])
    for _ in range(rng.integers(1, 5)):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(data)
