"""A network in int8 as C that calls Arm's CMSIS-NN, with the interface of what `export_c` writes.

The `.tflite` is what TensorFlow Lite makes of a Keras model: one scale for each tensor, and one for
each filter. Its multiplications of fixed point are those of TensorFlow Lite Micro, whose kernels on
Cortex-M are these calls. No file of CMSIS-NN is needed to write the C; to compile it, its headers
and its library are.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from larq_reactnet.converters._c.memory import Block, place
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.graph import Graph

import numpy as np
import tensorflow as tf

__all__ = ["int8_file", "int8_scores", "write_int8"]

_HEAD = """/* {name}: a network in int8, by calls of CMSIS-NN. */
#include <string.h>
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"
#include "{name}_weights.c"
#ifndef {upper}_LOOK
#define {upper}_LOOK(tensor, data, bytes)
#endif
#define {upper}_ARENA_BYTES {bytes}
#define {upper}_SCORES {scores}

/* A ReLU with another scale, as in TensorFlow Lite Micro: CMSIS-NN has none. */
static inline arm_cmsis_nn_status relu_s8(const int8_t *input, int32_t from, int8_t *output,
                                          int32_t to, int32_t multiplier, int32_t shift,
                                          int32_t count) {{
  for (int32_t i = 0; i < count; ++i) {{
    const int32_t value = arm_nn_requantize(input[i] - from, multiplier, shift) + to;
    output[i] = (int8_t)(value < to ? to : value > 127 ? 127 : value);
  }}
  return ARM_CMSIS_NN_SUCCESS;
}}

int {name}_run(const int8_t *image, float *scores, void *memory) {{
  int8_t *arena = (int8_t *)memory;
"""


def int8_file(model: tf.keras.Model, images: np.ndarray) -> bytes:
    """A Keras model in int8, inputs and outputs too, calibrated with images."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    return bytes(converter.convert())


def int8_scores(content: bytes, image: np.ndarray) -> tuple[np.ndarray, float]:
    """The scores of TensorFlow Lite's reference kernels, and two steps of the last scale.

    CMSIS-NN rounds some of its multiplications in another way.
    """
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF
    interpreter = tf.lite.Interpreter(
        model_content=content, experimental_op_resolver_type=kernels, num_threads=1
    )
    interpreter.allocate_tensors()
    (given,), (gives,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], image)
    interpreter.invoke()
    scale, zero = gives["quantization"]
    numbers = interpreter.get_tensor(gives["index"]).ravel().astype(np.float32)
    return (numbers - zero) * np.float32(scale), 2 * float(scale)


@dataclass
class _Tensor:
    """A tensor in int8: its values are `scale * (number - zero)`.

    Attributes:
        at: Where it is, in C.
        shape: Height, width and channels.
        scales: One, or one for each filter.
        zero: The number that means 0.
        values: Of a constant.
    """

    at: str
    shape: tuple[int, ...]
    scales: np.ndarray
    zero: int
    values: np.ndarray | None = None

    @property
    def scale(self) -> float:
        return float(self.scales[0])

    @property
    def dims(self) -> str:
        height, width, channels = (1, 1, *self.shape)[-3:]
        return f"&(const cmsis_nn_dims){{1, {height}, {width}, {channels}}}"


@dataclass
class _Writer:
    """Writes the calls, and remembers the weights and the memory."""

    name: str
    graph: Graph
    into: Path
    lines: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)
    tensors: dict[int, _Tensor] = field(default_factory=dict)
    blocks: dict[int | str, Block] = field(default_factory=dict)

    def tensor(self, index: int, stage: int) -> _Tensor:
        """A tensor that a stage uses."""
        if index not in self.tensors:
            found = self.graph.tensors[index]
            quantization = found.quantization
            shape = self.graph.shape(index)
            values = tflite.constant(self.graph.model, found)
            at = "image"
            if values is None and index not in self.graph.inputs:
                at = f"arena + @{index}@"
                size = (math.prod(shape) + 3) // 4 * 4
                self.blocks[index] = Block(str(index), size, stage, stage)
            self.tensors[index] = _Tensor(
                at,
                shape if values is not None else shape[1:],
                np.asarray(quantization.scale, np.float64),
                int(quantization.zeroPoint[0]),
                values,
            )
        if index in self.blocks:
            self.blocks[index].last = stage
        return self.tensors[index]

    def constant(self, values: Iterable[int], ctype: str) -> str:
        """The name of an array of numbers. A file has them: a compiler reads numbers slowly."""
        name = f"{self.name}_{ctype[0]}{len(self.weights)}"
        path = self.into / f"{name}.bin"
        path.write_bytes(np.array(list(values), f"<i{4 if ctype == 'int32' else 1}").tobytes())
        self.weights.append(
            f"extern const {ctype}_t {name}[];\n"
            f'__asm__(".section .rodata.{name},\\"a\\"\\n.balign 4\\n{name}:\\n"\n'
            f'        ".incbin \\"{path}\\"\\n.previous\\n");\n'
        )
        return name

    def buffer(self, stage: int, size: int) -> str:
        """Memory that a call works in."""
        self.blocks[f"b{stage}"] = Block("buffer", (size + 3) // 4 * 4, stage, stage)
        return f"&(const cmsis_nn_context){{arena + @b{stage}@, {size}}}"


def _fixed(real: float) -> tuple[int, int]:
    """`real` as a multiplier of 31 bits behind the point, and a shift to the left."""
    fraction, shift = math.frexp(real)
    multiplier = round(fraction * (1 << 31))
    return (multiplier // 2, shift + 1) if multiplier == 1 << 31 else (multiplier, shift)


def _limits(kind: int, output: _Tensor) -> str:
    """The activation of an operator: none, ReLU or ReLU6."""
    low, high = {0: (-np.inf, np.inf), 1: (0, np.inf), 3: (0, 6)}[kind]
    least = max(-128, output.zero + low / output.scale)
    most = min(127, output.zero + high / output.scale)
    return f"{round(least)}, {round(most)}"


def _padding(options: Any, given: _Tensor, output: _Tensor, size: tuple[int, int]) -> str:
    """Width and height of the padding in front of an image."""
    if options.padding != 0:
        return "{0, 0}"
    steps = (options.strideH, options.strideW)
    found = [
        max((output.shape[i] - 1) * steps[i] + size[i] - given.shape[i], 0) // 2 for i in (0, 1)
    ]
    return f"{{{found[1]}, {found[0]}}}"


def _scaling(w: _Writer, given: _Tensor, weights: _Tensor, output: _Tensor, count: int) -> str:
    """The multiplier and the shift of each filter."""
    scales = np.broadcast_to(weights.scales, count)
    pairs = [_fixed(given.scale * scale / output.scale) for scale in scales]
    names = [w.constant(column, "int32") for column in zip(*pairs, strict=True)]
    return ", ".join(f"(int32_t *){name}" for name in names)


def _conv(w: _Writer, stage: int, options: Any, tensors: list[_Tensor]) -> str:
    given, weights, bias, output = tensors
    assert weights.values is not None
    assert bias.values is not None
    filters, height, width, channels = weights.shape
    buffer = w.buffer(stage, 4 * ((height * width * channels + 3) // 4 * 4))
    params = (
        f"{-given.zero}, {output.zero}, {{{options.strideW}, {options.strideH}}}, "
        f"{_padding(options, given, output, (height, width))}, {{1, 1}}, "
        f"{{{_limits(options.fusedActivationFunction, output)}}}"
    )
    return (
        f"arm_convolve_wrapper_s8({buffer}, &(const cmsis_nn_conv_params){{{params}}}, "
        "&(const cmsis_nn_per_channel_quant_params)"
        f"{{{_scaling(w, given, weights, output, filters)}}}, {given.dims}, {given.at}, "
        f"&(const cmsis_nn_dims){{{filters}, {height}, {width}, {channels}}}, "
        f"{w.constant(weights.values.ravel(), 'int8')}, "
        f"&(const cmsis_nn_dims){{1, 1, 1, {filters}}}, "
        f"{w.constant(bias.values.ravel(), 'int32')}, {output.dims}, {output.at})"
    )


def _dense(w: _Writer, stage: int, options: Any, tensors: list[_Tensor]) -> str:
    given, weights, *rest, output = tensors
    assert weights.values is not None
    outputs, size = weights.shape
    bias = np.zeros(outputs) if not rest or rest[0].values is None else rest[0].values
    params = (
        f"{-given.zero}, 0, {output.zero}, {{{_limits(options.fusedActivationFunction, output)}}}"
    )
    return (
        "arm_fully_connected_wrapper_s8(&(const cmsis_nn_context){0, 0}, "
        f"&(const cmsis_nn_fc_params){{{params}}}, "
        f"&(const cmsis_nn_quant_params){{{_scaling(w, given, weights, output, outputs)}, 1}}, "
        f"&(const cmsis_nn_dims){{1, 1, 1, {size}}}, {given.at}, "
        f"&(const cmsis_nn_dims){{{size}, 1, 1, {outputs}}}, "
        f"{w.constant(weights.values.ravel(), 'int8')}, "
        f"&(const cmsis_nn_dims){{1, 1, 1, {outputs}}}, {w.constant(bias.ravel(), 'int32')}, "
        f"&(const cmsis_nn_dims){{1, 1, 1, {outputs}}}, {output.at})"
    )


def _pool(w: _Writer, stage: int, options: Any, tensors: list[_Tensor], kind: str) -> str:
    given, output = tensors
    size = (options.filterHeight, options.filterWidth)
    params = (
        f"{{{options.strideW}, {options.strideH}}}, {_padding(options, given, output, size)}, "
        f"{{{_limits(options.fusedActivationFunction, output)}}}"
    )
    buffer = w.buffer(stage, 4 * given.shape[-1] if kind == "avg" else 0)
    function = {"avg": "arm_avgpool_s8", "max": "arm_max_pool_s8"}[kind]
    return (
        f"{function}({buffer}, &(const cmsis_nn_pool_params){{{params}}}, {given.dims}, "
        f"{given.at}, &(const cmsis_nn_dims){{1, {size[0]}, {size[1]}, 1}}, {output.dims}, "
        f"{output.at})"
    )


def _add(w: _Writer, stage: int, options: Any, tensors: list[_Tensor]) -> str:
    one, other, output = tensors
    if one.shape != other.shape:
        raise ValueError("An addition of tensors of different shapes has no call of CMSIS-NN.")
    most, left = 2 * max(one.scale, other.scale), 20
    inputs = ", ".join(
        f"{-t.zero}, {m}, {s}" for t in (one, other) for m, s in (_fixed(t.scale / most),)
    )
    multiplier, shift = _fixed(most / ((1 << left) * output.scale))
    return (
        f"arm_elementwise_add_s8({one.at}, {other.at}, {inputs}, {left}, {output.at}, "
        f"{output.zero}, {multiplier}, {shift}, "
        f"{_limits(options.fusedActivationFunction, output)}, {math.prod(output.shape)})"
    )


def _concatenation(w: _Writer, stage: int, options: Any, tensors: list[_Tensor]) -> str:
    *parts, output = tensors
    calls, first = [], 0
    for part in parts:
        if (part.scale, part.zero) != (output.scale, output.zero):
            raise ValueError("A concatenation of tensors of different scales has no call.")
        height, width, channels = part.shape
        calls.append(
            f"arm_concatenation_s8_x({part.at}, {channels}, {width}, {height}, 1, {output.at}, "
            f"{output.shape[-1]}, {first})"
        )
        first += channels
    return f"({', '.join(calls)}, ARM_CMSIS_NN_SUCCESS)"


def _relu(w: _Writer, stage: int, options: Any, tensors: list[_Tensor]) -> str:
    given, output = tensors
    multiplier, shift = _fixed(given.scale / output.scale)
    return (
        f"relu_s8({given.at}, {given.zero}, {output.at}, {output.zero}, {multiplier}, {shift}, "
        f"{math.prod(output.shape)})"
    )


_CALLS: dict[str, Callable[[_Writer, int, Any, list[_Tensor]], str]] = {
    "CONV_2D": _conv,
    "FULLY_CONNECTED": _dense,
    "AVERAGE_POOL_2D": lambda *args: _pool(*args, kind="avg"),
    "MAX_POOL_2D": lambda *args: _pool(*args, kind="max"),
    "ADD": _add,
    "RELU": _relu,
    "CONCATENATION": _concatenation,
}


def write_int8(content: bytes, name: str, into: Path) -> None:
    """Write `NAME.c` and `NAME_weights.c` of a `.tflite` in int8.

    Raises:
        ValueError: If an operator of it has no call here.
    """
    model = tflite.read(content)
    graph = Graph(model, model.subgraphs[0])
    w = _Writer(name, graph, into)
    for stage, operator in enumerate(graph.operators):
        kind, (gives,) = graph.name(operator), graph.outputs_of(operator)
        inputs = [i for i in graph.inputs_of(operator) if i >= 0]
        if kind == "RESHAPE":
            given = w.tensor(inputs[0], stage)
            w.tensors[gives] = _Tensor(given.at, graph.shape(gives)[1:], given.scales, given.zero)
            if inputs[0] in w.blocks:
                w.blocks[gives] = w.blocks[inputs[0]]
            continue
        if kind not in _CALLS:
            raise ValueError(f"A {kind} in int8 has no call of CMSIS-NN here.")
        tensors = [w.tensor(i, stage) for i in (*inputs, gives)]
        call = _CALLS[kind](w, stage, operator.builtinOptions, tensors)
        size = math.prod(tensors[-1].shape)
        w.lines.append(f"  if ({call} != ARM_CMSIS_NN_SUCCESS) return -1;")
        w.lines.append(f"  {name.upper()}_LOOK({gives}, {tensors[-1].at}, {size});")
    (last,) = graph.outputs
    output = w.tensor(last, len(graph.operators))
    count = math.prod(output.shape)
    w.lines.append(
        f"  for (int32_t i = 0; i < {count}; ++i) "
        f"scores[i] = (float)(({output.at})[i] - ({output.zero})) * {output.scale!r}f;"
    )
    unique = list({id(block): block for block in w.blocks.values()}.values())
    bytes_ = place(unique)
    body = "\n".join(w.lines)
    for key, block in w.blocks.items():
        body = body.replace(f"@{key}@", str(block.offset))
    head = _HEAD.format(name=name, upper=name.upper(), bytes=bytes_, scores=count)
    (into / f"{name}.c").write_text(f"{head}{body}\n  return 0;\n}}\n")
    guard = f"{name.upper()}_WEIGHTS"
    (into / f"{name}_weights.c").write_text(
        f"#ifndef {guard}\n#define {guard}\n#include <stdint.h>\n{''.join(w.weights)}#endif\n"
    )
