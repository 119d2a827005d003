"""A few inputs with their outputs, put into a `.tflite` or beside it: its proof on a device.

`larq-reactnet-runtime verify` runs them there, and says how far the outputs are off.
"""

from collections.abc import Sequence

from larq_reactnet._shared.model import PROOF, read
from larq_reactnet._shared.proofs import Proof, rounded, write
from larq_reactnet.converters._engine.process import TITLES, engines
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.verifying import outputs_in_keras, runner

import numpy as np
import tensorflow as tf

__all__ = ["add_proof", "make_proof"]

_MOST_TRIED = 64


def make_proof(
    model: tf.keras.Model, flatbuffer: bytes, inputs: Sequence[np.ndarray], count: int
) -> bytes:
    """The `.npz` of `count` inputs and of what the file gives for them.

    Of the first 64 inputs, those are taken for which the file is closest to the Keras model: there
    rounding decides no sign, so that another processor must give almost the same.

    Args:
        model: The Keras model of which the file was made.
        flatbuffer: The file.
        inputs: An array for each input of the model.
        count: How many of them to take.
    """
    types = [np.dtype(tensor.dtype) for tensor in read(flatbuffer).inputs]
    tried = [
        rounded(array[:_MOST_TRIED]) if dtype.kind == "f" else array[:_MOST_TRIED]
        for array, dtype in zip(inputs, types, strict=True)
    ]
    found = runner(tried, progress=False)(flatbuffer)
    expected = outputs_in_keras(model, tried)
    far = np.max(
        [
            np.abs(ours - theirs).reshape(len(ours), -1).max(-1) / (np.abs(theirs).max() or 1.0)
            for ours, theirs in zip(found, expected, strict=True)
        ],
        axis=0,
    )
    places = np.sort(np.argsort(far, kind="stable")[:count])
    rows = [array[places].astype(dtype) for array, dtype in zip(tried, types, strict=True)]
    *_, engine = engines()
    return write(Proof(tuple(rows), tuple(array[places] for array in found), TITLES[engine]))


def add_proof(flatbuffer: bytes, proof: bytes) -> bytes:
    """The same file with a proof in it, and without what lies behind the model: its labels."""
    model = tflite.read(flatbuffer)
    buffer = tflite.schema().BufferT()
    buffer.data = np.frombuffer(proof, np.uint8)
    model.buffers.append(buffer)
    entry = tflite.schema().MetadataT()
    entry.name, entry.buffer = PROOF, len(model.buffers) - 1
    model.metadata = [*(model.metadata or ()), entry]
    return tflite.write(model)
