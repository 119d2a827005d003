"""Where the time goes in a binary network: how fast the package in runtime/ computes each layer.

The network is exported and run with one thread, and the library's own profile is read (option
`profile` of `larq_reactnet_runtime.load_delegate`). For each convolution, with what is fused into
it, the fastest of all runs counts: on a shared machine, the slower ones also measure the other work
of the machine. "G MAC/s" are billions of products of two bits per second, and "share" is how much
of --limit that is. Its default of 600 is the most that a core of a Cascade Lake can do with XOR and
a Harley-Seal count of bits.
"""

import csv
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from runtime import BINARY, count, files, find_runtime, parser_of, random_images
from tabulate import tabulate
from tqdm import tqdm

EXAMPLES = """examples:
  python benchmarks/layers.py
  python benchmarks/layers.py --model quicknet --isa avx2 avx512 --rounds 100
"""


def profile(runtime: Any, content: bytes, isa: str, rounds: int) -> tuple[float, list[dict]]:
    """The CPU time of one inference, in ms, and what the library says of each of its operators."""
    image = random_images(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "profile.csv"
        interpreter = runtime.Interpreter(content, isa=isa, profile=path)
        times = []
        for _ in tqdm(range(rounds), isa, unit="run", file=sys.stderr):
            began = time.process_time()
            interpreter.predict(image)
            times.append(1000 * (time.process_time() - began))
        del interpreter  # which writes the profile
        with path.open() as file:
            return statistics.median(times), list(csv.DictReader(file))


def rows_of(operators: list[dict], limit: float) -> list[dict[str, Any]]:
    """A row for each operator, and their sum."""
    rows = []
    products = nanoseconds = 0
    for operator in operators:
        taken, done = int(operator["fastest_ns"]), int(operator["products"])
        products, nanoseconds = products + done, nanoseconds + taken
        rows.append(row(operator["operator"], operator["input"], operator["output"], done, taken))
    rows.append(row("all", None, None, products, nanoseconds))
    for one in rows:
        one["share"] = f"{one['G MAC/s'] / limit:.0%}" if one["M MAC"] else None
    return rows


def row(name: str, source: Any, target: Any, products: int, nanoseconds: int) -> dict[str, Any]:
    """The row of the table for one operator."""
    return {
        "operator": name,
        "input": source,
        "output": target,
        "M MAC": products / 1e6,
        "us": nanoseconds / 1e3,
        "G MAC/s": products / nanoseconds,
    }


def main() -> None:
    """Make the model, run it, print the tables."""
    parser = parser_of(__doc__, EXAMPLES)
    parser.add_argument("--model", choices=BINARY, default=BINARY[0], help=f"({BINARY[0]})")
    parser.add_argument("--isa", nargs="+", help="instruction sets; by default the best there is")
    parser.add_argument("--rounds", type=count, default=50, help="runs of each (50)")
    parser.add_argument("--limit", type=float, default=600, help="G MAC/s that are 100 %% (600)")
    args = parser.parse_args()
    runtime = find_runtime()
    known = runtime.instruction_sets()
    if unknown := set(args.isa or ()) - set(known):
        parser.error(
            f"--isa must be one of {', '.join(known)} on this machine, got {unknown.pop()}"
        )
    args.cache.mkdir(parents=True, exist_ok=True)
    content = files(args.model, args.cache)["binary"]
    for isa in args.isa or known[:1]:
        median, operators = profile(runtime, content, isa, args.rounds)
        print(f"\n{args.model}, {isa}, one thread: {median:.2f} ms of CPU time (median)\n")
        print(tabulate(rows_of(operators, args.limit), "keys", "github", floatfmt=(".1f")))


if __name__ == "__main__":
    main()
