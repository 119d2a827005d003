"""How long a `.tflite` takes for one input, in each engine that is installed."""

import contextlib
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from larq_reactnet._shared.sizing import random_inputs
from larq_reactnet._tables import Shown
from larq_reactnet.converters._tflite import file as tflite
from larq_reactnet.converters.interpreter import TITLES, Interpreter, engines

from tabulate import tabulate
from tqdm import tqdm

__all__ = ["Benchmark", "Timing", "benchmark"]

# For each engine, the settings that are timed, and whether they ask for XNNPACK: LCE leaves that to
# its users.
_SETTINGS = {"lce": {"LCE": False, "LCE, XNNPACK": True}, "runtime": {TITLES["runtime"]: True}}
_PAUSE = 0.05  # seconds in which the threads of the other engines go to sleep


@dataclass(frozen=True)
class Timing:
    """How long an engine takes for one input.

    Attributes:
        engine: What ran the file.
        threads: Number of threads.
        seconds: Duration of each run, without loading the file or sending data to its process.
        speedup: How many times as fast it is as LCE with the same number of threads and the faster
            of LCE's settings: the median ratio of runs of the same round. None without LCE.
    """

    engine: str
    threads: int
    seconds: tuple[float, ...]
    speedup: float | None

    @property
    def median_ms(self) -> float:
        """Median of the runs, in milliseconds."""
        return 1000 * statistics.median(self.seconds)

    @property
    def minimum_ms(self) -> float:
        """The shortest run, in milliseconds."""
        return 1000 * min(self.seconds)


@dataclass(frozen=True, repr=False)
class Benchmark(Shown):
    """What `benchmark` measured; printing it gives a table.

    Attributes:
        timings: One entry for each engine, setting and number of threads.
        refusals: Why engines that are installed did not run the file.
    """

    timings: tuple[Timing, ...]
    refusals: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON."""
        timings = [
            {
                "engine": timing.engine,
                "threads": timing.threads,
                "median_ms": timing.median_ms,
                "minimum_ms": timing.minimum_ms,
                "speedup": timing.speedup,
                "seconds": [*timing.seconds],
            }
            for timing in self.timings
        ]
        return {"machine": platform.machine(), "timings": timings, "refusals": [*self.refusals]}

    def __str__(self) -> str:
        rows = [
            (timing.engine, timing.threads, timing.median_ms, timing.minimum_ms, timing.speedup)
            for timing in self.timings
        ]
        header = ("engine", "threads", "median ms", "minimum ms", "x LCE")
        table = tabulate(rows, header, floatfmt=".2f", missingval="-")
        return "\n".join([table, *(f"Not timed: {reason}" for reason in self.refusals)])


def benchmark(
    flatbuffer: tflite.File,
    *,
    engine: str = "auto",
    num_threads: Sequence[int] = (1,),
    runs: int = 30,
    size: Sequence[int] | None = None,
    progress: bool = True,
) -> Benchmark:
    """Time a `.tflite` on random inputs, one at a time as on a device.

    The engines take turns, so that other work of the machine slows all of them alike. Each has a
    process of its own, in which the time is taken. One run before each that counts wakes up its
    threads.

    !!! example
        ```python
        print(lr.converters.benchmark("model.tflite", num_threads=(1, 2)))
        ```

    Args:
        flatbuffer: The path of a file, or its content.
        engine: `"lce"`, `"runtime"`, or `"auto"` for all that are installed.
        num_threads: Numbers of threads, which are timed one after the other.
        runs: Number of runs of each engine that count.
        size: For a file that takes inputs of any size, such as images, what is timed: their height
            and width.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: If no engine runs the file, or it is corrupt; or if a number in `num_threads`
            or `runs` is not above zero.
        OSError: If there is no such file.
        ImportError: If the engine is not installed.
    """
    if runs < 1 or not num_threads or min(num_threads) < 1:
        raise ValueError("`num_threads` and `runs` must be at least 1.")
    content = tflite.content_of(flatbuffer)
    names = sorted(engines(engine))  # LCE first
    timings: list[Timing] = []
    refusals: list[str] = []
    with tqdm(
        total=len(num_threads) * runs, desc="Timing", leave=False, disable=not progress
    ) as bar:
        for number in num_threads:
            with contextlib.ExitStack() as stack:
                running, refusals = _start(content, names, number, stack)
                if not running:
                    raise ValueError(" ".join(refusals))
                seconds: dict[str, list[float]] = {title: [] for title in running}
                for _ in range(runs):
                    for title, interpreter in running.items():
                        seconds[title].append(_seconds(interpreter, number, size))
                    bar.update()
                timings += _timings(seconds, number)
    return Benchmark(tuple(timings), tuple(refusals))


def _start(
    flatbuffer: bytes, names: Sequence[str], threads: int, stack: contextlib.ExitStack
) -> tuple[dict[str, Interpreter], list[str]]:
    """The interpreters of the engines that run the file, and why others do not."""
    running, refusals = {}, []
    for name in names:
        try:
            for title, xnnpack in _SETTINGS[name].items():
                running[title] = stack.enter_context(
                    Interpreter(flatbuffer, engine=name, num_threads=threads, xnnpack=xnnpack)
                )
        except ValueError as error:
            refusals.append(str(error))
    return running, refusals


def _seconds(interpreter: Interpreter, threads: int, size: Sequence[int] | None) -> float:
    shapes, signatures = interpreter.input_shapes, interpreter.input_signatures
    inputs = random_inputs(shapes, signatures, interpreter.input_types, size)
    if threads > 1:
        time.sleep(_PAUSE)
    return float(interpreter.seconds(*inputs)[0])


def _timings(seconds: dict[str, list[float]], threads: int) -> list[Timing]:
    theirs = [seconds[title] for title in _SETTINGS["lce"] if title in seconds]
    best = min(theirs, key=statistics.median, default=None)
    return [
        Timing(
            title,
            threads,
            tuple(mine),
            statistics.median(lce / own for lce, own in zip(best, mine, strict=True))
            if best
            else None,
        )
        for title, mine in seconds.items()
    ]
