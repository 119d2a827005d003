"""What a teacher says of each training image, once, where the image is the same in all epochs."""

import hashlib
import os
from pathlib import Path

from larq_reactnet._files import replacing
from larq_reactnet.training.provenance import sha256_of
from larq_reactnet.zoo.datasets import Dataset

import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tqdm import tqdm

__all__ = ["can_be_kept", "kept_logits"]

_BATCH = 128


def can_be_kept(data: Dataset) -> bool:
    """Whether training images are not augmented, and there are few enough of them."""
    return not data.augmentations and data.source.large is None


def kept_logits(teacher: tf.keras.Model, data: Dataset, path: Path, verbose: int) -> np.ndarray:
    """The teacher's logits of all training images, from a file or computed and kept there.

    The file is used if it was made by the same teacher of the same images, and is whole.

    Args:
        teacher: A model that ends in logits.
        data: Data for which `can_be_kept`.
        path: The file.
        verbose: Whether to show how far it is.

    Returns:
        `(images, classes)`, float32, in the order of `data.source`.
    """
    key = _key(teacher, data)
    found = _read(path, key)
    if found is not None:
        return found
    batches = data.source.splits["train"].map(
        lambda image, label: (data.test_image(image) - data.mean) / data.std
    )
    steps = tqdm(
        batches.batch(_BATCH),
        "The teacher looks at all images",
        -(-data.train_size // _BATCH),
        disable=not verbose,
    )
    run = tf.function(lambda images: teacher(images, training=False))
    logits = np.concatenate([np.asarray(run(images), np.float32) for images in steps])
    with replacing(path) as temporary:
        content = {"key": key, "sha256": hashlib.sha256(logits.tobytes()).hexdigest()}
        save_file({"logits": logits}, temporary, content)
    return logits


def _key(teacher: tf.keras.Model, data: Dataset) -> str:
    """A hash of the teacher's weights, of all encoded images, and of how they are prepared.

    Of a file, the path, size and time of change stand for its content.
    """
    found = hashlib.sha256(sha256_of(teacher).encode())
    found.update(repr((data.image_shape, data.mean, data.std, data.crop, data.resize)).encode())
    for image, _ in data.source.splits["train"].as_numpy_iterator():
        found.update(image)
        if data.source.is_path:
            state = Path(os.fsdecode(image)).stat()
            found.update(repr((state.st_size, state.st_mtime_ns)).encode())
    return found.hexdigest()


def _read(path: Path, key: str) -> np.ndarray | None:
    """The logits of a file; `None` if it is not there, cut off, or of something else."""
    try:
        with safe_open(path, "numpy") as file:
            about, logits = file.metadata() or {}, file.get_tensor("logits")
    except (OSError, SafetensorError):
        return None
    is_whole = about.get("sha256") == hashlib.sha256(logits.tobytes()).hexdigest()
    return logits if is_whole and about.get("key") == key else None
