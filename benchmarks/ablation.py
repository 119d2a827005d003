"""The ablations of the two papers on CIFAR-10: the same training with parts left out.

Each cell of the table is a run of its recipe with other values, in its own folder. It is resumed if
the command is repeated, and a finished one is only read. The accuracies on the test images after
the last epoch, their mean and spread are printed, and written as JSON.

    python benchmarks/ablation.py bnn_plus --data-dir ~/tensorflow_datasets
    python benchmarks/ablation.py bnn_plus --data-dir ... --set step1.epochs=5 --set width=0.5
    python benchmarks/ablation.py bnn_plus --data-dir ... --seeds-of "STE, none=0,1"
    python benchmarks/ablation.py reactnet --data-dir ... --seeds 0 1 --teacher runs/resnet18
"""

import argparse
import json
import statistics
from itertools import product
from pathlib import Path
from typing import Any

import larq_reactnet as lr
from larq_reactnet._files import replacing
from larq_reactnet.training.runs import Run

from tabulate import tabulate

GRADIENTS = {"STE": None, "SS5": 5.0, "SS10": 10.0}
REGULARIZERS = {"none": None, "R1": "r1", "R2": "r2"}
CELLS: dict[str, dict[str, dict[str, Any]]] = {
    "bnn_plus": {
        f"{gradient}, {regularizer}": {
            "beta": GRADIENTS[gradient],
            "regularizer": REGULARIZERS[regularizer],
        }
        for gradient, regularizer in product(GRADIENTS, REGULARIZERS)
    },
    "reactnet": {
        "baseline": {"rsign": False, "activation": None, "teacher": None},
        "+ RSign": {"activation": None, "teacher": None},
        "+ RPReLU": {"rsign": False, "teacher": None},
        "+ both": {"teacher": None},
        "+ distributional loss": {},
    },
}


def setting(text: str) -> tuple[str, Any]:
    """A name and a value from `NAME=VALUE`, where VALUE is JSON."""
    name, _, value = text.partition("=")
    return name, json.loads(value)


def seeds_of(text: str) -> tuple[str, list[int]]:
    """A cell and its seeds from `CELL=SEED,...`."""
    cell, _, numbers = text.partition("=")
    return cell, [int(number) for number in numbers.split(",")]


def row(cell: str, found: dict[int, float]) -> tuple[str, ...]:
    """Mean, spread and accuracies of a cell, in percent."""
    accuracies = [100 * accuracy for accuracy in found.values()]
    spread = f"{statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    listed = ", ".join(f"{seed}: {100 * accuracy:.2f}" for seed, accuracy in found.items())
    return cell, f"{statistics.mean(accuracies):.2f}", spread, listed


def main(arguments: argparse.Namespace) -> None:
    """Run all cells and print the table."""
    arguments.output.mkdir(parents=True, exist_ok=True)
    recipe = lr.zoo.recipes.load(f"{arguments.table}_ablation_cifar10")
    cells = CELLS[arguments.table]
    own = dict(arguments.seeds_of)
    if unknown := own.keys() - cells.keys():
        raise SystemExit(
            f"There is no cell {min(unknown)!r}: they are {', '.join(map(repr, cells))}."
        )
    runs = [(seed, cell) for cell in cells for seed in own.get(cell, arguments.seeds)]
    table: dict[str, dict[int, float]] = {}
    for seed, cell in sorted(runs, key=lambda run: run[0]):  # first all with the first seed
        values = cells[cell]
        folder = arguments.output / f"{cell.replace(', ', '_').replace(' ', '_')}_{seed}"
        chosen = recipe.with_values({**values, **dict(arguments.set), "seed": seed})
        teacher = arguments.teacher if chosen.teacher else None
        if "results" not in (Run(folder).read() if Run(folder).exists() else {}):
            lr.training.train(
                chosen, folder, data_dir=arguments.data_dir, teacher=teacher, verbose=2
            )
        table.setdefault(cell, {})[seed] = Run(folder).read()["results"]["accuracy"]
        with replacing(arguments.output / "ablation.json") as temporary:
            temporary.write_text(json.dumps(table, indent=1) + "\n")
    rows = [row(cell, found) for cell, found in table.items()]
    print(tabulate(rows, headers=["", "top-1, %", "spread", "of seeds"], disable_numparse=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=CELLS)
    parser.add_argument("--data-dir")
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument(
        "--seeds-of",
        type=seeds_of,
        action="append",
        default=[],
        metavar="CELL=SEED,...",
        help="other seeds for one cell",
    )
    parser.add_argument("--teacher", type=Path, help="run folder of resnet18_cifar10")
    parser.add_argument(
        "--set",
        type=setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another value for the recipe, in all cells",
    )
    main(parser.parse_args())
