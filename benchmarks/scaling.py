"""Images per second of ReActNet-18 at 32x32 with one and two workers on this machine.

| candidate | is |
| --- | --- |
| `one thread` | one process of one thread |
| `two threads` | one process of two threads |
| `two workers` | two processes of one thread each, MultiWorkerMirroredStrategy over loopback |
| `two workers, own statistics` | the same, where batch normalization sees a worker's own images |

All train with the same global batch. They take turns, and the others wait meanwhile. A process has
as many processors as threads, because TensorFlow lets operations run beside each other however many
threads each of them may take. Reported is the median of the ratios of each round to `one thread`.

Each has one `fit`, which waits between turns. At the end of `fit`, under a strategy and where all
processors are busy, tf.data sleeps up to as long as `fit` took, and a minute at most: the thread
that looks for better numbers of threads and buffers sometimes misses that it is to end.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --batch-size 64 --steps 2 --rounds 5 --json scaling.json
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

CANDIDATES = {
    "one thread": (1, 1, True),
    "two threads": (1, 2, True),
    "two workers": (2, 1, True),
    "two workers, own statistics": (2, 1, False),
}


class Candidate:
    """Processes that train together."""

    def __init__(self, workers: int, threads: int, is_synchronized: bool, batch_size: int):
        ports = []
        for _ in range(workers):
            with socket.socket() as free:
                free.bind(("localhost", 0))
                ports.append(free.getsockname()[1])
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        values = json.dumps([workers, threads, is_synchronized, batch_size])
        self.processes = []
        for index in range(workers):
            task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            # With one, an operation that waits for the other worker holds up all others.
            threading = {
                "OMP_NUM_THREADS": str(threads),
                "TF_NUM_INTRAOP_THREADS": str(threads),
                "TF_NUM_INTEROP_THREADS": "4",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            }
            own = {(index * threads + thread) % os.cpu_count() for thread in range(threads)}
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, __file__, "--worker", values],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={**os.environ, **threading, "TF_CONFIG": json.dumps(task)},
                    text=True,
                    bufsize=1,
                    preexec_fn=lambda own=own: os.sched_setaffinity(0, own),
                )
            )

    def train(self, steps: int) -> float:
        """Seconds of some steps."""
        for process in self.processes:
            process.stdin.write(f"{steps}\n")
        return max(float(self._answer(process)) for process in self.processes)

    def _answer(self, process: subprocess.Popen) -> str:
        for line in process.stdout:
            if line.startswith("seconds "):
                return line.removeprefix("seconds ")
        raise RuntimeError(f"A worker ended with exit code {process.wait()}.")

    def end(self) -> None:
        """End the processes."""
        for process in self.processes:  # all, because each waits for the others in a step
            process.stdin.close()
        for process in self.processes:
            process.wait()


def work(workers: int, threads: int, is_synchronized: bool, batch_size: int) -> None:
    """Train as often as the input says, and print the seconds."""
    import larq_reactnet as lr
    from larq_reactnet.training.compiling import optimizer_of
    from larq_reactnet.training.distributing import strategy_of, synchronize_batch_normalization

    import numpy as np
    import tensorflow as tf

    strategy = strategy_of("multi_worker" if workers > 1 else None)
    tf.keras.utils.set_random_seed(0)
    with strategy.scope():
        model = lr.zoo.ReActNet18(
            input_shape=(32, 32, 3), num_classes=10, stem_strides=1, weights=None
        )
    if workers > 1 and is_synchronized:
        synchronize_batch_normalization(model)
    with strategy.scope():
        step = lr.zoo.recipes.two_step("reactnet_18", step1_epochs=0).steps[0]
        model.compile(optimizer_of(step, 1000), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch_size, 32, 32, 3)).astype(np.float32)
    labels = rng.integers(0, 10, batch_size)

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        own = slice(context.input_pipeline_id, None, context.num_input_pipelines)
        return tf.data.Dataset.from_tensors((images[own], labels[own])).repeat()

    data = strategy.distribute_datasets_from_function(batches)

    class Turns(tf.keras.callbacks.Callback):
        """Waits for a number of steps from the input, and prints how long they took."""

        left = 0

        def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
            if not self.left:
                self.left = int(sys.stdin.readline() or 0) or sys.maxsize
                self.model.stop_training = self.left == sys.maxsize
                self.began = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.left -= 1
            if not self.left:
                print("seconds", time.perf_counter() - self.began, flush=True)

    model.fit(data, steps_per_epoch=sys.maxsize, verbose=0, callbacks=[Turns()])


def cpu() -> str:
    """The name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(": ")[1] for x in lines if x.startswith("model name")), platform.machine())


def main(args: argparse.Namespace) -> None:
    """Measure, and print the table."""
    candidates = {name: Candidate(*values, args.batch_size) for name, values in CANDIDATES.items()}
    for candidate in candidates.values():
        candidate.train(1)  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in tqdm(range(args.rounds), unit="round", disable=None):
        for name, candidate in candidates.items():
            seconds[name].append(candidate.train(args.steps) / args.steps)
    for candidate in candidates.values():
        candidate.end()
    base = seconds["one thread"]
    rows = [
        {
            "candidate": name,
            "images/s": args.batch_size / statistics.median(found),
            "times one thread": statistics.median(
                alone / its for alone, its in zip(base, found, strict=True)
            ),
        }
        for name, found in seconds.items()
    ]
    print(f"{os.cpu_count()} cores of {cpu()}, global batch {args.batch_size}")
    print(tabulate(rows, headers="keys", floatfmt=".3g"))
    if args.json:
        args.json.write_text(json.dumps({"cpu": cpu(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=128, help="of all workers together")
    parser.add_argument("--steps", type=int, default=3, help="training steps of each timed run")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
    else:
        main(arguments)
