"""How fast binary networks run: the package in runtime/ against Larq Compute Engine, and peers.

Three binary networks for images of 224x224, with random weights, are exported. Then they are run by
larq-reactnet-runtime with each instruction set of this machine, and by LCE's own interpreter with
each of its kernels. MobileNetV1 and ResNet-18, in float32 and int8, are run by the interpreter that
our runtime plugs into, with XNNPACK. Everything runs alternately in one process, so that other work
of the machine slows all of them alike.

Runs with one thread are measured in CPU time of the process. Runs with several threads are measured
in wall time, which means something on an idle machine only. Before each of these there is a pause,
in which the threads of the previous run go to sleep, and a run that is not counted, which wakes up
its own threads.

"x LCE" is how many times faster a run is than the best kernel of LCE with the same number of
threads: the median of the ratios of each round. "load" is loading and preparing a file, "first" the
first inference after that, in which some engines still rearrange weights.
"""

import argparse
import functools
import itertools
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import larq_reactnet as lr

import larq_compute_engine as lce
import numpy as np
import tensorflow as tf
from export import random_network
from tabulate import tabulate
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = """examples:
  python benchmarks/runtime.py --json runtime.json
  python benchmarks/runtime.py --models quicknet mobilenet_v1 --threads 1 --rounds 31
  python benchmarks/runtime.py --models reactnet_a --cache /tmp/models
"""
BINARY = ("reactnet_a", "reactnet_18", "quicknet")
PEERS = ("mobilenet_v1", "resnet18")
KERNELS: dict[str, dict[str, bool]] = {
    "LCE, default": {},
    "LCE, reference": {"use_reference_bconv": True},
    "LCE, indirect": {"use_indirect_bgemm": True},
    "LCE, indirect + XNNPACK": {"use_indirect_bgemm": True, "use_xnnpack": True},
}
SHAPE = (1, 224, 224, 3)
LOADS = 5  # times that each file is loaded
PAUSE = 0.05  # seconds in which threads go to sleep


@dataclass
class Contender:
    """A model in an engine, and how long it took, in seconds."""

    model: str
    engine: str
    threads: int
    load: Callable[[], Any]
    interpreter: Any = None
    loads: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answer: np.ndarray | None = None

    def seconds(self, function: Callable[[], Any]) -> tuple[float, Any]:
        """The time (CPU time if there is one thread, else wall time) and result of a function."""
        clock = time.process_time if self.threads == 1 else time.perf_counter
        began = clock()
        result = function()
        return clock() - began, result

    def prepare(self, image: np.ndarray) -> None:
        """Load the file, and run it for the first time."""
        self.interpreter = None
        taken, self.interpreter = self.seconds(self.load)
        self.loads.append(taken)
        taken, answer = self.seconds(lambda: self.interpreter.predict(image))
        self.firsts.append(taken)
        self.answer = np.array(answer)

    def run(self, image: np.ndarray) -> None:
        """Time one inference; if there are several threads, after another one that wakes them."""
        if self.threads > 1:
            time.sleep(PAUSE)
            self.interpreter.predict(image)
        taken, _ = self.seconds(lambda: self.interpreter.predict(image))
        self.times.append(taken)


def random_images(number: int) -> np.ndarray:
    """Inputs for the networks: numbers like those of normalized photographs."""
    return np.random.default_rng(1).normal(size=(number, *SHAPE[1:])).astype(np.float32)


def export(name: str, path: Path) -> None:
    """Write a binary network, with shifts folded and convolutions joined."""
    lr.converters.export(
        random_network(name, {}),
        path,
        verify_with=random_images(1),
        min_agreement=0,  # random weights; equality is what the tests prove
        storage="int8",
        progress=False,
    )


def convert(name: str, path: Path, int8: bool) -> None:
    """Write a network that is not binary."""
    converter = tf.lite.TFLiteConverter.from_keras_model(random_network(name, {}))
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([image[None]] for image in random_images(8))
    partial = path.with_suffix(".partial")
    partial.write_bytes(converter.convert())
    partial.replace(path)


def files(name: str, folder: Path) -> dict[str, bytes]:
    """The files of a model by the type of their weights. They are made if the folder lacks them."""
    ways: dict[str, Callable[[Path], None]]
    if name in BINARY:
        ways = {"binary": functools.partial(export, name)}
    else:
        ways = {
            "float32": functools.partial(convert, name, int8=False),
            "int8": functools.partial(convert, name, int8=True),
        }
    found = {}
    for kind, write in ways.items():
        path = folder / f"{name}.{kind}.tflite"
        if not path.exists():
            tqdm.write(f"Writing {path} ...", file=sys.stderr)
            write(path)
        found[kind] = path.read_bytes()
    return found


def contenders(
    runtime: Any, models: dict[str, dict[str, bytes]], threads: int
) -> Iterator[Contender]:
    """Every model in every engine that runs it."""
    for name, contents in models.items():
        for kind, content in contents.items():
            ours = functools.partial(runtime.Interpreter, content, num_threads=threads)
            if kind != "binary":  # plain TensorFlow Lite, in which our library has nothing to do
                yield Contender(name, f"XNNPACK, {kind}", threads, ours)
                continue
            for isa in runtime.instruction_sets():
                yield Contender(name, f"ours, {isa}", threads, functools.partial(ours, isa=isa))
            for engine, options in KERNELS.items():
                load = functools.partial(lce.testing.Interpreter, content, threads, **options)
                yield Contender(name, engine, threads, load)


def rows_of(group: list[Contender]) -> list[dict[str, Any]]:
    """The result of one model with one number of threads."""
    theirs = [one for one in group if one.engine in KERNELS]
    best = min(theirs, key=lambda one: statistics.median(one.times), default=None)
    rows = []
    for one in group:
        row: dict[str, Any] = {"model": one.model, "engine": one.engine, "threads": one.threads}
        row |= {
            "time": "CPU" if one.threads == 1 else "wall",
            "median ms": 1000 * statistics.median(one.times),
            "minimum ms": 1000 * min(one.times),
            "x LCE": None,
            "load ms": 1000 * statistics.median(one.loads),
            "first ms": 1000 * statistics.median(one.firsts),
        }
        if best is not None and best.answer is not None and one.answer is not None:
            ratios = [lces / mine for lces, mine in zip(best.times, one.times, strict=True)]
            row["x LCE"] = statistics.median(ratios)
            row["farthest from LCE"] = float(np.abs(one.answer - best.answer).max())
        rows.append({**row, "all ms": [1000 * taken for taken in one.times]})
    return rows


def benchmark(
    runtime: Any, models: dict[str, dict[str, bytes]], threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Run everything alternately with one number of threads."""
    image = random_images(1)
    found = list(contenders(runtime, models, threads))
    steps = [Contender.prepare] * LOADS + [Contender.run] * rounds
    plan = [(step, one) for step in steps for one in found]
    for step, one in tqdm(plan, f"threads: {threads}", unit="run", file=sys.stderr):
        step(one, image)
    groups = itertools.groupby(found, key=lambda one: one.model)
    return [row for _, group in groups for row in rows_of(list(group))]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a table for a README."""
    hidden = ("farthest from LCE", "all ms")
    shown = [{key: row[key] for key in row if key not in hidden} for row in rows]
    return tabulate(shown, "keys", "github", floatfmt=".2f")


def machine(runtime: Any) -> dict[str, Any]:
    """What the numbers depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    folder = Path(lce.__file__).parent / "tflite" / "python"
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load average": os.getloadavg()[0],
        "instruction sets": runtime.instruction_sets(),
        "bytes of our library": runtime.library_path().stat().st_size,
        "bytes of LCE's": next(folder.glob("interpreter_wrapper_lite.*")).stat().st_size,
    }


def find_runtime() -> Any:
    """The package in runtime/; if it is missing, the program ends with advice."""
    try:
        import larq_reactnet_runtime as runtime

        runtime.load_delegate()
    except (ImportError, FileNotFoundError) as error:
        sys.exit(f"{str(error).rstrip('.')}. To install it: pip install {ROOT / 'runtime'}")
    return runtime


def parser_of(description: str | None, examples: str) -> argparse.ArgumentParser:
    """A parser for a benchmark of these models, with an option for the folder that they are in."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=ROOT / "build" / "benchmark",
        help="folder of the exported models (build/benchmark). Missing ones are made, which takes "
        "half a minute each. Delete the folder after a change of the exporter",
    )
    return parser


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add options for the models that are measured, and for a file with the result."""
    every = [*BINARY, *PEERS]
    parser.add_argument("--models", nargs="+", choices=every, default=every, help="default: all")
    parser.add_argument("--json", type=Path, help="also write the result to this file")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__, EXAMPLES)
    add_models(parser)
    parser.add_argument("--rounds", type=count, default=15, help="runs of each (15)")
    parser.add_argument("--threads", type=count, nargs="+", default=[1, 2], help="default: 1 2")
    return parser.parse_args()


def count(text: str) -> int:
    """A number that is at least 1."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main() -> None:
    """Make the models, run them, print the tables."""
    args = parse()
    runtime = find_runtime()
    args.cache.mkdir(parents=True, exist_ok=True)
    models = {name: files(name, args.cache) for name in dict.fromkeys(args.models)}
    conditions = machine(runtime)
    some = next(content for contents in models.values() for content in contents.values())
    conditions["interpreter"] = runtime.Interpreter(some).engine
    rows = []
    # One thread comes first: there are no other threads yet that spend CPU time of the process.
    for threads in sorted(set(args.threads)):
        rows += benchmark(runtime, models, threads, args.rounds)
    print(tabulate([(key, str(value)) for key, value in conditions.items()], tablefmt="plain"))
    print(f"\n{table(rows)}")
    if args.json:
        result = {**vars(args), **conditions, "rows": rows}
        args.json.write_text(json.dumps(result, indent=1, default=str))


if __name__ == "__main__":
    main()
