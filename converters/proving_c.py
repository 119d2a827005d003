"""The proof that C computes its `.tflite`: the bits in front of each binary layer, and the scores.

The C runs on this machine and an engine runs the file, both on the same images, and both give what
is on the way. Sums of real numbers are added up in another order, so a number that is within
rounding of 0 may get the other sign; from there on, the two compute with other bits. So for each
image the first binary layer is looked for whose bits differ. Each number whose sign is another must
be within rounding of 0, and bits that come out of a count must be equal without any such excuse.
Scores must be equal but for rounding for all images without such a number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from larq_reactnet._tables import Shown, table
from larq_reactnet.converters._c.compiled import Compiled, compiled
from larq_reactnet.converters._c.writer import Network
from larq_reactnet.converters._lce import QUANTIZE
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import binary_ops, unpack
from larq_reactnet.converters._tflite.signs import with_signs
from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.converting import ExportError
from larq_reactnet.converters.interpreter import TITLES, Interpreter, engines
from larq_reactnet.converters.judging import compare, is_close, rounding_after
from larq_reactnet.converters.tasks import Output

import numpy as np
from tqdm import tqdm

__all__ = ["CProof", "prove_c", "refuse_unproved_c", "rounding_in"]


@dataclass(frozen=True, repr=False)
class CProof(Shown):
    """How C compares with the `.tflite` that it was made of.

    Attributes:
        agreement: How the scores compare, on all images.
        signs: Number of bits in front of binary layers that were compared.
        near: Number of images with a number within rounding of 0 that got the other sign.
        wrong: Number of bits that differ without such an excuse.
        layer: The first layer in front of which there are wrong bits, or an empty string.
        error: Largest difference of a score, relative to the largest score of the same image, for
            images without other signs.
        tolerance: How large rounding may make it.
    """

    agreement: Agreement
    signs: int
    near: int
    wrong: int
    layer: str
    error: float
    tolerance: float

    @property
    def is_equal(self) -> bool:
        """Whether the C computes the file, but for rounding."""
        return not self.wrong and self.error <= self.tolerance

    def rows(self) -> Iterator[tuple[str, str]]:
        """What was proved."""
        yield (
            "bits in C",
            f"{self.signs:,} in front of binary layers are those of the .tflite"
            + (f", {self.wrong:,} are not" if self.wrong else "")
            + (f"; {self.near} images have a number within rounding of 0" if self.near else ""),
        )
        agreement = self.agreement
        same = "" if agreement.same_class is None else f"same class on {agreement.same_class:.2%}, "
        yield (
            "scores in C",
            f"{same}{self.error:.1g} of the largest apart on {agreement.images} images (rounding "
            f"explains {self.tolerance:.1g}), against {agreement.engine}",
        )

    def __str__(self) -> str:
        return table(self.rows())


def prove_c(
    network: Network,
    content: bytes,
    given: np.ndarray,
    images: np.ndarray,
    *,
    output: Output | None = None,
    progress: bool = True,
) -> CProof:
    """Compile C for this machine, and compare it with the `.tflite`, layer by layer.

    Args:
        network: The C.
        content: The `.tflite`.
        given: What the C takes, an array whose first axis is that of the images.
        images: The same as the `.tflite` takes them.
        output: How the output is judged.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If the C does not compile, or scores are not finite.
        OSError: If there is no compiler.
        ImportError: If there is no engine for the file.
    """
    output = output or output_of(network)
    *_, engine = engines()
    tolerance = rounding_in(network)
    comparison = _Signs(network, content, tolerance)
    ours, theirs, is_near = [], [], []
    with compiled(network) as library, Interpreter(comparison.file, engine=engine) as interpreter:
        rows = zip(given, images, strict=True)
        bar = tqdm(
            rows, "Proving the C", len(given), unit="image", leave=False, disable=not progress
        )
        for own, image in bar:
            found = interpreter.run(image[None].astype(np.float32))
            scores, near = comparison.add(library, own, found)
            ours.append(scores)
            theirs.append(found[0][0])
            is_near.append(near)
    scores, expected, other = np.stack(ours), np.stack(theirs), np.array(is_near)
    if not np.isfinite(scores).all() or not np.isfinite(expected).all():
        raise ValueError("The network gives NaN or infinite scores: there is nothing to prove.")
    agreement = compare(scores, expected, output=output, rounding=tolerance, engine=TITLES[engine])
    return CProof(
        agreement,
        comparison.signs,
        int(other.sum()),
        comparison.wrong,
        comparison.layer,
        _error(output.scores(scores[~other]), output.scores(expected[~other])),
        tolerance,
    )


def refuse_unproved_c(proof: CProof, min_agreement: float) -> None:
    """Raise an ExportError if the C is not equal to its `.tflite`.

    Args:
        proof: What was compared.
        min_agreement: How well the scores must agree, 0 to 1: see `judging.is_close`.
    """
    if proof.wrong:
        raise ExportError(
            f"The C does not compute the .tflite: {proof.wrong:,} of {proof.signs:,} bits are "
            f"others, first in front of {proof.layer}. Nothing was written. Compile with "
            "-ffp-contract=off; if that is so, this is an error in larq_reactnet."
        )
    if not proof.error <= proof.tolerance:
        raise ExportError(
            f"The C gives other scores than the .tflite: {proof.error:.2g} of the largest apart, "
            f"and rounding explains {proof.tolerance:.1g}. Nothing was written."
        )
    if not is_close(proof.agreement, min_agreement):
        raise ExportError(
            f"The C gives other answers than the .tflite: {proof.agreement.other_class} of "
            f"{proof.agreement.images} images get another class, more than near ties explain. "
            "Nothing was written. Verify with real images."
        )


def output_of(network: Network) -> Output:
    """How the output of a `.tflite` is judged: as classes if it ends so, or has labels."""
    last = network.stages[-1].nodes[-1].kind
    count = network.graph.output.channels
    activation = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}.get(last, "linear")
    by_class = (
        bool(network.labels) or activation == "softmax" or (count == 1 and last == "LOGISTIC")
    )
    return Output("", by_class, count == 1 or not by_class, activation)


def rounding_in(network: Network) -> float:
    """By how much float32 may change a number, relative to the largest of its tensor."""
    roundings = 0
    for node in network.graph.nodes:
        weights = node.constant(1)
        if node.kind in ("CONV_2D", "FULLY_CONNECTED") and weights is not None:
            roundings += int(np.prod(weights.values.shape[1:]))
        elif node.kind == "DEPTHWISE_CONV_2D" and weights is not None:
            roundings += int(np.prod(weights.values.shape[:3]))
        elif node.kind == "MEAN":
            roundings += node.tensors[0].pixels
        else:
            roundings += 1
    return rounding_after(roundings)


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative to the largest number of the same image."""
    if not len(found):
        return 0.0
    axes = tuple(range(1, found.ndim))
    largest = np.abs(expected).max(axes, keepdims=True)
    return float((np.abs(found - expected) / np.where(largest > 0, largest, 1.0)).max())


class _Signs:
    """Compares the bits in front of binary layers, and finds out why they differ.

    Attributes:
        file: The `.tflite`, which also gives these bits and the numbers that they are the signs of.
        signs: Number of bits that were compared.
        wrong: How many of them differ and should not.
        layer: The first layer in front of which that is so.
    """

    def __init__(self, network: Network, content: bytes, tolerance: float):
        self.signs, self.wrong, self.layer = 0, 0, ""
        self._tolerance = tolerance
        model = tflite.read(content)
        ops = binary_ops(model)
        self._tensors = list(dict.fromkeys(op.input for op in ops))
        nodes = network.graph.nodes
        self._layers = {
            t: next(n.layer for n in nodes if any(x.index == t for x in n.tensors))
            for t in self._tensors
        }
        quantizers = {n.output.index: n for n in nodes if n.kind == QUANTIZE}
        self._before = [t for t in self._tensors if t in quantizers]
        numbers = self._inputs_of_quantizers(model)
        graph = model.subgraphs[0]
        outputs = [int(i) for i in graph.outputs]
        graph.outputs = np.array([*outputs, *(numbers[t] for t in self._before)], np.int32)
        self._known = len(outputs) + len(self._before)
        self.file = with_signs(model, ops)

    @staticmethod
    def _inputs_of_quantizers(model: tflite.ModelT) -> dict[int, int]:
        """For each LceQuantize, by the index of what it gives, the index of what it takes."""
        return {
            int(operator.outputs[0]): int(operator.inputs[0])
            for operator in model.subgraphs[0].operators
            if tflite.op_name(model, operator) == QUANTIZE
        }

    def add(
        self, library: Compiled, given: np.ndarray, found: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, bool]:
        """Compare one image.

        Returns:
            The scores of the C, and whether a number within rounding of 0 got the other sign.
        """
        scores, seen = library.look(given)
        numbers = dict(zip(self._before, found[1 : self._known], strict=True))
        for tensor, signs in zip(self._tensors, found[self._known :], strict=True):
            wanted = (signs < 0).reshape(-1, signs.shape[-1])
            words = seen[tensor].view(np.int32).reshape(len(wanted), -1)
            other = unpack(words, signs.shape[-1]) != wanted
            self.signs += other.size
            if not other.any():
                continue
            before = numbers.get(tensor)
            wrong = other
            if before is not None:
                allowed = self._tolerance * np.abs(before).max()
                sizes = np.abs(before.reshape(other.shape))
                # 0 itself is what a ReLU gives, in both; rounding hardly ever does.
                wrong = other & ((sizes > allowed) | (sizes == 0))
            self.wrong += int(wrong.sum())
            if wrong.any():
                self.layer = self.layer or self._layers[tensor]
            return scores, True
        return scores, False
