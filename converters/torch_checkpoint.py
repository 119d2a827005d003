"""Loads PyTorch checkpoints of ReActNet into Keras models that compute the same.

| PyTorch | Keras |
| --- | --- |
| convolution `(O, I, kh, kw)`, also flat if binary | `kernel (kh, kw, I, O)`, turned 180 degrees |
| bias before a sign | `-threshold` of RSign, or the LearnableBias that two signs share |
| biases before and after a PReLU, its weight | `-gamma`, `zeta` and `slope` of RPReLU |
| `weight, bias, running_mean, running_var` | `gamma, beta, moving_mean, moving_variance` |
| linear `(out, in)` | `kernel (in, out)` |

At stride 2, PyTorch pads the top and left of an image, and TensorFlow's `"same"` the bottom and
right. So kernels are rotated by 180 degrees, and the model rotates the image first:
`torch_padding=True` gives it the layer for that.
"""

import operator
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larq_reactnet.layers import rotates

import larq as lq
import numpy as np
import tensorflow as tf

__all__ = ["load_torch_checkpoint"]

# Older versions of `torch.load(weights_only=True)` can be made to run code: CVE-2025-32434 and
# CVE-2026-24747.
_SAFE_TORCH = "2.10"

_BATCH_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_CLASSIFIER = "logits"
_ZERO_IN = 1000  # one weight in this many may be 0


def load_torch_checkpoint(model: tf.keras.Model, path: str | Path) -> None:
    """Load the weights of the official ReActNet, or of AdamBNN, into a model of the zoo.

    The model then gives PyTorch's numbers, also after `export`, and takes the same images: RGB
    from 0 to 1, normalized with the mean and standard deviation of ImageNet. All weights are
    loaded, or none. No code in the file is run.

    A model without fixed image size is right for every size that the PyTorch network can take.
    Where the input of a sign is exactly its threshold, PyTorch's sign is 0 and Larq's is 1. It is
    the same with a binary weight that is exactly 0, as one in 16 million is that `torch.rand` drew
    and nobody trained: the official code computes with 0 there, and a binary network with +1. Such
    weights are loaded and counted in a warning, unless there are more than one in a thousand.

    !!! example
        ```python
        model = lr.zoo.ReActNetA(torch_padding=True)
        lr.converters.load_torch_checkpoint(model, "checkpoint.pth.tar")
        ```

    Args:
        model: ReActNet-A, 18 or 34, built with `torch_padding=True`, of the size that was trained.
            With `include_top=False`, the classifier in the file is not used.
        path: File that `torch.save` wrote: a dict with an entry `state_dict`, or that itself. Keys
            may begin with `module.`, and binary weights may be called `weight` or `weights`.

    Raises:
        ValueError: If the model is of another kind, if the file is not a checkpoint or would run
            code, or if it does not fit: the message lists all keys that are missing, unknown, of
            another shape or type, not finite, or binary and 0 in many places.
        ImportError: If PyTorch is not installed, or is too old to read files safely.
        OSError: If the file cannot be read.
    """
    targets = _targets(model)
    path = Path(path)
    tensors = _read(path)
    looks_like = _closest_network(tensors.keys(), model.name)
    if looks_like != model.name:
        raise ValueError(
            f"{path} is not a checkpoint of {model.name}: its keys look like those of {looks_like}."
        )

    assignments = []
    problems = []
    without_sign: dict[str, int] = {}
    for row, variable in targets:
        if row.key not in tensors:
            problems.append(f"{row.key} is missing")
            continue
        key, tensor = tensors.pop(row.key)
        if variable is None:
            continue
        try:
            value = _value(tensor, row.layout, variable)
            assignments.append((variable, value))
            if zeros := _zeros(row, variable, value):
                without_sign[key] = zeros
        except ValueError as error:
            problems.append(f"{key} {error}")
    problems += [f"{key} is unknown" for key, _ in tensors.values()]
    if problems:
        raise ValueError("\n  ".join([f"{path} does not fit {model.name}:", *problems]))
    with lq.context.quantized_scope(False):
        for variable, value in assignments:
            variable.assign(value)
    if without_sign:
        where = ", ".join(f"{count} of {key}" for key, count in without_sign.items())
        warnings.warn(
            f"Binary weights that are exactly 0: {where}. PyTorch's sign of 0 is 0, with which the "
            "official code computes; this model computes with +1, and its outputs differ by that.",
            stacklevel=2,
        )


@dataclass(frozen=True)
class _Row:
    """Where a tensor of a checkpoint goes.

    Attributes:
        key: Its key, without `module.` and with `weight` for `weights`.
        layer: Name of the Keras layer.
        weight: Attribute of that layer.
        layout: How the array is changed on the way: see `_shapes` and `_value`.
    """

    key: str
    layer: str
    weight: str
    layout: str = "vector"


def _reactnet_a() -> Iterator[_Row]:
    yield from _conv_bn("feature.0.conv1", "feature.0.bn1", "stem", "conv")
    for index in range(1, 14):
        theirs, ours = f"feature.{index}", f"block{index}"
        yield from _sign_conv_bn(
            f"{theirs}.move11", f"{theirs}.binary_3x3", f"{theirs}.bn1", f"{ours}_3x3"
        )
        yield from _rprelu(theirs, ("move12", "prelu1", "move13"), f"{ours}_3x3")
        if index in (1, 2, 4, 6, 12):  # the channels double
            yield _Row(f"{theirs}.move21.bias", f"{ours}_1x1_shift", "bias", "bias")
            for number, branch in ((1, "a"), (2, "b")):
                conv, bn = f"{theirs}.binary_pw_down{number}", f"{theirs}.bn2_{number}"
                yield from _conv_bn(conv, bn, f"{ours}_1x1_{branch}", "binary")
        else:
            yield from _sign_conv_bn(
                f"{theirs}.move21", f"{theirs}.binary_pw", f"{theirs}.bn2", f"{ours}_1x1"
            )
        yield from _rprelu(theirs, ("move22", "prelu2", "move23"), f"{ours}_1x1")
    yield from _classifier()


def _reactnet_resnet(blocks: tuple[int, ...]) -> Iterator[_Row]:
    yield from _conv_bn("conv1", "bn1", "stem", "conv")
    for stage, repeats in enumerate(blocks, 1):
        for index in range(repeats):
            theirs, ours = f"layer{stage}.{index}", f"stage{stage}_block{index + 1}"
            yield from _sign_conv_bn(
                f"{theirs}.move0", f"{theirs}.binary_conv", f"{theirs}.bn1", ours
            )
            yield from _rprelu(theirs, ("move1", "prelu", "move2"), ours)
            if stage > 1 and index == 0:
                conv, bn = f"{theirs}.downsample.1", f"{theirs}.downsample.2"
                yield _Row(f"{conv}.weight", f"{ours}_shortcut_conv", "kernel", "conv")
                yield from _bn(bn, f"{ours}_shortcut_bn")
    yield from _classifier()


def _sign_conv_bn(move: str, conv: str, bn: str, layer: str) -> Iterator[_Row]:
    yield _Row(f"{move}.bias", layer, "input_quantizer.threshold", "negated")
    yield from _conv_bn(conv, bn, layer, "binary")


def _conv_bn(conv: str, bn: str, layer: str, layout: str) -> Iterator[_Row]:
    yield _Row(f"{conv}.weight", layer, "kernel", layout)
    yield from _bn(bn, f"{layer}_bn")


def _bn(bn: str, layer: str) -> Iterator[_Row]:
    return (_Row(f"{bn}.{theirs}", layer, ours) for theirs, ours in _BATCH_NORM.items())


def _rprelu(block: str, names: tuple[str, str, str], layer: str) -> Iterator[_Row]:
    before, prelu, after = names
    yield _Row(f"{block}.{before}.bias", f"{layer}_rprelu", "gamma", "negated")
    yield _Row(f"{block}.{prelu}.weight", f"{layer}_rprelu", "slope")
    yield _Row(f"{block}.{after}.bias", f"{layer}_rprelu", "zeta", "bias")


def _classifier() -> Iterator[_Row]:
    yield _Row("fc.weight", _CLASSIFIER, "kernel", "dense")
    yield _Row("fc.bias", _CLASSIFIER, "bias")


_NETWORKS = {
    "reactnet_a": tuple(_reactnet_a()),
    "reactnet_18": tuple(_reactnet_resnet((4, 4, 4, 4))),
    "reactnet_34": tuple(_reactnet_resnet((6, 8, 12, 6))),
}


def _targets(model: Any) -> list[tuple[_Row, Any]]:
    """The rows for `model` and its variables for them; None for a classifier that it lacks.

    Raises:
        ValueError: If the model is not one that can take PyTorch's weights.
    """
    name = getattr(model, "name", None)
    if not isinstance(model, tf.keras.Model) or name not in _NETWORKS:
        raise ValueError(
            f"There are PyTorch checkpoints of {', '.join(_NETWORKS)}, but `model` is {name!r}."
        )
    if not rotates(model):
        raise ValueError(
            f"{name} pads images on other sides than PyTorch: build it with torch_padding=True."
        )
    _refuse_odd_maps(model)
    names = {layer.name for layer in model.layers}
    targets = []
    for row in _NETWORKS[name]:
        if row.layer == _CLASSIFIER and row.layer not in names:
            targets.append((row, None))
            continue
        try:
            variable = operator.attrgetter(row.weight)(model.get_layer(row.layer))
        except (AttributeError, ValueError) as error:
            raise ValueError(
                f"{name} has no `{row.weight}` in a layer {row.layer!r}: build it with its default "
                "`rsign` and `activation`."
            ) from error
        targets.append((row, variable))
    return targets


def _refuse_odd_maps(model: tf.keras.Model) -> None:
    """Raise ValueError if PyTorch's network fails for images of the size of `model`.

    It leaves out the last row and column of a map of odd size when it averages 2x2 pixels, but not
    when it convolves. At all other sizes the rotation is exact, even if the image size is odd.
    """
    for layer in model.layers:
        if not isinstance(layer, tf.keras.layers.AveragePooling2D):
            continue
        size = layer.input_shape[1:3]
        if any(pixels is not None and pixels % 2 for pixels in size):
            height, width = model.input_shape[1:3]
            raise ValueError(
                f"{model.name} of {height}x{width} images has no counterpart in PyTorch, which "
                f"cannot halve the {size[0]}x{size[1]} map at {layer.name}: build it with a height "
                "and width that are multiples of 32."
            )


def _closest_network(keys: Any, name: str) -> str:
    """The network that shares most keys with `keys`; `name` if none shares half of them."""
    similarity = {name: 0.5}
    for network, rows in _NETWORKS.items():
        known = {row.key for row in rows}
        similarity[network] = max(similarity.get(network, 0), len(known & keys) / len(known | keys))
    return max(similarity, key=lambda network: similarity[network])


def _value(tensor: Any, layout: str, variable: Any) -> np.ndarray:
    """The new value of `variable`, from `tensor`.

    Raises:
        ValueError: If it does not fit. The message is the end of a sentence that begins with the
            key.
    """
    import torch

    shape = tuple(variable.shape)
    expected = _shapes(layout, shape)
    if tuple(tensor.shape) not in expected:
        wanted = " or ".join(map(str, expected))
        raise ValueError(f"has shape {tuple(tensor.shape)} instead of {wanted}")
    if not tensor.is_floating_point():
        raise ValueError(f"has numbers of type {str(tensor.dtype).removeprefix('torch.')}")
    with np.errstate(over="ignore"):
        value = tensor.detach().to(torch.float64).numpy().astype(variable.dtype.as_numpy_dtype)
    if not np.isfinite(value).all():
        raise ValueError(f"has NaN or infinite values of type {value.dtype}")
    if layout in ("conv", "binary"):
        height, width, inputs, outputs = shape
        kernel = value.reshape(outputs, inputs, height, width)
        return kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0)
    if layout == "dense":
        return value.T
    return -value.reshape(shape) if layout == "negated" else value.reshape(shape)


def _zeros(row: _Row, variable: Any, value: np.ndarray) -> int:
    """How many binary weights in `value` are 0, which has no sign.

    Raises:
        ValueError: If they are too many for chance.
    """
    # A step 1 model has real weights under the names of binary ones. They may be 0.
    if row.layout != "binary" or getattr(variable, "precision", 32) != 1:
        return 0
    zeros = int(np.count_nonzero(value == 0))
    if zeros > max(1, value.size // _ZERO_IN):
        raise ValueError(f"has {zeros} binary weights that are 0, which has no sign")
    return zeros


def _shapes(layout: str, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes that PyTorch's tensor may have if the variable has the shape `shape`."""
    if layout in ("conv", "binary"):
        height, width, inputs, outputs = shape
        flat = (outputs * inputs * height * width, 1)
        return [(outputs, inputs, height, width), *([flat] if layout == "binary" else [])]
    if layout in ("bias", "negated"):
        return [(1, *shape, 1, 1)]
    return [shape[::-1]]  # linear, or a vector


def _read(path: Path) -> dict[str, tuple[str, Any]]:
    """The tensors in a checkpoint, and their keys there, by the keys of `_Row`."""
    state = _load(path)
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not state or not all(map(_is_named_tensor, state.items())):
        raise ValueError(f"{path} is not a checkpoint: it has no `state_dict` of named tensors.")
    tensors: dict[str, tuple[str, Any]] = {}
    for key, tensor in state.items():
        plain = re.sub(r"\.weights$", ".weight", key.removeprefix("module."))
        if plain in tensors:
            raise ValueError(f"{path} has both {tensors[plain][0]} and {key}.")
        if not plain.endswith(".num_batches_tracked"):
            tensors[plain] = key, tensor
    return tensors


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
    import torch

    key, tensor = item
    is_dense = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
    return isinstance(key, str) and is_dense and tensor.device.type == "cpu"


def _load(path: Path) -> Any:
    """What is in a file that `torch.save` wrote, if it is plain data."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "PyTorch checkpoints are read by PyTorch: run `pip install 'larq-reactnet[torch]'`."
        ) from error
    if torch.__version__ < _SAFE_TORCH:
        raise ImportError(
            f"PyTorch {torch.__version__} can be made to run code in a checkpoint: run "
            f"`pip install 'torch>={_SAFE_TORCH}'`."
        )
    with path.open("rb") as file:
        if file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            raise ValueError(
                f"{path} is a web page, not a checkpoint: open it, or the link that it came from, "
                "in a browser and download the file itself."
            )
        file.seek(0)
        try:
            if zipfile.is_zipfile(file) and zipfile.ZipFile(file).testzip() is not None:
                raise ValueError("a checksum is wrong")  # `torch.load` does not check them
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # the reader of a corrupt file may raise anything
            called = re.search(r"GLOBAL ([\w.]+)", str(error))
            if called:
                raise ValueError(
                    f"{path} would run {called[1]}, but code in a file is never run: a checkpoint "
                    "may hold only the `state_dict()` of a model and plain numbers."
                ) from error
            raise ValueError(
                f"{path} is not a PyTorch checkpoint, or is a damaged one: download it again."
            ) from error
