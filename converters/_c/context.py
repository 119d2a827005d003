"""What the C of a stage is written with: pointers, constants and the kernels that are needed."""

from larq_reactnet.converters._c.bits import BinaryFilters
from larq_reactnet.converters._c.graph import Graph, Node, Tensor
from larq_reactnet.converters._c.planning import Plan

import numpy as np

__all__ = ["FUSED", "Context", "check_finite"]

# Activations that are a part of another node, by their numbers in the file.
FUSED = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6"}


def check_finite(values: np.ndarray, layer: str) -> None:
    """Raise a ValueError if a weight of a layer is not finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(
            f"{layer or 'The network'} has weights that are NaN or infinite: train it again, or "
            "load other weights."
        )


class Context:
    """Names things in C, and remembers them.

    Attributes:
        kernels: Names of kernels, in the order in which they are needed.
        constants: Arrays by the names that they have in C, and the layers that they are of.
        sideways: The names of those that a processor which counts the bits of words does not need.
        popcounted: The constants that it needs instead.
        statics: Constant structs of the stage.
        params: Those of `image`, `arena` and `scores` that the stage uses.
        arithmetic: How numbers are computed: `"float32"` or `"int16"`.
        number: What a number of a row is in C.
        stored: What a number of a map is.
        behind: Bits behind the point of a number.
        share: The largest error before a sign, as a share of what the numbers can be.
        errors: For each tensor of signs, how far the numbers before may be from the exact ones; of
            the output, how far the scores may be; and of what a softmax or sigmoid at the end is
            given, how far that may be.
    """

    arithmetic, number, stored = "float32", "float", "float"
    behind, share = 0, 0.0

    def __init__(self, name: str, graph: Graph, plan: Plan, input_type: str, table: np.ndarray):
        self.name, self.graph, self._plan, self.input_type = name, graph, plan, input_type
        self.kernels: list[str] = []
        self.constants: dict[str, tuple[np.ndarray, str]] = {}
        self.sideways: set[str] = set()
        self.popcounted: dict[str, tuple[np.ndarray, str]] = {}
        self._table = table
        self.errors: dict[int, np.ndarray] = {}
        self.statics: list[str] = []
        self.params: set[str] = set()
        self._number, self._layer, self._count = 0, "", 0

    def begin(self, number: int, layer: str) -> None:
        """Begin the next stage."""
        self._number, self._layer, self._count = number, layer, 0
        self.statics, self.params = [], set()

    @property
    def image_type(self) -> str:
        """What the network takes, in C."""
        return {"uint8": "uint8_t", "int8": "int8_t", "float32": "float"}[self.input_type]

    def pointer(self, tensor: Tensor) -> str:
        """Where the numbers or words of a tensor are."""
        if tensor.index == self.graph.output.index:
            self.params.add("scores")
            return "scores"
        block = self._plan.tensors.get(tensor.index)
        if block is None:
            self.params.add("image")
            return "image"
        return self._at(block.offset, "uint32_t" if tensor.is_bits else self.stored)

    def scratch(self, name: str) -> str:
        """Where the stage has memory of its own."""
        block = self._plan.scratch[self._number][name]
        types = {"list": "uint16_t", "bytes": "uint8_t", "patch": self.stored}
        return self._at(block.offset, types.get(name, self.number))

    def _at(self, offset: int, ctype: str) -> str:
        self.params.add("arena")
        return f"({ctype} *)(void *)(arena + {offset})"

    def constant(self, values: np.ndarray, what: str) -> str:
        """The name of a constant in C.

        Raises:
            ValueError: If a number is not finite.
        """
        name = f"{self.name}_{what}_{self._number}"
        while name in self.constants:
            self._count += 1
            name = f"{self.name}_{what}_{self._number}_{self._count}"
        if values.dtype not in (np.float16, np.int8, np.int16, np.int32, np.uint32):
            values = values.astype(np.float32)
        check_finite(values, self._layer)
        self.constants[name] = (np.ascontiguousarray(values), self._layer)
        return name

    def for_planes(self, values: np.ndarray, what: str) -> str:
        """A constant that there is only where bits are counted in planes."""
        name = self.constant(values, what)
        self.sideways.add(name)
        return f"{self.name}_FOR_PLANES({name})"

    def for_popcount(self, values: np.ndarray, what: str) -> str:
        """A constant that there is only where an instruction counts the bits of a word."""
        name = f"{self.name}_{what}_{self._number}"
        self.popcounted[name] = (np.ascontiguousarray(values), self._layer)
        return f"{self.name}_FOR_POPCOUNT({name})"

    def use(self, kernel: str) -> str:
        """The name of a kernel in C, which is then written, too."""
        if kernel not in self.kernels:
            self.kernels.append(kernel)
        return f"{self.name}_{kernel}"

    def activation(self, node: Node, channels: int) -> list[str]:
        """The activation that is a part of a node."""
        kind = node.options.get("fusedActivationFunction", 0)
        if not kind:
            return []
        if kind not in FUSED:
            raise ValueError(f"{node} has activation number {kind}, which has no C form: use ReLU.")
        return self.unary(FUSED[kind], channels)

    def unary(self, kind: str, channels: int) -> list[str]:
        """A ReLU of the row."""
        if kind == "RELU":
            return [f"{self.use('relu')}(row, {channels});"]
        low, high = {"RELU6": ("0.0f", "6.0f"), "RELU_N1_TO_1": ("-1.0f", "1.0f")}[kind]
        return [f"{self.use('clamp')}(row, {low}, {high}, {channels});"]

    def static(self, ctype: str, what: str, value: str) -> str:
        """The address of a constant struct."""
        name = f"{self.name}_{what}_of_{self._number}"
        self.statics.append(f"static const {self.name}_{ctype} {name} = {value};\n")
        return f"&{name}"

    def affine(self, found: BinaryFilters) -> tuple[np.ndarray, np.ndarray]:
        """What a binary convolution multiplies its sums with, and then adds."""
        return found.multiplier, found.bias

    def pixels(self) -> str:
        """The table of what each byte becomes."""
        name = f"{self.name}_table"
        self.constants.setdefault(name, (self._table, "input"))
        return name

    def bytes(self) -> str:
        """The image as bytes without a sign."""
        return "image" if self.input_type == "uint8" else "(const uint8_t *)image"
