"""Put the weights of a finished run into the package, with their row in the table.

    python tools/ship.py runs/reactnet_a_quarter --data-dir ~/tensorflow_datasets

The run must be of a recipe as it is in the repository, from a clean commit. The accuracy of the row
is measured anew, with the packed weights that are shipped.
"""

import argparse
import csv
import json
import shutil
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from larq_reactnet import zoo
from larq_reactnet._files import replacing
from larq_reactnet.training import Run
from larq_reactnet.zoo.pretrained import FOLDER, Weights, list_weights, load, read_table

import pooch

__all__ = ["recipe_of", "ship"]


def ship(folder: Path, data_dir: str | Path | None = None, weights: Path = FOLDER) -> Weights:
    """Copy the packed weights of a run to `weights`, and enter them in the table there.

    Args:
        folder: Folder of the run.
        data_dir: See `zoo.datasets.load`.
        weights: Folder of the table.

    Returns:
        The row.

    Raises:
        ValueError: If the run is not finished, its sources are not those of a commit, no recipe in
            the repository has its values, or the packed weights do not give its accuracy.
    """
    run = Run(folder)
    content = run.read()
    if "results" not in content:
        raise ValueError(f"The run in {folder} is not finished.")
    if not content["commit"] or content["commit"].endswith("-dirty"):
        raise ValueError(f"The run in {folder} was not made by a commit: {content['commit']}.")
    name = recipe_of(content["arguments"])
    recipe = zoo.recipes.load(name)
    data = zoo.datasets.load(recipe.dataset, image_size=recipe.image_size, data_dir=data_dir)
    defaults = zoo.get(recipe.model).arguments
    options = {
        key: value
        for key, value in content["arguments"]["options"].items()
        if json.dumps(defaults[key]) != json.dumps(value)
    }
    model = zoo.create(recipe.model, **options)
    load(model, run.packed, recipe.model)
    model.compile(metrics=["accuracy"])
    accuracy = model.evaluate(data.test, verbose=0)[1]
    wanted = content["results"]["accuracy"]
    if abs(accuracy - wanted) > 1e-6:
        raise ValueError(f"The packed weights reach {accuracy:.2%}, the run {wanted:.2%}.")
    path = weights / f"{name}.safetensors"
    with replacing(path) as temporary:
        shutil.copyfile(run.packed, temporary)
    row = Weights(
        model=recipe.model,
        dataset=recipe.dataset,
        options=options,
        recipe=name,
        commit=content["commit"],
        seed=recipe.seed,
        hardware=content["hardware"],
        top1=round(100 * accuracy, 2),
        date=content["finished"][:10],
        bytes=path.stat().st_size,
        sha256=pooch.file_hash(path),
        location=path.name,
        licence="Apache-2.0",
        source=f"trained here in {content['results']['hours']:.1f} hours",
    )
    _enter(row, weights / "weights.csv")
    return row


def recipe_of(arguments: dict[str, Any]) -> str:
    """The name of the recipe whose values are `arguments` of a run.

    Raises:
        ValueError: If there is none.
    """
    given = {key: value for key, value in arguments.items() if key != "data_dir"}
    for name in zoo.recipes.list_recipes():
        recipe = zoo.recipes.load(name).as_dict()
        shape = {key: given["options"][key] for key in ("input_shape", "num_classes")}
        if {**recipe, "options": {**shape, **recipe["options"]}} == given:
            return name
    raise ValueError(f"No recipe has the values of this run: {json.dumps(given)}.")


def _enter(row: Weights, path: Path) -> None:
    """Add `row` to the table, in place of an older one of the same recipe."""
    rows = [old for old in read_table(path) if old.recipe != row.recipe or not old.recipe]
    rows = sorted([*rows, row], key=lambda row: (row.model, row.dataset))
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(
            file, [field.name for field in fields(Weights)], lineterminator="\n"
        )
        writer.writeheader()
        for entry in rows:
            cells = {key: "" if value is None else value for key, value in asdict(entry).items()}
            writer.writerow({**cells, "options": json.dumps(entry.options)})
    read_table.cache_clear()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data-dir")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        print(ship(folder, arguments.data_dir))
    print(f"{len(list_weights())} rows; say in the docstring of each recipe what was measured.")
