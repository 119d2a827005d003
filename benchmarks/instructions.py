"""How many instructions an inference takes on a 64-bit ARM, counted in an emulator.

This is not time: a real processor runs some instructions faster than others, several at once, and
waits for memory. But it can be counted without having the machine, and it is the same number each
time. The emulated processor is a Cortex-A72, that of a Raspberry Pi 4, which has no instructions
for dot products; `--cpu cortex-a76` is that of a Raspberry Pi 5, which has some.

The networks are those of runtime.py: binary ones in larq-reactnet-runtime, and MobileNetV1 and
ResNet-18 in LiteRT with XNNPACK, all with one thread. Each network first runs once without being
counted, and then as often as --runs says. The result is the number of instructions of one of these
runs. It includes what Python does around the interpreter, which is less than 0.3 million.

This needs the emulator and the wheel for aarch64, which `make -C runtime aarch64` makes, and a C
compiler for the plugin that counts.
"""

import argparse
import bisect
import collections
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime import ROOT, add_models, count, files, parser_of
from tabulate import tabulate
from tqdm import tqdm

EXAMPLES = """examples:
  python benchmarks/instructions.py --json instructions.json
  python benchmarks/instructions.py --models reactnet_a --profile
  python benchmarks/instructions.py --models mobilenet_v1 --cpu cortex-a76 --cache /tmp/models
"""
QEMU = ROOT / "runtime" / "tests" / "qemu"
SITE = ROOT / "runtime" / "build" / "site-aarch64"
LIBRARY = "liblarq_reactnet_runtime.so"
OWNERS = {  # whose instructions they are, by a part of the name of the file that they are in
    LIBRARY: "larq-reactnet-runtime",
    "litert": "LiteRT and XNNPACK",
    "libc.so": "C library",
}
# The program that runs in the emulator. The plugin counts from where it closes the file -7001 to
# where it closes -7002; there are no such files.
GUEST = """
import os, sys
import numpy as np
from larq_reactnet_runtime import Interpreter

def mark(number):
    try:
        os.close(number)
    except OSError:
        pass

image = np.random.default_rng(1).normal(size=(1, 224, 224, 3)).astype(np.float32)
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.predict(image)
mark(-7001)
for _ in range(int(sys.argv[2])):
    interpreter.predict(image)
mark(-7002)
print(interpreter.engine)
with open("/proc/self/maps") as maps:
    print(maps.read())
"""


def emulator() -> Path:
    """The folder that setup.sh makes; if it is missing, the program ends with advice."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = Path(os.environ.get("LARQ_REACTNET_QEMU", caches / "larq-reactnet-qemu"))
    if not (folder / "host").is_dir():
        sys.exit(f"There is no emulator with plugins in {folder}. To make it: {QEMU / 'setup.sh'}")
    return folder


def plugin(folder: Path) -> Path:
    """Compile the plugin that counts. If that fails, the program ends with the reason."""
    path = folder / "count.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(path), str(QEMU / "count.c")]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit(f"There is no C compiler {compiler}: install one, or name it as CC.")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{compiler} cannot compile {command[-1]}: {error.stderr.strip()}")
    return path


def emulate(
    args: argparse.Namespace, model: Path, compiled: Path, counts: Path
) -> tuple[str, list[str]]:
    """Run a model in the emulator, where the plugin writes the counts.

    Returns:
        The name of the engine, and the lines that say where files were in memory.
    """
    environment = {
        **os.environ,
        "CPU": args.cpu,
        "PYTHONPATH": str(args.site),
        "QEMU_PLUGIN": f"file={compiled},out={counts}",
    }
    command = [str(QEMU / "run.sh"), "-c", GUEST, str(model), str(args.runs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0 or not counts.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        sys.exit(f"{model.name} failed in the emulator: {last}")
    engine, *maps = done.stdout.splitlines()
    return engine, maps


class Memory:
    """Finds the file, and the place in it, that was at an address in memory."""

    def __init__(self, maps: list[str]):
        self.areas: list[tuple[int, int, int, str]] = []
        for line in maps:
            if match := re.match(r"(\w+)-(\w+) \S+ (\w+) \S+ \d+\s+(/.*)", line):
                *numbers, path = match.groups()
                start, end, offset = (int(number, 16) for number in numbers)
                self.areas.append((start, end, start - offset, path))
        self.bases: dict[str, int] = {}
        for _, _, base, path in self.areas:
            self.bases.setdefault(path, base)

    def find(self, address: int) -> tuple[str, int]:
        """The path of the file, and the address as the file itself counts it."""
        for start, end, _, path in self.areas:
            if start <= address < end:
                return path, address - self.bases[path]
        return "", address


class Symbols:
    """The functions of a library, as `nm` lists them."""

    def __init__(self, path: Path):
        done = subprocess.run(["nm", "-C", "-n", str(path)], capture_output=True, text=True)
        matches = re.findall(r"^([0-9a-f]+) [tTwW] (.*)$", done.stdout, re.MULTILINE)
        if not matches:
            sys.exit(f"{path} has no symbols: build it without -Wl,-s.")
        self.names = [name for _, name in matches]
        self.addresses = [int(address, 16) for address, _ in matches]

    def find(self, address: int) -> str:
        """The function that an address is in, without its arguments."""
        name = self.names[max(0, bisect.bisect(self.addresses, address) - 1)]
        name = re.sub(r"larq_reactnet_runtime::|\(anonymous namespace\)::|^void ", "", name)
        return name.split("(")[0][:60]


def places(counts: Path) -> Iterator[tuple[int, int]]:
    """The address of each block of instructions, and how many instructions were run in it."""
    for line in counts.read_text().splitlines():
        address, instructions, runs = line.split()
        yield int(address, 16), int(instructions) * int(runs)


def measure(args: argparse.Namespace, title: str, model: Path, compiled: Path) -> dict[str, Any]:
    """Instructions of one model, in millions per inference."""
    symbols = Symbols(args.symbols) if args.symbols else None
    total = 0.0
    owners: collections.Counter[str] = collections.Counter()
    functions: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts.txt")
        engine, maps = emulate(args, model, compiled, counts)
        memory = Memory(maps)
        for address, number in places(counts):
            millions = number / args.runs / 1e6
            path, offset = memory.find(address)
            name = path.rpartition("/")[2]
            owner = next((OWNERS[part] for part in OWNERS if part in name), "Python and NumPy")
            total += millions
            owners[owner] += millions
            if symbols and name == LIBRARY:
                functions[symbols.find(offset)] += millions
    return {
        "model": title,
        "million instructions": total,
        "engine": engine,
        "by owner": dict(owners.most_common()),
        "by function": dict(functions.most_common(12)),
    }


def models(args: argparse.Namespace) -> Iterator[tuple[str, Path]]:
    """Titles and files of the networks."""
    for name in dict.fromkeys(args.models):
        for kind in files(name, args.cache):
            yield f"{name}, {kind}", args.cache / f"{name}.{kind}.tflite"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__, EXAMPLES)
    add_models(parser)
    parser.add_argument("--runs", type=count, default=2, help="inferences that are counted (2)")
    parser.add_argument("--cpu", default="cortex-a72", help="a processor of qemu (cortex-a72)")
    parser.add_argument(
        "--site",
        type=Path,
        default=SITE,
        help="folder with larq_reactnet_runtime for aarch64 (runtime/build/site-aarch64)",
    )
    parser.add_argument(
        "--profile", action="store_true", help="also show whose instructions they are"
    )
    parser.add_argument(
        "--symbols",
        type=Path,
        help="the library, linked without -Wl,-s: with --profile, also shows its functions",
    )
    return parser.parse_args()


def main() -> None:
    """Make the models, run them, print the tables."""
    args = parse()
    if not (args.site / "larq_reactnet_runtime" / LIBRARY).exists():
        sys.exit(f"There is no {LIBRARY} in {args.site}. To make it: make -C runtime aarch64")
    compiled = plugin(emulator())
    args.cache.mkdir(parents=True, exist_ok=True)
    found = list(models(args))
    rows = [
        measure(args, title, path, compiled)
        for title, path in tqdm(found, "emulating", unit="model", file=sys.stderr)
    ]
    shown = [{key: row[key] for key in ("model", "million instructions")} for row in rows]
    print(f"One thread, {args.cpu} in qemu, {rows[0]['engine']}; instructions are not time.\n")
    print(tabulate(shown, "keys", "github", floatfmt=".1f"))
    for row in rows if args.profile else []:
        parts = [*row["by owner"].items(), *row["by function"].items()]
        print(f"\n{tabulate(parts, [row['model'], 'million'], 'github', floatfmt='.2f')}")
    if args.json:
        args.json.write_text(json.dumps({**vars(args), "rows": rows}, indent=1, default=str))


if __name__ == "__main__":
    main()
