"""Training steps per second, one thread: this checkout against an older one, Larq and PyTorch.

Each candidate trains in a process of its own, for a few steps at a time, and they take turns; the
others wait meanwhile. Reported is the median of the ratios of each round, and the peak memory.

| candidate | is |
| --- | --- |
| `ours` | this checkout, `model.fit` with the optimizer of a recipe |
| `base` | the same at the commit `--base` |
| `larq` | the same network of Larq's and Keras's stock layers, see stock.py |
| `torch` | the network in PyTorch in the form of the official code, eager |
| `torch_channels_last` | the same in memory format channels last |
| `torch_compile` | the same by `torch.compile` |
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm
from training_worker import NETWORKS

ROOT = Path(__file__).resolve().parents[1]
TORCH = ["torch", "torch_channels_last", "torch_compile"]
EXAMPLES = """examples:
  python benchmarks/training.py --json training.json
  python benchmarks/training.py --networks reactnet_18 --candidates ours larq --steps 2
"""


class Candidate:
    """A process that trains a network."""

    def __init__(self, network: str, name: str, args: argparse.Namespace, base: Path):
        worker = str(ROOT / "benchmarks" / "training_worker.py")
        command = [sys.executable, worker, network, name, "--batch-size", str(args.batch_size)]
        if name == "ours":
            command += ["--precision", args.precision]
        environment = {**os.environ, **({"PYTHONPATH": str(base)} if name == "base" else {})}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, env=environment, text=True, bufsize=1
        )

    def train(self, steps: int) -> float:
        """Seconds of some steps."""
        self.process.stdin.write(f"{steps}\n")
        return float(self.process.stdout.readline())

    def end(self) -> int:
        """The largest memory of the process, in bytes."""
        output, _ = self.process.communicate()
        return int(output)


def install(commit: str, folder: Path) -> None:
    """Put the packages of an older commit into a folder."""
    source = folder.with_suffix(".source")
    source.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", source], input=archive.stdout, check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", folder, source], check=True)


def benchmark(network: str, args: argparse.Namespace, base: Path) -> list[list[Any]]:
    """A row for each candidate: images/s, times as fast as it `ours` is, peak memory."""
    names = [name for name in args.candidates if name not in TORCH or "reactnet" in network]
    candidates = {name: Candidate(network, name, args, base) for name in names}
    for candidate in candidates.values():
        candidate.train(2)  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in tqdm(range(args.rounds), desc=network):
        for name, candidate in candidates.items():
            seconds[name].append(candidate.train(args.steps))
    memory = {name: candidate.end() for name, candidate in candidates.items()}
    images = args.steps * args.batch_size
    ratios = {
        name: [its / ours for its, ours in zip(seconds[name], seconds["ours"], strict=True)]
        for name in names
    }
    return [
        [
            network,
            name,
            images / statistics.median(seconds[name]),
            statistics.median(ratios[name]),
            min(ratios[name]),
            max(ratios[name]),
            memory[name] / 2**20,
        ]
        for name in names
    ]


def processor() -> str:
    """The name of this machine's processor."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(": ")[1]
    return platform.processor()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument(
        "--candidates", nargs="+", default=["ours", "base", "larq", *TORCH], help="see above"
    )
    parser.add_argument("--base", default="8897b1c", help="an older commit")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="float32", help="policy of Keras, for `ours`")
    parser.add_argument("--steps", type=int, default=3, help="training steps of each timed run")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        if "base" in args.candidates:
            install(args.base, base)
        rows = [row for network in args.networks for row in benchmark(network, args, base)]
    headers = ["network", "candidate", "images/s", "ours is x", "least", "most", "peak MiB"]
    print(f"{processor()}, one thread, batch {args.batch_size}, {args.precision}")
    print(tabulate(rows, headers, floatfmt=("", "", ".1f", ".2f", ".2f", ".2f", ".0f")))
    if args.json:
        result = [dict(zip(headers, row, strict=True)) for row in rows]
        args.json.write_text(json.dumps({"processor": processor(), "rows": result}, indent=1))
