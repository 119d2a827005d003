"""One call from a Keras model or a `.tflite` to C source for microcontrollers, proved equal."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from larq_reactnet._tables import Shown, table
from larq_reactnet.converters._c.compiled import find_compiler
from larq_reactnet.converters._c.folder import check_folder, write_folder
from larq_reactnet.converters._c.page import html
from larq_reactnet.converters._c.project import project_files
from larq_reactnet.converters._c.writer import Network, network
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.converting import ExportError
from larq_reactnet.converters.exporting import export
from larq_reactnet.converters.inspecting import inspect
from larq_reactnet.converters.metadata import Metadata, check_fit, check_metadata, read_metadata
from larq_reactnet.converters.proving_c import CProof, prove_c, refuse_unproved_c
from larq_reactnet.converters.report import Report
from larq_reactnet.converters.rescaling import INPUT_TYPES, pixels_of, random_pixels

import numpy as np
import tensorflow as tf

__all__ = ["CReport", "export_c"]

# What nothing else can be called: words of C and C++, headers of their libraries, which a file of
# the same name would hide, and targets that CMake has of its own.
_RESERVED = """
    auto bool break case catch char class const continue default delete do double else enum extern
    float for friend goto if inline int long main namespace new operator private protected public
    register restrict return short signed sizeof static struct switch template this throw try
    typedef union unsigned using virtual void volatile while
    assert complex ctype errno fenv inttypes iso646 limits locale math memory setjmp signal stdarg
    stdbool stddef stdint stdio stdlib string strings tgmath time uchar unistd wchar wctype
    arduino binary client print printable server spi stream udp wire
    m
    all clean edit_cache help install package rebuild_cache test
"""

ARITHMETICS = ("float32", "int16")
_UNPROVED = "the C was not compiled or run, so nobody knows whether it computes its .tflite"


@dataclass(frozen=True, repr=False)
class CReport(Shown):
    """What `export_c` wrote; printing it gives a table.

    Attributes:
        folder: The folder.
        network: The network in C, with its memory.
        proof: How it compares with the `.tflite`, or None if that was not asked for.
        export: How the `.tflite` was made, if it was made of a Keras model.
    """

    folder: Path
    network: Network
    proof: CProof | None
    export: Report | None = None

    def html(self, ram: int | None = None) -> str:
        """A page for the browser with a picture of the arena.

        Args:
            ram: What the arena may take, which is drawn as a line.
        """
        return html(self.network, ram)

    @property
    def flash_bytes(self) -> int:
        """Bytes of the weights; a compiler adds the code, which depends on the processor."""
        return self.network.constant_bytes

    @property
    def ram_bytes(self) -> int:
        """Bytes of the arena and the scores; the stack comes on top."""
        scores = self.network.graph.output
        return self.network.plan.bytes + 4 * scores.pixels * scores.channels

    def rows(self) -> Iterator[tuple[str, str]]:
        """What was written, and how it was proved."""
        yield "folder", str(self.folder)
        yield "weights in flash", f"{self.flash_bytes:,} bytes"
        yield "arena in RAM", f"{self.network.plan.bytes:,} bytes"
        yield "takes", f"{self.network.input_type}"
        yield from self.network.integers()
        yield "needs of libc", "memcpy, memset" + (", expf" if self.network.needs_math else "")
        if self.proof is None:
            yield "proof", f"none: {_UNPROVED}"
        else:
            yield from self.proof.rows()

    def __str__(self) -> str:
        rows = table(self.rows())
        return rows if self.export is None else f"{self.export}\n\n{rows}"


def export_c(
    model: "tf.keras.Model | tflite.File",
    folder: str | Path,
    *,
    name: str = "model",
    verify_with: Any = None,
    verify_limit: int = 1000,
    min_agreement: float = 0.99,
    input_type: str = "uint8",
    arithmetic: str = "float32",
    metadata: Metadata | None = None,
    flash: int | None = None,
    ram: int | None = None,
    verify: bool = True,
    progress: bool = True,
    **options: Any,
) -> CReport:
    """Write `model` as C source for microcontrollers, after proving that it computes the same.

    A Keras model is first made a `.tflite` by `export`, with all that it proves. The C is written
    of that file: C99 that needs no operating system, allocates nothing, and keeps all weights in
    constants. It is then compiled for this machine, and must give the file's bits in front of each
    binary layer, and its scores.

    !!! example
        ```python
        report = lr.converters.export_c(model, "firmware", verify_with=images, metadata=metadata)
        print(report)
        ```

    Args:
        model: Trained Keras model, or the path or content of a `.tflite`.
        folder: Where to write; a folder that this function wrote before is replaced.
        name: Prefix of all names and files, in small letters, digits and _; macros have it in
            capitals. Two networks with two names fit into one program.
        verify_with: Real inputs, as in `export`; for a `.tflite` an array as it takes them. Without
            it, noise is used.
        verify_limit: Use at most this many inputs.
        min_agreement: Share of inputs that must get the same class, as in `export`.
        input_type: What the C takes: `"uint8"`, the bytes of a picture, which it normalizes as
            `metadata` say; `"int8"`, these minus 128; or `"float32"`.
        arithmetic: What is computed of numbers that are not only signs: `"float32"`, or `"int16"`,
            fixed point with maps of 16 bits, for processors without floating point and for half of
            the arena. How far it can be from exact numbers is derived, said in the report, and
            proved with the images. Numbers next to 0 get other signs more often, and some answers
            differ: `min_agreement` says how many may.
        metadata: Labels and normalization; by default those in the `.tflite`.
        flash: Refuse weights of more than this many bytes.
        ram: Refuse an arena of more than this many bytes.
        verify: Whether to compile and prove the C, with the compiler that the variable `CC` of the
            environment names, or `cc`. Without it no compiler is needed, and report and README
            of the folder warn that nothing was proved.
        progress: Whether to print the steps that take long, and show progress bars.
        **options: For a Keras model, other arguments of `export`.

    Returns:
        A report of what was written and how it was proved.

    Raises:
        ExportError: If something has no C form, is too large, or the C does not agree.
        ValueError: If `name` is no C identifier, or another argument is wrong.
        TypeError: If `metadata` is not a `Metadata`.
        OSError: If the folder cannot be written, holds other files, or there is no compiler.
    """
    _check_arguments(name, input_type, arithmetic, verify_limit, min_agreement, metadata)
    folder = check_folder(folder)
    if verify:
        find_compiler()  # or a model would be exported first, which takes long
    report = None
    if isinstance(model, str | Path | bytes):
        if options:
            raise TypeError(f"A .tflite takes no {', '.join(options)}: these are for Keras models.")
        content = tflite.content_of(model)
    else:
        content, report = _exported(
            model,
            verify_with=verify_with,
            verify_limit=verify_limit,
            min_agreement=min_agreement,
            metadata=metadata,
            progress=progress,
            **options,
        )
    metadata = metadata or read_metadata(content)
    try:
        if metadata is not None:
            check_fit(tflite.read(content), metadata)
        written = network(content, name, input_type, metadata, arithmetic)
        _refuse_too_large(written, flash, ram)
        proof = None
        if verify:
            given, images = _inputs(written, metadata, verify_with, verify_limit)
            proof = prove_c(written, content, given, images, progress=progress)
            refuse_unproved_c(proof, min_agreement)
    except ExportError:
        raise
    except ValueError as error:
        raise ExportError(str(error)) from error
    said = f"**There is none: {_UNPROVED}.**" if proof is None else _told(proof)
    write_folder(folder, project_files(written, content, metadata, _macs(content), said))
    return CReport(folder, written, proof, report)


def _macs(content: bytes) -> dict[str, tuple[int, bool]]:
    """The multiply-accumulates of each layer, and whether they are binary."""
    return {
        operator.layer: (operator.macs, operator.binary)
        for operator in inspect(content).operators
        if operator.macs
    }


def _told(proof: CProof) -> str:
    """The proof as lines of a README."""
    return "\n".join(f"- {name}: {value}" for name, value in proof.rows())


def _check_arguments(
    name: str,
    input_type: str,
    arithmetic: str,
    limit: int,
    min_agreement: float,
    metadata: Any,
) -> None:
    # Macros have the same prefix in capitals, and many computers take Pets.h for pets.h: so there
    # are no capitals in a name, and two networks never differ by these alone.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) or name in _RESERVED.split():
        raise ValueError(
            f"{name!r} cannot be the prefix of names in C and of files: give at most 64 small "
            "letters, digits and _ that begin with a letter, and are no word of C, CMake, Arduino "
            "or their libraries, such as model. Capitals are for macros."
        )
    if name.endswith("_weights"):
        raise ValueError(
            f"{name!r} cannot be the prefix of names: the header {name}.h would be that of the "
            f"weights of a network {name[:-8]}, which may be in the same program. Give another."
        )
    if input_type not in INPUT_TYPES:
        raise ValueError(f"`input_type` must be one of {[*INPUT_TYPES]}, got {input_type!r}.")
    if arithmetic not in ARITHMETICS:
        raise ValueError(f"`arithmetic` must be one of {[*ARITHMETICS]}, got {arithmetic!r}.")
    if not 0 <= min_agreement <= 1 or limit < 1:
        raise ValueError("`min_agreement` must be in 0 to 1, and `verify_limit` at least 1.")
    if metadata is not None:
        check_metadata(metadata)


def _exported(model: tf.keras.Model, **options: Any) -> tuple[bytes, Report]:
    """The `.tflite` of a Keras model, and how it was made."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.tflite"
        report = export(model, path, **options)
        return path.read_bytes(), replace(report, path=Path("(in memory)"))


def _inputs(
    written: Network, metadata: Metadata | None, verify_with: Any, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images as the C takes them, and as the file does."""
    shape = written.graph.input.shape
    kind = written.input_type
    if verify_with is None:
        count = min(limit, 64)
        if kind == "float32":
            noise = np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)
            return noise, noise
        pixels = random_pixels((count, *shape), kind)
    else:
        images = _images(verify_with, shape, limit)
        if kind == "float32":
            return images, images
        assert metadata is not None  # or there would be no table of the normalization
        pixels = pixels_of(images, kind, metadata.mean, metadata.std)
    assert metadata is not None
    shift = 128.0 if kind == "int8" else 0.0
    mean, std = (np.array(values, np.float32) for values in (metadata.mean, metadata.std))
    return pixels.astype(kind), ((pixels + np.float32(shift)) - mean) / std


def _images(data: Any, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """The first images of an array, a pair of it and labels, or a data set of batches."""
    if isinstance(data, tf.data.Dataset):
        rows: list[np.ndarray] = []
        for element in data.as_numpy_iterator():
            rows += [*(element[0] if isinstance(element, tuple) else element)][: limit - len(rows)]
            if len(rows) >= limit:
                break
        data = np.stack(rows) if rows else np.zeros((0, *shape))
    images = np.asarray(data[0] if isinstance(data, tuple) else data)[:limit]
    if not len(images) or images.shape[1:] != shape:
        raise ValueError(f"`verify_with` must hold images of shape {shape}, got {images.shape}.")
    return images.astype(np.float32)


def _refuse_too_large(written: Network, flash: int | None, ram: int | None) -> None:
    """Raise an ExportError if the network does not fit, which names what is largest in it."""
    if flash is not None and written.constant_bytes > flash:
        sizes: dict[str, int] = {}
        for values, layer in written.constants.values():
            sizes[layer] = sizes.get(layer, 0) + values.nbytes
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
        raise ExportError(
            f"The weights take {written.constant_bytes:,} bytes, {written.constant_bytes - flash:,}"
            f" more than the {flash:,} of `flash`. The largest are those of "
            f"{', '.join(f'{layer} ({size:,})' for layer, size in largest)}: make these smaller."
        )
    if ram is not None and written.plan.bytes > ram:
        most = max(
            range(len(written.stages)),
            key=lambda i: sum(b.bytes for b in written.plan.blocks if b.first <= i <= b.last),
        )
        used = [b for b in written.plan.blocks if b.first <= most <= b.last]
        largest_blocks = sorted(used, key=lambda b: -b.bytes)[:3]
        listed = ", ".join(f"{b.layer} ({b.name}, {b.bytes:,})" for b in largest_blocks)
        raise ExportError(
            f"The arena takes {written.plan.bytes:,} bytes, {written.plan.bytes - ram:,} more than "
            f"the {ram:,} of `ram`. It is fullest at {written.stages[most].layer}, with {listed}: "
            "give these layers fewer channels, or the network a smaller image."
        )
