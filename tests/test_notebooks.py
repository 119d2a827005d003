"""The notebooks run from the first cell to the last, and were run before they were saved."""

import importlib.util
import re

import pytest
from doc_pages import DOCS
from helpers import every

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("nbclient", "ipykernel"))),
    reason="nbclient or ipykernel is missing: pip install 'larq-reactnet[dev]'",
)


def read(path):
    import nbformat

    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


def printed(notebook):
    """What all cells printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(
        output.text
        for output in outputs
        if output.output_type == "stream" and output.name == "stdout"
    )


def accuracies(notebook):
    found = re.findall(r"^(Keras|tflite) +([\d.]+)%$", printed(notebook), re.MULTILINE)
    return {name: float(percent) for name, percent in found}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_saved_notebook_was_run(path):
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert accuracies(notebook)["tflite"] > 90
    assert "/work/" not in path.read_text()


@every  # README's blocks do much of the same
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path):
    from nbclient import NotebookClient

    notebook = read(path)
    before = accuracies(notebook)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=500, kernel_name="python3", resources=where).execute()
    now = accuracies(notebook)
    assert now.keys() == before.keys()
    assert now["tflite"] == pytest.approx(now["Keras"], abs=1)
    assert now["tflite"] == pytest.approx(before["tflite"], abs=5)
    assert list(tmp_path.glob("*.tflite"))
