"""The numbers of README and documentation that were measured, each by one command.

What a command printed is kept in `docs/measured/NAME.md` (a table) or `NAME.txt`, and
`<!-- measured: NAME -->` in a page becomes that, with the command. The table of results in the
README is made of them. To measure some anew, or all:

    python docs/_measured.py demo shipped
    python docs/_measured.py all --data-dir ~/tensorflow_datasets
    python docs/_measured.py              # only writes the table in the README
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MEASUREMENTS", "README", "included", "results", "with_results"]

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
FOLDER = ROOT / "docs" / "measured"
_RESULTS = re.compile(r"(?<=<!-- results -->\n).*?(?=<!-- end of results -->)", re.DOTALL)


@dataclass(frozen=True)
class Measurement:
    """A command and what of it is kept.

    Attributes:
        command: As a user types it, in the root of the repository.
        data: Whether the command takes `--data-dir`.
        file: A file that the command writes, which is kept instead of what it prints.
        paragraphs: How many of the last paragraphs of what it prints are kept.
        by_hand: Whether what is kept is shorter than what it prints, and was written by hand.
    """

    command: str
    data: bool = False
    file: str = ""
    paragraphs: int = 1
    by_hand: bool = False


# In this order: some need files that others wrote.
MEASUREMENTS = {
    "demo": Measurement("python examples/digits.py --output demo"),
    "report": Measurement("python examples/digits.py --output demo", file="demo/report.txt"),
    "photos": Measurement("python examples/photos.py --output demo", data=True, paragraphs=3),
    "rounding": Measurement("python benchmarks/rounding.py --weights demo/weights.h5"),
    "shipped": Measurement("python benchmarks/shipped.py", data=True),
    "c_answers": Measurement("python benchmarks/c_answers.py", data=True),
    "peers": Measurement("python benchmarks/peers.py"),
    "export": Measurement("python benchmarks/export.py"),
    "runtime": Measurement("python benchmarks/runtime.py", by_hand=True),
    "microcontrollers": Measurement(  # the folders are of other projects
        "python benchmarks/microcontrollers.py --cmsis-nn A --cbin-nn B",
        by_hand=True,
    ),
    "int8_accuracy": Measurement(  # it trains for hours
        "python benchmarks/int8_accuracy.py --output int8", data=True, by_hand=True
    ),
    "precision": Measurement(  # it trains for hours
        "python benchmarks/precision.py --emulate --width 0.125", data=True, by_hand=True
    ),
    "scaling": Measurement("python benchmarks/scaling.py --batch-size 64 --steps 1 --rounds 5"),
    "insight": Measurement("python benchmarks/insight.py --steps 60 --rounds 5"),
    "files": Measurement("python benchmarks/binarized_files.py"),
    "binarized": Measurement("python benchmarks/binarized_accuracy.py"),
    "binarized_cifar10": Measurement(
        "python benchmarks/binarized_accuracy.py --dataset cifar10 --epochs 3", data=True
    ),
}


def _path(name: str) -> Path:
    """The file that keeps a measurement."""
    (found,) = FOLDER.glob(f"{name}.*")
    return found


def included(name: str) -> str:
    """A measurement as Markdown: its command, and what came out."""
    path = _path(name)
    text = path.read_text().rstrip()
    # An arrow stays in one line with the numbers before and behind it.
    table = text.replace(" → ", "\u00a0→\u00a0")
    body = table if path.suffix == ".md" else f"```text\n{text}\n```"
    return f"{body}\n\n*Measured by* `{MEASUREMENTS[name].command}`"


def _rows(name: str) -> list[list[str]]:
    """The cells of a measurement that is a Markdown table, without the two lines of its head."""
    lines = _path(name).read_text().strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _printed(name: str) -> dict[str, str]:
    """The values of a measurement that is a plain table of two columns, by their names."""
    lines = _path(name).read_text().splitlines()
    pairs = [re.split(r" {2,}", line.strip(), maxsplit=1) for line in lines]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def results() -> str:
    """The table of results in the README."""
    demo = _printed("demo")
    export = {row[0]: row[1].split(" → ") for row in _rows("export")}
    speed = {row[0]: row for row in _rows("runtime")}
    keras = demo["Keras test accuracy"].partition("%")[0]
    tflite = demo[".tflite test accuracy"].rstrip("%")
    rows = [
        [
            "ReActNet-A, width 0.25, digits (`make demo`)",
            f"{keras} % → {tflite} %",
            f"{demo['weights as float32'].removesuffix(' bytes')} → "
            f"{demo['.tflite'].removesuffix(' bytes')}",
            "",
        ]
    ]
    names = {
        "`bnn_plus_dorefanet_cifar10_short`": "BNN+ DoReFa-Net, CIFAR-10, weights in the package",
        "`reactnet_a_quarter_cifar10_short`": "ReActNet-A, width 0.25, CIFAR-10, likewise",
    }
    for recipe, in_keras, in_tflite, _, as_float, size in _rows("shipped"):
        rows.append([names[recipe], f"{in_keras} → {in_tflite}", f"{as_float} → {size}", ""])
    for network, key in (("ReActNet-A", "reactnet_a"), ("ReActNet-18", "reactnet_18")):
        lce, ours = speed[network][1:3]
        rows.append(
            [
                f"{network}, 224x224, random weights",
                "",
                f"{_float_bytes(key):,} → {export[key][1]}",
                f"{lce} → {ours}",
            ]
        )
    header = [
        "network",
        "top-1: Keras → `.tflite`",
        "bytes: float32 → `.tflite`",
        "ms: LCE → runtime",
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _float_bytes(model: str) -> int:
    """Bytes of the weights of a network of the zoo as float32."""
    from larq_reactnet.zoo import sizes

    return 4 * sizes.read()[model].parameters


def with_results(text: str) -> str:
    """The text of the README with the table as it is now."""
    if not _RESULTS.search(text):
        raise ValueError("The README has no place for its results.")
    return _RESULTS.sub(f"\n{results()}\n\n", text)


def _measure(name: str, data_dir: str | None) -> None:
    """Run the command of a measurement, and keep what came out."""
    measurement = MEASUREMENTS[name]
    words = [sys.executable, *measurement.command.split()[1:]]
    if measurement.data and data_dir:
        words += ["--data-dir", data_dir]
    print(f"{name}: {' '.join(words[1:])}", flush=True)
    if measurement.file:
        kept = (ROOT / measurement.file).read_text()
    else:
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        kept = "\n\n".join(done.stdout.rstrip().split("\n\n")[-measurement.paragraphs :])
    _path(name).write_text(f"{_last_table(kept.rstrip())}\n")


def _last_table(text: str) -> str:
    """Of several Markdown tables, one below the other, the last, and without padding."""
    lines = text.splitlines()
    heads = [i - 1 for i, line in enumerate(lines) if line.startswith("|--")]
    if not heads:
        return text
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[heads[-1] :]]
    rows[1] = ["---"] * len(rows[1])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    measured = [name for name, measurement in MEASUREMENTS.items() if not measurement.by_hand]
    parser.add_argument("names", nargs="*", help=f"all, or of {', '.join(measured)}")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {"all", *measured}
    if unknown:
        parser.error(f"There is no measurement called {', '.join(sorted(unknown))}.")
    for name in measured:
        if name in arguments.names or "all" in arguments.names:
            _measure(name, arguments.data_dir)
    README.write_text(with_results(README.read_text()))


if __name__ == "__main__":
    main()
