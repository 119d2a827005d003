"""What a stage begins with, in C: the call of a kernel that computes a pixel."""

from typing import Any

from larq_reactnet.converters._c.bits import binary_filters
from larq_reactnet.converters._c.context import Context
from larq_reactnet.converters._c.graph import Node, Tensor
from larq_reactnet.converters._c.integers import PIXEL_CONV
from larq_reactnet.converters._c.stages import LOAD, PIXELS, Stage
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, DEQUANTIZE

import numpy as np

__all__ = [
    "binary",
    "check_concatenation",
    "check_mean",
    "first_channel",
    "pooled",
    "source_lines",
    "window_of",
    "window_of_pool",
]


def window_of(given: Tensor, output: Tensor, size: tuple[int, int], options: Any) -> str:
    """The initializer of a window."""
    keys = (
        ("stride_height", "stride_width", "dilation_height_factor", "dilation_width_factor")
        if "stride_height" in options
        else ("strideH", "strideW", "dilationHFactor", "dilationWFactor")
    )
    steps = [int(options.get(key, 1)) for key in keys]
    padding = [0, 0]
    if options["padding"] == 0:
        for axis, (length, out) in enumerate(
            zip((given.height, given.width), (output.height, output.width), strict=True)
        ):
            needed = (out - 1) * steps[axis] + (size[axis] - 1) * steps[axis + 2] + 1 - length
            padding[axis] = max(needed, 0) // 2
    numbers = (given.height, given.width, *size, *steps, *padding)
    return "{" + ", ".join(map(str, numbers)) + "}"


def window_of_pool(node: Node) -> str:
    """The initializer of the window of a pool."""
    size = (int(node.options["filterHeight"]), int(node.options["filterWidth"]))
    return window_of(node.tensors[0], node.output, size, node.options)


def source_lines(code: Context, stage: Stage, lines: list[str]) -> list[str]:
    node = stage.source
    given = node.tensors[0]
    channels = given.channels
    if stage.pool is not None:
        width = node.output.width
        inner = _convolution(code, node, lines, f"under / {width}", f"under % {width}", "pixel")
        activation = code.activation(node, node.output.channels)
        inner += [line.replace("(row", "(pixel") for line in activation]
        return pooled(code, stage, lines, inner)
    if node.kind in ("CONV_2D", PIXEL_CONV, BCONV2D):
        return _convolution(code, node, lines, "y", "x", "row")
    if node.kind == LOAD:
        at = f"{code.pointer(given)} + at * {channels}"
        return [f"memcpy(row, {at}, {channels} * sizeof(float));"]
    if node.kind == PIXELS:
        code.params.add("image")
        table = code.pixels()
        at = f"{code.bytes()} + at * {channels}"
        return [f"{code.use('pixels')}({at}, {table}, {channels}, row);"]
    if node.kind == DEQUANTIZE:
        at = f"{code.pointer(given)} + at * {given.words}"
        return [f"{code.use('dequantize')}({at}, {channels}, row);"]
    if node.kind == "FULLY_CONNECTED":
        return _dense(code, node)
    if node.kind == "CONCATENATION":
        return _concatenation(code, node)
    if node.kind == "MEAN":
        check_mean(node)
        at = code.pointer(given)
        return [f"{code.use('mean')}({at}, {given.pixels}, {channels}, row);"]
    if node.kind == "STRIDED_SLICE":
        return _slice(code, node)
    if node.kind in ("PAD", "PADV2"):
        return _pad(code, node)
    size: tuple[int, int]
    if node.kind == "DEPTHWISE_CONV_2D":
        weights, bias = node.constant(1), node.constant(2)
        assert weights is not None
        filters = weights.values.shape[-1]
        window = window_of(given, node.output, _size(weights.values), node.options)
        bias_values = np.zeros(filters) if bias is None else bias.real
        arguments = (
            f"{code.constant(weights.real, 'weights')}, "
            f"{code.constant(bias_values, 'bias')}, {channels}, {filters // channels}"
        )
        address = code.static("window", "window", window)
        at = code.pointer(given)
        return [f"{code.use('depthwise')}({address}, {at}, {arguments}, y, x, row);"]
    if node.kind == BMAXPOOL2D:
        size = (int(node.options["filter_height"]), int(node.options["filter_width"]))
        window = code.static("window", "window", window_of(given, node.output, size, node.options))
        flips = node.constant(1)
        which = "0" if flips is None else code.constant(flips.values, "flips")
        places = f"{given.words}, y, x, {code.pointer(node.output)} + at * {given.words}"
        return [f"{code.use('bmaxpool2d')}({window}, {code.pointer(given)}, {which}, {places});"]
    kernel = {"MAX_POOL_2D": "maxpool2d", "AVERAGE_POOL_2D": "avgpool2d"}[node.kind]
    address = code.static("window", "window", window_of_pool(node))
    at = code.pointer(given)
    return [f"{code.use(kernel)}({address}, {at}, {given.words}, y, x, row);"]


def _size(filters: np.ndarray) -> tuple[int, int]:
    """Height and width of filters."""
    return int(filters.shape[1]), int(filters.shape[2])


def pooled(code: Context, stage: Stage, lines: list[str], inner: list[str]) -> list[str]:
    """A convolution for each pixel under the window of a pool: `inner`, which gives `pixel`."""
    assert stage.pool is not None
    channels = stage.pool.output.channels
    options = stage.pool.options
    size = (int(options["filterHeight"]), int(options["filterWidth"]))
    window = code.static("window", "pool", window_of_pool(stage.pool))
    lines.append(f"  {code.number} *pixel = {code.scratch('pixel')};")
    code.use("base")
    return [
        "int32_t is_first = 1;",
        f"for (int32_t i = 0; i < {size[0]}; ++i) {{",
        f"  for (int32_t j = 0; j < {size[1]}; ++j) {{",
        f"    const int32_t under = {code.name}_under({window}, y, x, i, j);",
        "    if (under < 0) continue;",
        *(f"    {line}" for line in inner),
        f"    {code.use('largest')}(row, pixel, is_first, {channels});",
        "    is_first = 0;",
        "  }",
        "}",
    ]


def _convolution(
    code: Context, node: Node, lines: list[str], y: str, x: str, row: str
) -> list[str]:
    if node.kind == BCONV2D:
        return binary(code, node, y, x, row)
    if node.kind == PIXEL_CONV:
        return _of_bytes(code, node, y, x, row)
    given = node.tensors[0]
    weights, bias = node.constant(1), node.constant(2)
    assert weights is not None
    filters, *shape = weights.values.shape
    if shape[2] != given.channels:
        raise ValueError(
            f"{node} is a real convolution in groups, which has no C form: write it as one "
            "convolution for each group, of a part of the channels, and a concatenation."
        )
    window = code.static(
        "window", "window", window_of(given, node.output, (shape[0], shape[1]), node.options)
    )
    lines.append(f"  float *patch = {code.scratch('patch')};")
    size = int(np.prod(shape))
    values = code.constant(weights.real, "weights")
    summands = code.constant(np.zeros(filters) if bias is None else bias.real, "bias")
    pointer, function = code.pointer(given), code.use("conv2d")
    if pointer == "image" and code.input_type != "float32":
        kernel = code.use("pixels_patch")
        arguments = f"{window}, {code.bytes()}, {code.pixels()}, {given.channels}, {y}, {x}"
    else:
        kernel = code.use("patch")
        arguments = f"{window}, {pointer}, {given.channels}, {y}, {x}"
    return [
        f"{kernel}({arguments}, patch);",
        f"{function}(patch, {values}, {summands}, {size}, {filters}, {row});",
    ]


def _of_bytes(code: Context, node: Node, y: str, x: str, row: str) -> list[str]:
    """A convolution of the bytes of the image."""
    given = node.tensors[0]
    weights, *others = (node.constant(i) for i in range(1, 5))
    assert weights is not None
    filters, *size, channels = weights.values.shape
    names = [code.constant(weights.values, "weights")]
    for other, what in zip(others, ("factors", "offsets", "means"), strict=True):
        assert other is not None
        names.append(code.constant(other.values, what))
    window = window_of(given, node.output, (size[0], size[1]), node.options)
    flip = "128u" if code.input_type == "int8" else "0u"
    numbers = (window, channels, filters, flip, *names)
    address = code.static("pixel_filters", "filters", "{" + ", ".join(map(str, numbers)) + "}")
    code.params.add("image")
    places = f"{y}, {x}, {code.scratch('bytes')}, {row}"
    return [f"{code.use('conv2d_pixels')}({address}, {code.bytes()}, {places});"]


def binary(code: Context, node: Node, y: str, x: str, row: str) -> list[str]:
    given, found = node.tensors[0], binary_filters(node)
    weights = node.constant(1)
    assert weights is not None
    filters, *size, words = weights.values.shape
    options = node.options
    numbers = (
        window_of(given, node.output, (size[0], size[1]), options),
        given.words,
        words,
        given.channels // found.groups,
        int(options["padding"] == 0 and options["pad_values"] == 0),
        filters // found.groups,
        found.groups,
        found.planes,
        found.offset,
        code.for_planes(found.weights, "weights"),
        code.for_planes(found.starts, "starts"),
        code.for_popcount(found.rows, "rows"),
        code.for_popcount(found.limits, "limits") if node.output.is_bits else "0",
    )
    address = code.static("bconv2d", "conv", "{" + ", ".join(map(str, numbers)) + "}")
    at, places = code.pointer(given), code.scratch("list")
    if node.output.is_bits:
        out = f"{code.pointer(node.output)} + at * {node.output.words}"
        return [f"{code.use('bconv2d_bits')}({address}, {at}, {y}, {x}, {places}, {out});"]
    multiplier, bias = code.affine(found)
    affine = (
        found.lowest,
        found.highest,
        code.constant(multiplier, "multiplier"),
        code.constant(bias, "bias"),
    )
    limits = code.static("affine", "affine", "{" + ", ".join(map(str, affine)) + "}")
    function = code.use("bconv2d_numbers")
    return [f"{function}({address}, {limits}, {at}, {y}, {x}, {places}, {row});"]


def _dense(code: Context, node: Node) -> list[str]:
    weights, bias = node.constant(1), node.constant(2)
    if weights is None:
        raise ValueError(f"{node} multiplies two tensors that are computed: it has no C form.")
    outputs, size = weights.values.shape
    kernel = {"float16": "dense_float16", "int8": "dense_int8"}.get(
        str(weights.values.dtype), "dense"
    )
    arguments = [code.constant(weights.values, "weights")]
    if weights.scales is not None:
        arguments.append(code.constant(weights.scales, "scales"))
    arguments.append(code.constant(np.zeros(outputs) if bias is None else bias.real, "bias"))
    at = code.pointer(node.tensors[0])
    if node.output.pixels > 1:
        at += f" + at * {size}"
    return [f"{code.use(kernel)}({at}, {', '.join(arguments)}, {size}, {outputs}, row);"]


def _concatenation(code: Context, node: Node) -> list[str]:
    check_concatenation(node)
    lines, first = [], 0
    for part in node.tensors:
        width = part.channels
        at = f"{code.pointer(part)} + at * {width}"
        lines.append(f"memcpy(row + {first}, {at}, {width} * sizeof(float));")
        first += width
    return lines


def _slice(code: Context, node: Node) -> list[str]:
    given = node.tensors[0]
    at = f"{code.pointer(given)} + at * {given.channels} + {first_channel(node)}"
    return [f"memcpy(row, {at}, {node.output.channels} * sizeof(float));"]


def check_mean(node: Node) -> None:
    """Raise a ValueError if it is the mean of something else than pixels."""
    axes = node.constant(1)
    assert axes is not None
    if sorted(int(axis) % 4 for axis in axes.values.ravel()) != [1, 2]:
        raise ValueError(f"{node} takes the mean of {axes.values.tolist()}, not of pixels.")


def check_concatenation(node: Node) -> None:
    """Raise a ValueError if it joins something else than channels."""
    rank = len(node.output.shape)
    if len(node.tensors) != len(node.inputs) or node.options["axis"] not in (-1, rank):
        raise ValueError(f"{node} joins something else than channels: it has no C form.")


def first_channel(node: Node) -> int:
    """The first of the channels that a slice takes.

    Raises:
        ValueError: If it takes something else than channels.
    """
    given, begin, steps = node.tensors[0], node.constant(1), node.constant(3)
    masks = [node.options[name] for name in ("newAxisMask", "shrinkAxisMask")]
    is_of_channels = given.shape[:-1] == node.output.shape[:-1] and not any(masks)
    if begin is None or steps is None or (steps.values != 1).any() or not is_of_channels:
        raise ValueError(
            f"{node} takes something else than channels side by side: it has no C form."
        )
    first = int(begin.values[-1])
    if node.options["beginMask"] >> (begin.values.size - 1) & 1:
        first = 0
    return max(first + given.channels if first < 0 else first, 0)


def _pad(code: Context, node: Node) -> list[str]:
    given, amounts, around = node.tensors[0], node.constant(1), node.constant(2)
    if amounts is None or amounts.values.shape != (4, 2) or amounts.values[0].any():
        raise ValueError(f"{node} pads something else than an image: it has no C form.")
    number = 0.0 if around is None else float(around.real.item())
    if not np.isfinite(number):
        raise ValueError(f"{node} pads with {number}: it has no C form.")
    (_, (top, _), (left, _), (before, _)) = amounts.values.tolist()
    window = f"{{{given.height}, {given.width}, 1, 1, 1, 1, 1, 1, {top}, {left}}}"
    address = code.static("window", "window", window)
    at = code.pointer(given)
    sizes = f"{given.channels}, {before}, {node.output.channels}, {number!r}f"
    return [f"{code.use('pad')}({address}, {at}, {sizes}, y, x, row);"]
