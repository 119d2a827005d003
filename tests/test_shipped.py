"""The weights in the package, on pictures made here, and on CIFAR-10 if DATA_DIR says where it is.

`python tests/test_shipped.py` writes the expected logits again, if other weights are shipped.
"""

import json
import re
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet._graph.calls import rebuild
from larq_reactnet.zoo import pretrained
from larq_reactnet_cli import main

import numpy as np
import pytest
from click.testing import CliRunner

SHIPPED = [row for row in pretrained.list_weights() if not row.location.startswith("http")]
LOGITS = Path(__file__).with_name("shipped_logits.json")
SLICE = 500


def images(dataset):
    """Four pictures of stripes and squares, whose pixels are whole numbers."""
    row, column, channel = np.mgrid[:32, :32, :3]
    pixels = [
        8 * row + 0 * channel,
        (29 * row + 13 * column + 101 * channel) % 256,
        255 * ((row // 8 + column // 8 + channel) % 2),
        (row * column + 40 * channel) % 256,
    ]
    mean, std = lr.zoo.datasets.STATISTICS[dataset]
    return (np.stack(pixels) - mean) / std


def logits(row):
    """Logits of a shipped network in float64, where rounding decides nothing."""
    model = lr.zoo.create(row.model, weights=row.recipe, classifier_activation=None)
    return rebuild(model, dtype="float64")(images(row.dataset)).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("row", SHIPPED, ids=lambda row: row.recipe)
def test_logits(row):
    wanted = json.loads(LOGITS.read_text())[row.recipe]
    assert np.ptp(wanted, axis=0).min() > 0.1
    np.testing.assert_allclose(logits(row), wanted, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("row", SHIPPED, ids=lambda row: row.recipe)
def test_accuracy(row, cifar10_dir, tmp_path):
    """Both the shipped weights and the `.tflite` that is exported from them are accurate."""

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    def accuracy(*arguments):
        output = run("evaluate", *arguments, "--limit", SLICE, "--data-dir", cifar10_dir)
        found = re.search(rf"Test accuracy ([\d.]+)% of {SLICE:,} images", output)
        return float(found.group(1))

    keras = accuracy(row.recipe)
    deviation = 100 * np.sqrt(row.top1 / 100 * (1 - row.top1 / 100) / SLICE)
    assert abs(keras - row.top1) < 4 * deviation
    path = tmp_path / "model.tflite"
    run("export", row.recipe, path, "--images", 50, "--data-dir", cifar10_dir)
    assert abs(accuracy(path, "--dataset", row.dataset) - keras) <= 0.3


if __name__ == "__main__":
    found = {row.recipe: logits(row).tolist() for row in SHIPPED}
    LOGITS.write_text(json.dumps(found, indent=1) + "\n")
