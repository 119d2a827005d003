"""The command `larq-reactnet-runtime`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from larq_reactnet_runtime import Interpreter, __version__, _engine, photos
from larq_reactnet_runtime._shared.answers import print_answers, printable
from larq_reactnet_runtime._shared.metadata import Metadata, metadata_of
from larq_reactnet_runtime._shared.model import Tensor, read
from larq_reactnet_runtime._shared.sizing import random_inputs, shown
from larq_reactnet_runtime.placing import Place, places, summary
from larq_reactnet_runtime.verifying import TOLERANCE, verify

__all__ = ["main"]

EXAMPLES = """examples:
  larq-reactnet-runtime predict model.tflite photo.jpg
  larq-reactnet-runtime predict other.tflite photo.jpg --mean 127.5 --std 127.5
  larq-reactnet-runtime benchmark model.tflite --threads 1,4
  larq-reactnet-runtime benchmark model.tflite --isa neon,portable --runs 50
  larq-reactnet-runtime verify model.tflite
  larq-reactnet-runtime info model.tflite
  larq-reactnet-runtime info model.tflite --operators
"""
WARM_UP = 3  # runs that are not counted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        succeeded = options.run(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # such as of `... | head -1`
        sys.stdout = None  # type: ignore[assignment]  # or Python complains when it ends
        return 1
    except (ImportError, MemoryError, OSError, RuntimeError, ValueError) as error:
        _complain(str(error) or type(error).__name__)
        return 1
    return 1 if succeeded is False else 0


def _parser() -> argparse.ArgumentParser:
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="larq-reactnet-runtime",
        description="Binary neural networks (.tflite of Larq Compute Engine) on this machine.",
        epilog=EXAMPLES,
        formatter_class=kind,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    lines = [line for line in EXAMPLES.splitlines() if line.startswith(" ")]

    def command(name: str, text: str) -> argparse.ArgumentParser:
        examples = [line for line in lines if f" {name} " in line]
        found = commands.add_parser(
            name,
            help=text,
            description=text,
            epilog="\n".join(["examples:", *examples]),
            formatter_class=kind,
        )
        found.add_argument("model", metavar="MODEL", help="a .tflite file")
        return found

    predict = command("predict", "Print what a classifier sees in photos.")
    predict.add_argument("photos", metavar="PHOTO", nargs="+")
    predict.add_argument("--top", type=_count, default=5, help="number of classes (5)")
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.add_argument(
        "--mean",
        type=_decimals,
        default=(),
        help="inputs are (pixel - MEAN) / STD, with pixels from 0 to 255; a number, or one for "
        "each channel with commas between them; by default what the file says",
    )
    predict.add_argument("--std", type=_decimals, default=(), help="see --mean")
    predict.add_argument("--threads", type=_count, default=1, help="number of threads (1)")
    predict.add_argument("--isa", help="instruction set; by default the best there is")
    _add_size(predict)
    predict.set_defaults(run=_predict)

    benchmark = command(
        "benchmark",
        "Print how long one input takes. Several settings are run alternately, so that what else "
        "the machine does slows all of them.",
    )
    benchmark.add_argument(
        "--threads", type=_counts, default=(1,), help="number of threads, or several: 1,4 (1)"
    )
    benchmark.add_argument("--runs", type=_count, default=30, help="runs of each setting (30)")
    benchmark.add_argument(
        "--isa",
        type=lambda text: text.split(","),
        default=(None,),
        help="instruction set, or several: neon,portable; by default the best there is",
    )
    benchmark.add_argument("--json", action="store_true", help="print JSON")
    _add_size(benchmark)
    benchmark.set_defaults(run=_benchmark)

    verify = command(
        "verify",
        "Run the inputs that `larq-reactnet export --proof` put into the file or beside it, and "
        "print how far the outputs are from those on the other machine. The exit code is 1 if one "
        "is farther off than --tolerance.",
    )
    verify.add_argument("--proof", help="the .npz file with them; by default MODEL's")
    verify.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        help=f"how far an output may be off, relative to its largest number ({TOLERANCE})",
    )
    verify.add_argument("--threads", type=_count, default=1, help="number of threads (1)")
    verify.add_argument("--isa", help="instruction set; by default the best there is")
    verify.add_argument("--json", action="store_true", help="print JSON")
    verify.set_defaults(run=_verify)

    info = command(
        "info", "Print what is in a file, whether it runs here, and what runs each operator."
    )
    info.add_argument("--operators", action="store_true", help="print a line for each operator")
    info.set_defaults(run=_info)
    return parser


def _add_size(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--size",
        type=_counts,
        help="height and width, for a file that takes images of any size: 224,224",
    )


def _predict(options: argparse.Namespace) -> bool:
    interpreter = Interpreter(options.model, num_threads=options.threads, isa=options.isa)
    classify = photos.classifier(
        interpreter, top=options.top, mean=options.mean, std=options.std, size=options.size
    )
    return print_answers(classify, options.photos, as_json=options.json, complain=_complain)


def _benchmark(options: argparse.Namespace) -> None:
    settings = [(threads, isa) for isa in options.isa for threads in options.threads]
    content = Path(options.model).read_bytes()
    interpreters = [Interpreter(content, num_threads=n, isa=isa) for n, isa in settings]
    first = interpreters[0]
    inputs = random_inputs(
        first.input_shapes, first.input_signatures, first.input_types, options.size
    )
    walls: list[list[float]] = [[] for _ in settings]
    cpus: list[list[float]] = [[] for _ in settings]
    for run in range(-WARM_UP, options.runs):
        for interpreter, wall, cpu in zip(interpreters, walls, cpus):
            start = time.perf_counter(), time.process_time()
            interpreter.run(*inputs)
            end = time.perf_counter(), time.process_time()
            if run >= 0:
                wall.append(1e3 * (end[0] - start[0]))
                cpu.append(1e3 * (end[1] - start[1]))
    rows = [
        {
            "isa": isa or "best",
            "threads": threads,
            "wall_ms_median": median(wall),
            "wall_ms_min": min(wall),
            "cpu_ms_median": median(cpu),
            "cpu_ms_min": min(cpu),
        }
        for (threads, isa), wall, cpu in zip(settings, walls, cpus)
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    engine, claimed = interpreters[0].engine, interpreters[0].claimed
    print(f"{engine}, {claimed} binary operators, {options.runs} runs, milliseconds for one input")
    print("isa             threads  wall median      min  CPU median      min")
    for row in rows:
        print(
            f"{row['isa']:<15} {row['threads']:>7} {row['wall_ms_median']:>12.2f} "
            f"{row['wall_ms_min']:>8.2f} {row['cpu_ms_median']:>11.2f} {row['cpu_ms_min']:>8.2f}"
        )


def _verify(options: argparse.Namespace) -> bool:
    settings = {"num_threads": options.threads, "isa": options.isa}
    found = verify(options.model, options.proof, tolerance=options.tolerance, **settings)
    if options.json:
        print(json.dumps({"equal": found.is_equal, **asdict(found)}, indent=1))
        return found.is_equal
    print(f"inputs        {found.inputs}, whose outputs are those of {printable(found.there)}")
    print(f"runs          in {found.here}")
    for number, one in enumerate(found.differences):
        print(
            f"output {number:<6} off by at most {one.largest:.3g}, {one.relative:.2g} of its "
            f"largest number; the largest is the same in {one.same} of {one.rows}"
        )
    allowed = f"{found.tolerance:g} of the largest number"
    print(f"{'equal' if found.is_equal else 'NOT equal':<13} within {allowed}")
    return found.is_equal


def _info(options: argparse.Namespace) -> None:
    content = Path(options.model).read_bytes()
    model = read(content)
    metadata = metadata_of(model, content) or Metadata()
    rows = [("file", f"{options.model}, {len(content):,} bytes")]
    rows += [(name, text) for name in ("name", "description") if (text := getattr(metadata, name))]
    for kind, tensors in (("input", model.inputs), ("output", model.outputs)):
        rows += [(kind, _described(x)) for x in tensors]
    if metadata.mean:
        rows += [("inputs are", f"(pixel - {[*metadata.mean]}) / {[*metadata.std]}")]
        seen = "all" if metadata.crop == 1 else f"the middle {metadata.crop:.4g}"
        rows += [("images are", f"{seen} of a photo, resized by {metadata.resize!r}")]
    if metadata.labels:
        few = ", ".join(metadata.labels[:3])
        more = ", ..." if len(metadata.labels) > 3 else ""
        rows += [("labels", f"{len(metadata.labels)}: {few}{more}")]
    counts = sorted(model.operators.items(), key=lambda item: (-item[1], item[0]))
    rows += [("operators", ", ".join(f"{count} {name}" for name, count in counts))]
    found: list[Place] = []
    try:
        interpreter = Interpreter(content)
        text = f"in {interpreter.engine}; {interpreter.claimed} binary operators in the library"
        rows += [("runs", text), ("library", str(_engine.library_path()))]
        rows += [("instructions", ", ".join(_engine.instruction_sets()))]
        found = places(content)
        rows += summary(found)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        rows += [("not runnable", " ".join(str(error).split()))]
    for name, text in rows:
        print(f"{name:<13} {printable(text)}")
    for place in found if options.operators else ():
        print(f"{place.number:>13} {printable(place.name):<24} {place.runs_in}")


def _described(tensor: Tensor) -> str:
    text = f"{tensor.name}, {tensor.dtype} [{shown(tensor.signature)}]"
    if tensor.scale is None:
        return text
    return f"{text}, which stands for {tensor.scale:.6g} * (it - {tensor.zero_point})"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(map(_count, text.split(",")))


def _decimals(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


# What argparse calls values that it does not take.
_decimals.__name__ = "number,..."


def _complain(text: str) -> None:
    print(f"larq-reactnet-runtime: {printable(' '.join(text.split()))}", file=sys.stderr)
