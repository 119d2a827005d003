"""The proof that C computes its `.tflite`: the bits in front of each binary layer, and the scores.

The C runs on this machine and an engine runs the file, both on the same images, and both give what
is on the way. Sums of real numbers are added up in another order, so a number that is within
rounding of 0 may get the other sign; from there on, the two compute with other bits. For an image
of which that is so, the file is run again with the signs of the C, in front of every binary layer.
Then each number in front of a sign must be the C's own but for rounding, the sign must be that of
the C's number, and bits that come out of a count must be equal without any such excuse. Scores must
be equal but for rounding, for all images.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from larq_reactnet._tables import Shown, table
from larq_reactnet.converters._c.compiled import Seen, compiled
from larq_reactnet.converters._c.writer import Network
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters._tflite.match import binary_ops, unpack
from larq_reactnet.converters._tflite.signs import with_given_signs, with_signs
from larq_reactnet.converters.agreement import Agreement
from larq_reactnet.converters.converting import ExportError
from larq_reactnet.converters.interpreter import TITLES, Interpreter, engines
from larq_reactnet.converters.judging import compare, is_close, rounding_after
from larq_reactnet.converters.tasks import Output

import numpy as np
from tqdm import tqdm

__all__ = ["CProof", "prove_c", "refuse_unproved_c", "rounding_in"]

T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class CProof(Shown):
    """How C compares with the `.tflite` that it was made of.

    Attributes:
        agreement: How the scores compare, on all images.
        signs: Number of bits in front of binary layers that were compared.
        near: Number of images with a number so near to 0 that it got the other sign.
        wrong: Number of bits that differ without such an excuse.
        layer: The first layer in front of which there are wrong bits, or an empty string.
        error: Largest difference of a score, relative to the largest score of the same image. Where
            there are other signs, the file computes with these, too. What fixed point explains is
            subtracted.
        tolerance: How large rounding may make it.
        difference: Largest difference of a score with the same signs.
        bound: How large fixed point may make it; 0 in float32.
    """

    agreement: Agreement
    signs: int
    near: int
    wrong: int
    layer: str
    error: float
    tolerance: float
    difference: float = 0.0
    bound: float = 0.0

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
            + (f", but for numbers next to 0 in {self.near} images" if self.near else ""),
        )
        agreement = self.agreement
        same = "" if agreement.same_class is None else f"same class on {agreement.same_class:.2%}, "
        apart, why = f"{self.error:.1g} of the largest", f"rounding explains {self.tolerance:.1g}"
        if self.bound:
            apart, why = f"{self.difference:.2g}", f"fixed point explains {self.bound:.2g}"
        yield (
            "scores in C",
            f"{same}{apart} apart with the same signs on {agreement.images} images ({why}), "
            f"against {agreement.engine}",
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
    comparison = _Comparison(network, content, tolerance)
    ours, theirs = [], []
    others: list[int] = []
    rows = zip(given, images.astype(np.float32), strict=True)
    with compiled(network) as library:
        with Interpreter(comparison.file, engine=engine) as interpreter:
            for number, (own, image) in enumerate(_bar(rows, len(given), "image", progress)):
                seen, found = library.look(own), interpreter.run(image[None])
                ours.append(seen.scores)
                theirs.append(found[0][0])
                if not comparison.is_equal(seen, found):
                    others.append(number)
        scores, expected = np.stack(ours), np.stack(theirs)
        if not np.isfinite(scores).all() or not np.isfinite(expected).all():
            raise ValueError("The network gives NaN or infinite scores: there is nothing to prove.")
        same_signs = expected.copy()
        if others:
            with Interpreter(comparison.file_of_signs, engine=engine) as interpreter:
                for number in _bar(others, len(others), "image with other signs", progress):
                    seen = library.look(given[number])
                    signs = comparison.signs_of(seen)
                    found = interpreter.run(images[number][None].astype(np.float32), *signs)
                    comparison.add(seen, found)
                    same_signs[number] = found[0][0]
    bound = float(np.max(network.errors.get(network.graph.output.index, 0.0)))
    return CProof(
        compare(scores, expected, output=output, rounding=tolerance, engine=TITLES[engine]),
        comparison.signs,
        len(others),
        comparison.wrong,
        comparison.layer,
        _error(
            output.scores(scores),
            output.scores(same_signs),
            network.logit_bound if output.has_logits else bound,
        ),
        tolerance,
        float(np.abs(scores - same_signs).max()),
        bound,
    )


def _bar(rows: Iterable[T], count: int, unit: str, progress: bool) -> Iterable[T]:
    bar: Iterable[T] = tqdm(
        rows, "Proving the C", count, unit=unit, leave=False, disable=not progress
    )
    return bar


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
            "Nothing was written. "
            + (
                "In int16, numbers next to 0 get other signs: allow that with a smaller "
                "min_agreement (--min-agreement 0.9), or write it in float32."
                if proof.bound
                else "Verify with real images."
            )
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


def _error(found: np.ndarray, expected: np.ndarray, bound: float) -> float:
    """The largest difference above a bound, relative to the largest number of the same image."""
    axes = tuple(range(1, found.ndim))
    largest = np.abs(expected).max(axes, keepdims=True)
    return float(
        ((np.abs(found - expected) - bound).clip(min=0) / np.where(largest > 0, largest, 1.0)).max()
    )


class _Comparison:
    """Compares the bits in front of binary layers, and finds out why they differ.

    Attributes:
        file: The `.tflite`, which also gives these bits.
        file_of_signs: The same, which is given all signs, and gives the numbers before them, too.
        signs: Number of bits that were compared.
        wrong: How many of them differ and should not.
        layer: The first layer in front of which that is so.
    """

    def __init__(self, network: Network, content: bytes, tolerance: float):
        self.signs, self.wrong, self.layer = 0, 0, ""
        self._tolerance, self._errors = tolerance, network.errors
        ops = binary_ops(tflite.read(content))
        self._tensors = list(dict.fromkeys(op.input for op in ops))
        nodes = network.graph.nodes
        self._shapes = {n.output.index: n.output.shape for n in nodes}
        self._layers = {t.index: n.layer for n in reversed(nodes) for t in n.tensors}
        self.file = with_signs(tflite.read(content), ops)
        model = tflite.read(content)
        self._given = with_given_signs(model)
        self.file_of_signs = with_signs(model, ops)

    def is_equal(self, seen: Seen, found: Sequence[np.ndarray]) -> bool:
        """Whether all bits of an image are those of the file."""
        self.signs += sum(signs.size for signs in found[1:])
        return not any(other.any() for other in self._others(seen, found[1:]).values())

    def signs_of(self, seen: Seen) -> list[np.ndarray]:
        """What the file of signs is given beside an image: the signs of the C."""
        return [
            np.where(self._bits(seen, tensor), -1, 1).astype(np.float32)[None]
            for tensor in self._given
        ]

    def add(self, seen: Seen, found: Sequence[np.ndarray]) -> None:
        """Compare an image with what the file computes of the same signs."""
        count = 1 + len(self._given)
        wrong = self._others(seen, found[count:])
        for tensor, (numbers,) in zip(self._given, found[1:count], strict=True):
            own = seen.numbers.get(tensor)
            bound = self._errors.get(tensor, 0.0)
            wrong[tensor] = self._is_wrong(self._bits(seen, tensor), numbers, own, bound)
        for tensor, where in wrong.items():
            self.wrong += int(where.sum())
            if where.any():
                self.layer = self.layer or self._layers[tensor]

    def _is_wrong(
        self,
        bits: np.ndarray,
        wanted: np.ndarray,
        own: np.ndarray | None,
        bound: np.ndarray | float,
    ) -> np.ndarray:
        """Which bits are wrong, by the number of the file and, if it has one, that of the C.

        Args:
            bits: The bits.
            wanted: The numbers of the file.
            own: The numbers of the C.
            bound: How far fixed point may be from exact numbers, for each channel.
        """
        allowed = self._tolerance * np.abs(wanted).max() + bound
        if own is not None:
            return np.asarray((bits != (own < 0)) | ~(np.abs(own - wanted) <= allowed))
        # The C has counted, and the file computes a number of the same count. A ReLU gives 0 in
        # both, and rounding hardly ever does.
        other = bits != (wanted < 0)
        return np.asarray(other & ((np.abs(wanted) > allowed) | (wanted == 0)))

    def _bits(self, seen: Seen, tensor: int) -> np.ndarray:
        """Which signs of a tensor are negative in the C."""
        shape = self._shapes[tensor]
        words = seen.words[tensor].view(np.int32).reshape(*shape[:-1], -1)
        return unpack(words, shape[-1])

    def _others(self, seen: Seen, signs: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Which bits in front of each binary layer are not the signs of an engine."""
        return {
            tensor: self._bits(seen, tensor) != (found[0] < 0)
            for tensor, found in zip(self._tensors, signs, strict=True)
        }
