"""`.tflite` files as Python objects, by TensorFlow Lite's published schema.

The classes are those that come with TensorFlow, because Larq Compute Engine, which has them too, is
not there on every machine. Their names end in T: a `ModelT` has `subgraphs`, `buffers` and
`operatorCodes`, and a `SubGraphT` has `tensors` and `operators`.
"""

from typing import Any, TypeAlias

from larq_reactnet._shared.model import File, content_of
from larq_reactnet.converters._lce import BCONV2D, BMAXPOOL2D, DEQUANTIZE, QUANTIZE

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers

# Objects of the schema, whose classes have no types.
ModelT: TypeAlias = Any
SubGraphT: TypeAlias = Any
TensorT: TypeAlias = Any
OperatorT: TypeAlias = Any
OperatorCodeT: TypeAlias = Any
BufferT: TypeAlias = Any

# The number of inputs that these operators must have, besides one output.
_NEEDED = {
    QUANTIZE: 1,
    DEQUANTIZE: 1,
    BMAXPOOL2D: 1,
    BCONV2D: 2,
    "FULLY_CONNECTED": 2,
}

__all__ = [
    "BufferT",
    "File",
    "ModelT",
    "OperatorCodeT",
    "OperatorT",
    "SubGraphT",
    "TensorT",
    "constant",
    "content_of",
    "numpy_types",
    "op_name",
    "op_options",
    "read",
    "schema",
    "write",
]


def schema() -> Any:
    """The module of the schema's classes. TensorFlow has no public name for it."""
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def read(flatbuffer: bytes) -> ModelT:
    """Read a `.tflite` into a `ModelT`, and check that all but the values of its weights is valid.

    Raises:
        ValueError: If `flatbuffer` is not a TensorFlow Lite model, or is a corrupt one.
    """
    if flatbuffer[4:8] != b"TFL3":
        raise ValueError("This is not a TensorFlow Lite model: its file identifier is not TFL3.")
    model_type = schema().ModelT
    try:
        model = model_type.InitFromPackedBuf(flatbuffer, 0)
        _check(model)
        _fill(model)
    except Exception as error:  # the reader of a corrupt file may raise anything
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"This TensorFlow Lite model is corrupt: {reason}.") from error
    return model


def write(model: ModelT) -> bytes:
    """The `.tflite` of a `ModelT`, with weights aligned to 16 bytes as the schema demands."""
    builder = flatbuffers.Builder(1 << 20)
    model = _shallow_copy(model, buffers=[_AlignedBuffer(buffer) for buffer in model.buffers])
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class _AlignedBuffer:
    """A `BufferT` that is written at a multiple of 16 bytes."""

    def __init__(self, buffer: BufferT):
        self.data = b"" if buffer.data is None else np.asarray(buffer.data, np.uint8).tobytes()

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        if self.data:
            builder.StartVector(1, len(self.data), 16)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        schema().BufferStart(builder)
        if self.data:
            schema().BufferAddData(builder, data)
        return int(schema().BufferEnd(builder))


def _shallow_copy(model: ModelT, **changes: Any) -> Any:
    copy = type(model)()
    vars(copy).update({**vars(model), **changes})
    return copy


def op_name(model: ModelT, operator: OperatorT) -> str:
    """Name of an operator, like `CONV_2D`; of a custom one its own, like `LceBconv2d`."""
    code = model.operatorCodes[operator.opcodeIndex]
    if code.customCode:
        return str(code.customCode.decode())
    # Files from before 2020 have the code in the older, narrower field.
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    names = {value: name for name, value in vars(schema().BuiltinOperator).items()}
    if builtin not in names:
        raise ValueError(f"the operator code {builtin} is unknown to this version of TensorFlow")
    return str(names[builtin])


def op_options(operator: OperatorT) -> dict[str, Any]:
    """The options of a custom operator, such as `stride_height` of an `LceBconv2d`."""
    if operator.customOptions is None or not len(operator.customOptions):
        return {}
    return dict(flexbuffers.Loads(bytes(np.asarray(operator.customOptions, np.uint8))))


def constant(model: ModelT, tensor: TensorT) -> np.ndarray | None:
    """The values of a constant tensor of a common type, or `None` if it is computed.

    Raises:
        ValueError: If it is a constant of another type.
    """
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    dtype = numpy_types().get(tensor.type)
    if dtype is None:
        raise ValueError(f"A constant has the type {tensor.type}, which is not a type of numbers.")
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(_shape(tensor))


def numpy_types() -> dict[int, type[np.generic]]:
    """The NumPy types of tensor types, by the schema's numbers; of those that have one."""
    kinds = schema().TensorType
    return {
        kinds.FLOAT32: np.float32,
        kinds.FLOAT16: np.float16,
        kinds.FLOAT64: np.float64,
        kinds.INT8: np.int8,
        kinds.UINT8: np.uint8,
        kinds.INT16: np.int16,
        kinds.INT32: np.int32,
        kinds.INT64: np.int64,
        kinds.BOOL: np.bool_,
    }


def _shape(tensor: TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def _fill(model: ModelT) -> None:
    """Put empty lists where the file has none."""
    for graph in model.subgraphs:
        graph.operators = graph.operators or []
        for operator in graph.operators:
            for name in ("inputs", "outputs"):
                if getattr(operator, name) is None:
                    setattr(operator, name, np.zeros(0, np.int32))


def _check(model: ModelT) -> None:
    """Raise ValueError if an index points nowhere, or a constant has not the size of its shape."""
    if not model.subgraphs or not model.buffers:
        raise ValueError("it has no graph or no buffers")
    model.operatorCodes = model.operatorCodes or []  # a graph may give its inputs as they are
    dtypes = numpy_types()
    for graph in model.subgraphs:
        if not graph.tensors or graph.inputs is None or graph.outputs is None:
            raise ValueError("it has a graph without tensors, inputs or outputs")
        count = len(graph.tensors)
        for tensor in graph.tensors:
            if not 0 <= tensor.buffer < len(model.buffers):
                raise ValueError(f"a tensor has buffer {tensor.buffer} of {len(model.buffers)}")
            if any(size < 0 for size in _shape(tensor)):
                raise ValueError(f"a tensor has the shape {_shape(tensor)}")
            data = model.buffers[tensor.buffer].data
            elements = int(np.prod(_shape(tensor), dtype=object))
            is_dense = tensor.type in dtypes and tensor.sparsity is None
            if data is not None and len(data) and is_dense:
                wanted = elements * np.dtype(dtypes[tensor.type]).itemsize
                if len(data) != wanted:
                    raise ValueError(
                        f"a constant of shape {_shape(tensor)} has {len(data)} bytes, not {wanted}"
                    )
        for operator in graph.operators or ():
            if not 0 <= operator.opcodeIndex < len(model.operatorCodes):
                raise ValueError(f"an operator has the code {operator.opcodeIndex}")
            name = op_name(model, operator)
            inputs = () if operator.inputs is None else operator.inputs
            outputs = () if operator.outputs is None else operator.outputs
            # -1 stands for an optional input that is not given.
            if any(not -1 <= i < count for i in inputs) or any(not 0 <= i < count for i in outputs):
                raise ValueError(f"{name} has a tensor that does not exist")
            needed = _NEEDED.get(name, 0)
            if len(inputs) < needed or -1 in inputs[:needed] or (needed and len(outputs) != 1):
                raise ValueError(f"{name} has {len(inputs)} inputs and {len(outputs)} outputs")
            if name.startswith("Lce"):
                op_options(operator)  # those of other custom operators may be anything
        if any(not 0 <= i < count for i in (*graph.inputs, *graph.outputs)):
            raise ValueError("an input or output does not exist")
