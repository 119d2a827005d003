"""The weights that were trained here as C: how many answers are not those of the `.tflite`.

Each network is exported, and all test images of its data set are classified by the `.tflite` in
Larq Compute Engine's own interpreter, and by the C, which is compiled for this machine and is given
the pixels as bytes.

    python benchmarks/c_answers.py --data-dir ~/tensorflow_datasets
"""

import argparse
import tempfile
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.converters._c.compiled import compiled
from larq_reactnet.converters._c.writer import network
from larq_reactnet.converters.rescaling import pixels_of

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

HEADERS = (
    "recipe",
    "arithmetic",
    "images",
    "other answers",
    "largest distance of a score",
    "top-1 of the `.tflite`",
    "top-1 of the C",
    "flash: weights",
    "RAM: arena",
)


def measure(row: lr.zoo.pretrained.Weights, data_dir: str | None, limit: int) -> list[list[str]]:
    """Rows of the table, for each arithmetic."""
    data = lr.zoo.datasets.load(row.dataset, data_dir=data_dir)
    images, labels = (array[:limit] for array in data.test_arrays())
    metadata = lr.converters.Metadata(labels=tuple(data.class_names), mean=data.mean, std=data.std)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.tflite")
        model = lr.zoo.create(row.model, weights=row.recipe)
        lr.converters.export(model, path, verify_with=images[:100], metadata=metadata)
        content = path.read_bytes()
    pixels = pixels_of(images, "uint8", metadata.mean, metadata.std).astype(np.uint8)
    expected = lr.converters.predict_tflite(content, images, engine="lce")
    rows = []
    for arithmetic in ("float32", "int16"):
        written = network(content, "model", "uint8", metadata, arithmetic)
        with compiled(written) as library:
            scores = np.stack([library.run(each) for each in tqdm(pixels, row.recipe, leave=False)])
        answers = expected.argmax(-1), scores.argmax(-1)
        rows.append(
            [
                f"`{row.recipe}`",
                arithmetic,
                f"{len(images):,}",
                str((answers[0] != answers[1]).sum()),
                f"{np.abs(scores - expected).max():.1g}",
                *(f"{np.mean(answer == labels):.2%}".replace("%", " %") for answer in answers),
                f"{written.constant_bytes:,}",
                f"{written.plan.bytes:,}",
            ]
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps CIFAR-10")
    parser.add_argument("--images", type=int, default=10_000, help="use at most so many")
    arguments = parser.parse_args()
    shipped = [row for row in lr.zoo.pretrained.list_weights() if row.recipe]
    found = (measure(row, arguments.data_dir, arguments.images) for row in shipped)
    rows = [row for rows in found for row in rows]
    print(tabulate(rows, HEADERS, "github", disable_numparse=True))
