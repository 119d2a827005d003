"""The library in a stock interpreter: LiteRT where it is installed, otherwise TensorFlow's."""

import ctypes
import importlib.util
import os
from pathlib import Path

import tensorflow as tf

HERE = Path(__file__).resolve().parent


def find_library() -> Path:
    """That of LARQ_REACTNET_LIBRARY, of the installed package, or of the folder `build`."""
    if given := os.environ.get("LARQ_REACTNET_LIBRARY"):
        return Path(given)
    package = importlib.util.find_spec("larq_reactnet_runtime")
    folders = [Path(package.origin).parent] if package and package.origin else []
    for folder in (*folders, HERE.parent / "build"):
        for library in folder.glob("liblarq_reactnet_runtime.*"):
            return library
    raise FileNotFoundError("Build the library, and give its path as LARQ_REACTNET_LIBRARY.")


LIBRARY = find_library()

if importlib.util.find_spec("ai_edge_litert"):
    from ai_edge_litert.interpreter import Interpreter as StockInterpreter
    from ai_edge_litert.interpreter import load_delegate
else:
    StockInterpreter = tf.lite.Interpreter
    load_delegate = tf.lite.experimental.load_delegate


def delegate(**options):
    return load_delegate(str(LIBRARY), {k: str(v) for k, v in options.items()})


def available():
    """The instruction sets that the library has code for and this machine has, best first."""
    function = ctypes.CDLL(str(LIBRARY)).larq_reactnet_runtime_instruction_sets
    function.restype = ctypes.c_char_p
    return function().decode().split(",")


ISAS = available()


class Runtime:
    """A stock interpreter with the delegate."""

    def __init__(self, flatbuffer, **options):
        self._interpreter = StockInterpreter(
            model_content=flatbuffer, experimental_delegates=[delegate(**options)]
        )
        self._interpreter.allocate_tensors()

    def run(self, *inputs):
        details = self._interpreter.get_input_details()
        resized = False
        for detail, value in zip(details, inputs, strict=True):
            if tuple(detail["shape"]) != value.shape:
                self._interpreter.resize_tensor_input(detail["index"], value.shape)
                resized = True
        if resized:
            self._interpreter.allocate_tensors()
        for detail, value in zip(details, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], value)
        self._interpreter.invoke()
        return [
            self._interpreter.get_tensor(detail["index"])
            for detail in self._interpreter.get_output_details()
        ]
