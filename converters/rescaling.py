"""Files that take the bytes of a picture: the normalization becomes the first layer of the model.

The model then takes whole numbers, and everything else goes on as for any model: LCE converts it,
and the file is compared with it.
"""

from collections.abc import Sequence
from dataclasses import replace

from larq_reactnet._graph.calls import new_inputs
from larq_reactnet._shared.model import read
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.metadata import Metadata

import numpy as np
import tensorflow as tf

__all__ = [
    "INPUT_TYPES",
    "as_file_takes",
    "for_bytes",
    "normalized_inside",
    "pixels_of",
    "random_pixels",
]

# By type, what has to be added to get pixels from 0 to 255.
_SHIFTS = {"uint8": 0.0, "int8": 128.0}
INPUT_TYPES = ("float32", *_SHIFTS)


def for_bytes(model: tf.keras.Model, input_type: str, metadata: Metadata | None) -> tf.keras.Model:
    """A model that takes the bytes of a picture, as numbers, and normalizes them itself.

    Args:
        model: Functional or sequential model of one input. It becomes a part of the new one.
        input_type: `"uint8"`, or `"int8"` for pixels minus 128.
        metadata: How `model` wants its inputs: `mean` and `std`.

    Raises:
        ValueError: If the normalization is not known, or does not fit the model.
    """
    if len(model.inputs) != 1:
        raise ValueError(
            f"`input_type={input_type!r}` is for models of one input, and {model.name!r} has "
            f"{len(model.inputs)}."
        )
    if metadata is None or not metadata.mean:
        raise ValueError(
            f"`input_type={input_type!r}` puts the normalization of pictures into the file: say by "
            "`metadata=Metadata(mean=..., std=...)` what it is, such as 127.5 and 127.5 for inputs "
            "from -1 to 1, or 0 and 1 for a model that takes pixels."
        )
    channels = model.inputs[0].shape[-1]
    if len(metadata.mean) not in (1, channels):
        raise ValueError(
            f"{model.name!r} takes {channels} channels, and `mean` and `std` have "
            f"{len(metadata.mean)} numbers: give one for each channel, or one for all."
        )
    scale = [1 / std for std in metadata.std]
    offset = [
        (_SHIFTS[input_type] - mean) / std
        for mean, std in zip(metadata.mean, metadata.std, strict=True)
    ]
    names = {layer.name for layer in model.submodules if isinstance(layer, tf.keras.layers.Layer)}
    name = "normalization"
    while name in names:
        name += "_of_bytes"
    (inputs,) = new_inputs(model)
    layer = tf.keras.layers.Rescaling(
        scale[0] if len(scale) == 1 else scale,
        offset[0] if len(offset) == 1 else offset,
        name=name,
        dtype="float32",
    )
    return tf.keras.Model(inputs, model(layer(inputs)), name=model.name)


def normalized_inside(metadata: Metadata, input_type: str) -> Metadata:
    """The metadata of a file that takes bytes: the byte is `(pixel - mean) / std`, with std 1."""
    return replace(metadata, mean=(_SHIFTS[input_type],), std=(1.0,))


def pixels_of(
    inputs: np.ndarray, input_type: str, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """The bytes, as float32, of which normalization has made `inputs`.

    Raises:
        ValueError: If that is out of the range of bytes.
    """
    pixels = inputs * np.array(std, np.float32) + np.array(mean, np.float32)
    if pixels.min() < -0.5 or pixels.max() > 255.5:
        raise ValueError(
            f"The inputs are not normalized pictures: with mean {tuple(mean)} and std {tuple(std)} "
            f"they would be pixels from {pixels.min():.4g} to {pixels.max():.4g}."
        )
    return np.asarray(np.rint(pixels).clip(0, 255) - _SHIFTS[input_type], np.float32)


def as_file_takes(
    flatbuffer: tflite.File, images: np.ndarray, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """Normalized pictures as the bytes of which they were made, if the file takes bytes.

    A quantized input is another thing: it takes normalized pictures, which interpreters quantize.
    """
    first, *_ = [*read(tflite.content_of(flatbuffer)).inputs, None]
    if first is None or first.dtype not in ("uint8", "int8") or first.scale is not None:
        return images
    return pixels_of(images, first.dtype, mean, std)


def random_pixels(shape: Sequence[int], input_type: str) -> np.ndarray:
    """Pictures of noise, as float32, always the same."""
    pixels = np.random.default_rng(0).integers(0, 256, shape)
    return (pixels - _SHIFTS[input_type]).astype(np.float32)
