"""What is in a `.tflite`."""

from collections import Counter

__all__ = ["count_operators"]


def count_operators(flatbuffer: bytes) -> Counter[str]:
    """How often each operator occurs; custom ones by their name, like `LceBconv2d`.

    Raises:
        ValueError: If `flatbuffer` is no TensorFlow Lite model.
    """
    from larq_compute_engine.mlir.python import tflite_schema as schema

    if flatbuffer[4:8] != b"TFL3":
        raise ValueError("This is no TensorFlow Lite model: its file identifier is not TFL3.")
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    try:
        model = schema.Model.GetRootAsModel(flatbuffer, 0)
        counts: Counter[str] = Counter()
        for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
            for operator in map(graph.Operators, range(graph.OperatorsLength())):
                code = model.OperatorCodes(operator.OpcodeIndex())
                # Files of before 2020 have the code in the older, narrower field.
                builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
                custom = code.CustomCode()
                counts[custom.decode() if custom else names[builtin]] += 1
        if not model.SubgraphsLength():
            raise ValueError("it has no graph")
    except Exception as error:  # the reader of a corrupt file may raise anything
        raise ValueError(f"This TensorFlow Lite model is corrupt: {error!r}.") from error
    return counts
