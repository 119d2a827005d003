"""Shipping the weights of a run with the package."""

import larq_reactnet as lr
from larq_reactnet.training import Run
from larq_reactnet.zoo import pretrained, recipes
from larq_reactnet.zoo.recipes import two_step

import pytest
from ship import recipe_of, ship


@pytest.mark.slow
def test_ship(tmp_path, monkeypatch):
    """The weights of a run become a row and a file, if a recipe has the values of the run."""
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "weights.csv").write_text((pretrained.FOLDER / "weights.csv").read_text())
    values = {"options": {"width": 0.05}, "step1_epochs": 0, "epochs": 1, "batch_size": 256}
    recipe = two_step("bnn_plus_alexnet", **values)
    run = Run(tmp_path / "run")
    lr.training.train(recipe, run.folder, verbose=0)
    with pytest.raises(ValueError, match="No recipe has the values of this run"):
        recipe_of(run.read()["arguments"])
    monkeypatch.setattr(recipes, "list_recipes", lambda: ["tiny"])
    monkeypatch.setattr(recipes, "load", lambda name: recipe)

    run.write({**run.read(), "commit": "0" * 40})
    row = ship(run.folder, weights=weights)
    assert (row.recipe, row.seed, row.commit) == ("tiny", 0, "0" * 40)
    assert row.options == {"width": 0.05}
    assert row.top1 == round(100 * run.read()["results"]["accuracy"], 2)
    assert (weights / row.location).read_bytes() == run.packed.read_bytes()
    before = pretrained.list_weights()
    after = [*pretrained.read_table(weights / "weights.csv")]
    assert [other for other in after if other != row] == before
    assert ship(run.folder, weights=weights) == row  # in place of the former one
    assert len(pretrained.read_table(weights / "weights.csv")) == len(before) + 1

    for changes, match in (
        ({"commit": "0" * 40 + "-dirty"}, "was not made by a commit"),
        ({"commit": None}, "was not made by a commit"),
        ({"results": {"accuracy": 0.999, "hours": 1}}, "The packed weights reach"),
    ):
        run.write({**run.read(), "commit": "0" * 40, **changes})
        with pytest.raises(ValueError, match=match):
            ship(run.folder, weights=weights)
    content = run.read()
    del content["results"]
    run.write(content)
    with pytest.raises(ValueError, match="is not finished"):
        ship(run.folder, weights=weights)
