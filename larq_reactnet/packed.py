"""Packed weights: files with one bit for each binary weight.

The forward pass of a binary layer sees the signs of its latent weights and at most a scale, so a
file need not hold float32 latent weights to give the same network. It is a safetensors file, which
holds arrays and no code. Its metadata is JSON with an entry for each weight of the model, in their
order, and the SHA-256 of everything else. An entry says in `stored` how the weight is stored:

| stored | tensors | weight |
| --- | --- | --- |
| `signs` | `NAME.bits` | +1 or -1 |
| `filter_means` | `NAME.bits`, `NAME.sums` | signs, and the sum of magnitudes in each filter |
| `layer_mean` | `NAME.bits`, `NAME.sums` | signs, and the sum of magnitudes in the kernel |
| `whole` | `NAME.data` | every value, without loss |
| `float16` | `NAME.data` | every value, rounded to float16 |

In `bits`, a 1 stands for a negative weight, and `numpy.packbits` has put eight weights into each
byte. `data` and `sums` are the bytes of an array, compressed by zlib: the first bytes of all
numbers come first, then all second bytes, and so on.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from larq_reactnet._files import replacing
from larq_reactnet._fitting import Slot, fitting
from larq_reactnet.layers import rotates
from larq_reactnet.profiling import KERNELS, flat_layers

import larq as lq
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

__all__ = ["load_packed", "save_packed"]

# All metadata is under one key: safetensors writes several in random order.
_KEY = "larq_reactnet.packed"
_VERSION = 1

_TENSORS = {
    "signs": ("bits",),
    "filter_means": ("bits", "sums"),
    "layer_mean": ("bits", "sums"),
    "whole": ("data",),
    "float16": ("data",),
}

_TINY = np.float32(2.0**-100)


def save_packed(model: tf.keras.Model, path: str | Path, *, float16: bool = False) -> None:
    """Save the weights of `model`, one bit for each binary weight.

    The model that loads the file computes bit for bit what `model` does. ReActNet-A takes 7.4 MB,
    a 16th of its `.h5` file.

    The magnitudes of the latent weights are lost: training goes on from the signs, all weights of
    a filter at (nearly) the same distance from zero. Save an `.h5` file as well to fine-tune from
    where the training stopped. A kernel whose quantizer gives anything but one scale per filter or
    layer is stored whole, and so is one with scales under mixed precision.

    !!! example
        ```python
        lr.save_packed(model, "weights.safetensors")
        lr.load_packed(twin, "weights.safetensors")
        ```

    Args:
        model: Model of which all layers are built.
        path: File to write. Whatever happens, it then has its old content or all of the new one.
        float16: Round all other weights to float16. The outputs then change a little.

    Raises:
        ValueError: If the model is not built, or a weight is NaN, infinite or beyond float16.
        OSError: If the file cannot be written.
    """
    weights = _weights(model)
    with lq.context.quantized_scope(False):
        values = model.get_weights()
    entries: list[_Entry] = []
    tensors: dict[str, np.ndarray] = {}
    for weight, value in zip(weights, values, strict=True):
        stored, arrays = _encode(weight, np.asarray(value), float16)
        entries.append(weight.entry(stored))
        tensors.update({f"{weight.name}.{part}": array for part, array in arrays.items()})
    about = {
        "version": _VERSION,
        "model": str(model.name),
        "rotates": rotates(model),
        "weights": [asdict(entry) for entry in entries],
    }
    about["sha256"] = _digest(about, tensors)
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, {_KEY: json.dumps(about)}))


def load_packed(model: tf.keras.Model, path: str | Path) -> None:
    """Load the weights that `save_packed` wrote into a model of the same architecture.

    All weights are loaded, or none: the file is checked against its SHA-256 and the model first.
    The checksum detects damage, not tampering: load only files that you trust.

    Raises:
        ValueError: If the file is corrupt or of another kind, or has weights of other shapes,
            types or quantizers than `model`; the message lists them by layer.
        OSError: If there is no such file, or it cannot be read.
    """
    read_into(model, Path(path), other_head=False)


def read_into(model: tf.keras.Model, path: Path, other_head: bool) -> str:
    """Load the weights in `path` into `model`; all of them, or those in front of another head.

    Returns:
        Half a sentence that says what was left out, empty if nothing was.
    """
    weights = _weights(model)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    if not path.is_file():
        raise ValueError(f"{path} is not a packed weights file: it is not an ordinary file.")
    about, entries, tensors = _read(path)
    try:
        if bool(about.get("rotates")) != rotates(model):
            raise ValueError(" one is for models with `torch_padding=True`, the other is not")
        theirs, ours = [entry.slot() for entry in entries], [weight.slot() for weight in weights]
        count, left_out = fitting(theirs, ours, model, other_head)
        _refuse_other_quantizers(weights[:count], entries[:count])
    except ValueError as error:
        reason = f"{path} does not hold the weights of {model.name}:{error}"
        raise type(error)(reason) from None
    try:
        expected = {f"{entry.name}.{part}" for entry in entries for part in _TENSORS[entry.stored]}
        if expected != tensors.keys():
            raise ValueError("it has other tensors than its list of weights")
        pairs = zip(weights[:count], entries[:count], strict=True)
        values = [_decode(*pair, tensors) for pair in pairs]
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ValueError(f"{path} is corrupt: {error}.") from error
    with lq.context.quantized_scope(False):
        values += model.get_weights()[count:]
    model.set_weights(values)  # the latent ones, in every scope of Larq
    return left_out


@dataclass(frozen=True)
class _Entry:
    """What a file says about a weight."""

    name: str
    shape: list[int]
    dtype: str
    stored: str
    quantizer: str | None = None

    def slot(self) -> Slot:
        """The weight as it is compared. The file does not have the names of layers."""
        shape = tuple(self.shape) if isinstance(self.shape, list) else (self.shape,)
        return Slot("", str(self.name).partition(".")[2], shape, str(self.dtype))


@dataclass(frozen=True)
class _Weight:
    """A weight of a model.

    Attributes:
        name: Position of the weight and the last part of its name. The rest of the name differs
            between sessions, because Keras numbers layers in the order in which they are made.
        variable: The weight; the latent one if it is binary.
        quantizer: The quantizer, if the weight is binary.
        compute_dtype: Type in which the layer calls the quantizer.
        layer: Name of the layer.
    """

    name: str
    variable: tf.Variable
    quantizer: Callable[[tf.Tensor], tf.Tensor] | None
    compute_dtype: str
    layer: str

    def slot(self) -> Slot:
        """The weight as it is compared."""
        _, _, name = self.name.partition(".")
        return Slot(self.layer, name, tuple(self.variable.shape), self.variable.dtype.name)

    def entry(self, stored: str) -> _Entry:
        """The weight as it is listed in a file."""
        quantizer, variable = self.quantizer, self.variable
        name = None
        if quantizer is not None:
            name = getattr(quantizer, "__name__", type(quantizer).__name__)
        return _Entry(self.name, [*variable.shape], variable.dtype.name, stored, name)

    def quantize(self, latent: np.ndarray) -> np.ndarray:
        """The binary weights that come from `latent`."""
        assert self.quantizer is not None
        metrics = getattr(self.quantizer, "metrics", ())  # Larq's count every call
        counts = [(count, count.numpy()) for metric in metrics for count in metric.variables]
        quantized = self.quantizer(tf.cast(latent, self.compute_dtype)).numpy()
        for count, value in counts:
            count.assign(value)
        return quantized


def _weights(model: tf.keras.Model) -> list[_Weight]:
    """The weights of `model`, in the order of `get_weights`."""
    if not model.built:
        raise ValueError(f"{model.name} has no weights yet: build it or call it on data first.")
    binary = {}
    for module in model.submodules:
        for name in KERNELS:
            kernel: Any = getattr(module, name, None)
            if getattr(kernel, "precision", None) == 1:
                binary[id(kernel)] = (kernel.quantizer, module.compute_dtype)
    layers = {id(weight): layer.name for layer in flat_layers(model) for weight in layer.weights}
    weights = []
    for index, variable in enumerate(model.weights):
        name = f"{index:04}.{variable.name.split('/')[-1].split(':')[0]}"
        quantizer, dtype = binary.get(id(variable), (None, ""))
        layer = layers.get(id(variable), model.name)
        weights.append(_Weight(name, variable, quantizer, dtype, layer))
    return weights


def _encode(weight: _Weight, value: np.ndarray, float16: bool) -> tuple[str, dict[str, np.ndarray]]:
    """The word for `stored` that says how a weight is stored, and the arrays that hold it."""
    if not np.isfinite(value).all():
        raise ValueError(f"The weight {weight.variable.name} has NaN or infinite values.")
    if weight.quantizer is not None:
        negative = value < 0
        quantized = weight.quantize(value)
        for stored, sums in _candidates(quantized):
            latent = _latent(negative, sums).astype(value.dtype)
            if weight.quantize(latent).tobytes() == quantized.tobytes():
                bits = {"bits": np.packbits(negative)}
                return stored, bits if sums is None else {**bits, "sums": _deflate(sums)}
    elif float16 and value.dtype in (np.float32, np.float64):
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if not np.isfinite(half).all():
            raise ValueError(f"The weight {weight.variable.name} has values too large for float16.")
        return "float16", {"data": _deflate(half)}
    return "whole", {"data": _deflate(value)}


def _candidates(quantized: np.ndarray) -> Iterator[tuple[str, np.ndarray | None]]:
    """Ways to store a binary kernel, of which the first that gives it back exactly is taken.

    Each is a word for `stored`, and the sums of magnitudes that it stores.
    """
    yield "signs", None
    if quantized.dtype != np.float32:  # sums are exact in float32 only
        return
    scales = np.abs(quantized).reshape(-1, quantized.shape[-1]).max(axis=0)
    if (scales == scales[0]).all():
        yield "layer_mean", _sums(scales[:1], quantized.size)
    yield "filter_means", _sums(scales, quantized.size // scales.size)


def _sums(means: np.ndarray, count: int) -> np.ndarray:
    """Float32 sums that give `means` when they are divided by `count`, if there are such sums.

    Each is the one nearest to the exact product. Whether it gives the mean back is for the caller
    to check.
    """
    return (means * np.float64(np.float32(count))).astype(np.float32)


def _latent(negative: np.ndarray, sums: np.ndarray | None) -> np.ndarray:
    """Latent weights with given signs, and given sums of magnitudes over all but the last axis.

    The magnitudes add up to the sum exactly, in whatever order they are added and by however many
    threads. The sum is K times `unit`, the value of its last bit, and K < 2**24. Each of the n
    weights gets K // n units or one more. So the sum of any of the weights is also fewer than 2**24
    units, which float32 holds without rounding. If there are more weights than units, a weight that
    would get none gets a number that is too small to change any sum.
    """
    if sums is None:
        return np.where(negative, np.float32(-1), np.float32(1))
    count = negative.size // sums.size
    mantissa, exponent = np.frexp(sums)
    units = np.ldexp(mantissa, 24).astype(np.int64)
    unit = np.ldexp(np.float32(1), exponent - 24)
    less = np.where(sums > 0, np.maximum((units // count) * unit, _TINY), 0).astype(np.float32)
    more = ((units // count + 1) * unit).astype(np.float32)
    gets_more = np.arange(count)[:, None] < units % count
    magnitudes = np.where(gets_more, more, less).reshape(negative.shape)
    return np.where(negative, -magnitudes, magnitudes)


def _deflate(array: np.ndarray) -> np.ndarray:
    """The bytes of an array, first bytes first, compressed."""
    planes = np.frombuffer(array.tobytes(), np.uint8).reshape(-1, array.itemsize).T
    return np.frombuffer(zlib.compress(planes.tobytes(), 9), np.uint8)


def _inflate(data: np.ndarray, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """The array that `_deflate` was given. Corrupt data cannot make a larger one."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    inflater = zlib.decompressobj()
    content = inflater.decompress(data.tobytes(), size + 1)
    if len(content) != size or not inflater.eof or inflater.unused_data:
        raise ValueError("an array has the wrong size")
    planes = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1)
    return np.frombuffer(planes.T.tobytes(), dtype).reshape(shape)


def _decode(weight: _Weight, entry: _Entry, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """The value of a weight, whose entry has been compared with the model."""
    shape = weight.variable.shape
    dtype = np.dtype(weight.variable.dtype.as_numpy_dtype)
    if "data" in _TENSORS[entry.stored]:
        held = np.dtype(np.float16) if entry.stored == "float16" else dtype
        return _inflate(tensors[f"{entry.name}.data"], shape, held).astype(dtype)
    bits = tensors[f"{entry.name}.bits"]
    count = int(np.prod(shape))
    if bits.size != -(-count // 8):
        raise ValueError("an array has the wrong size")
    negative = np.unpackbits(bits, count=count).astype(bool).reshape(shape)
    sums = None
    if entry.stored != "signs":
        columns = shape[-1] if entry.stored == "filter_means" else 1
        sums = _inflate(tensors[f"{entry.name}.sums"], (columns,), np.dtype(np.float32))
        if not (np.isfinite(sums) & (sums >= 0)).all():
            raise ValueError("a sum of magnitudes is not a positive number")
    return _latent(negative, sums).astype(dtype)


def _read(path: Path) -> tuple[dict[str, Any], list[_Entry], dict[str, np.ndarray]]:
    """The metadata of a file, its list of weights and tensors, after a check of its SHA-256."""
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                reason = "`save_packed` writes those"
                raise ValueError(f"{path} is not a packed weights file: {reason}.")
            tensors = {key: _bytes(file, key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        reason = f"{path} is not a packed weights file, or a corrupt one: {error}."
        raise ValueError(reason) from error
    try:
        about = json.loads(text)
        version, sha256 = about["version"], about.pop("sha256")
        entries = [_Entry(**entry) for entry in about["weights"]]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is corrupt: its list of weights cannot be read.") from error
    if version != _VERSION:
        raise ValueError(
            f"{path} is a packed weights file of version {version!r}, and this version of "
            f"larq_reactnet reads version {_VERSION} only."
        )
    if sha256 != _digest(about, tensors):
        raise ValueError(f"{path} is corrupt: its content does not have the SHA-256 it should.")
    return about, entries, tensors


def _bytes(file: safe_open, key: str) -> np.ndarray:
    """A tensor of bytes."""
    part = file.get_slice(key)
    if part.get_dtype() != "U8" or len(part.get_shape()) != 1:
        raise SafetensorError(f"{key} is not a list of bytes")
    return file.get_tensor(key)


def _digest(about: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 of all that a file holds."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for key in sorted(tensors):
        digest.update(f"{key} {tensors[key].size} ".encode())
        digest.update(tensors[key].tobytes())
    return digest.hexdigest()


def _refuse_other_quantizers(weights: list[_Weight], entries: list[_Entry]) -> None:
    """Raise ValueError if a binary weight has another quantizer in the file; it lists them."""
    lines = []
    for weight, theirs in zip(weights, entries, strict=True):
        ours = weight.entry(theirs.stored).quantizer
        if theirs.quantizer != ours and theirs.stored not in ("whole", "float16"):
            lines.append(
                f"\n  {weight.layer}: quantized by {theirs.quantizer or 'nothing'} in the file, by "
                f"{ours or 'nothing'} in the model"
            )
    if lines:
        raise ValueError("".join(lines))
