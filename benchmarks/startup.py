"""Seconds from a command to its output, of commands that do not need TensorFlow.

Each is a process of its own, and they take turns. `python -c pass` is what Python itself takes.
The benchmark ends with an error if the median of a command is more than half a second.

    python benchmarks/startup.py
"""

import argparse
import statistics
import subprocess
import sys
import time

from tabulate import tabulate

COMMANDS = ("--help", "train --help", "export --help", "models", "recipes")
LIMIT = 0.5


def seconds(command: list[str]) -> float:
    """How long a process takes."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    commands = {"python -c pass": [sys.executable, "-c", "pass"]}
    for words in COMMANDS:
        commands[f"larq-reactnet {words}"] = [
            *(sys.executable, "-m", "larq_reactnet_cli"),
            *words.split(),
        ]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(args.rounds):
        for name, command in commands.items():
            times[name].append(seconds(command))
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(tabulate(medians.items(), ("command", "median seconds"), floatfmt=".2f"))
    if max(medians.values()) > LIMIT:
        sys.exit(f"A command takes more than {LIMIT} seconds.")
