"""Whether the run in a folder may go on with the values that are asked for now."""

from dataclasses import fields
from typing import Any

from larq_reactnet.training.runs import Run
from larq_reactnet.zoo.datasets import absolute
from larq_reactnet.zoo.recipes import Recipe, Step

__all__ = ["continued", "flat", "state_of"]

_DEFAULTS: dict[str, Any] = {
    **{field.name: field.default for field in fields(Recipe)},
    **{f"step.{field.name}": field.default for field in fields(Step)},
    "step.milestones": [],
    "step.options": {},
}


def continued(run: Run, content: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """The content of `run.json` with which a run goes on.

    The values must be those with which it was begun, except that a step may get more epochs: if it
    has not begun, or if it is the last one and its learning rate does not depend on their number.

    Args:
        run: The run.
        content: The content of its `run.json`.
        arguments: The values that are asked for.

    Raises:
        ValueError: If they are others; the message names the first that differs.
    """
    old, new = flat(content["arguments"]), flat(arguments)
    differing = [name for name in new if old.get(name, _default(name)) != new[name]]
    if not differing:
        return content
    for name in differing:
        begun_with = old.get(name, _default(name))
        _check_longer(run, name, begun_with, new[name], arguments["steps"])
    # The checkpoint has all that is removed here. If this is interrupted, the run is as before its
    # last file was written.
    for path in (run.weights, run.packed):
        path.unlink(missing_ok=True)
    kept = {key: content[key] for key in content if key not in ("finished", "results")}
    content = {**kept, "arguments": arguments}
    run.write(content)
    return content


def _check_longer(run: Run, name: str, old: Any, new: Any, steps: list[dict[str, Any]]) -> None:
    """Raise ValueError unless a value is a number of epochs that may be raised."""
    another = f"{run.folder} holds a run with another {name} ({old!r}, not {new!r})"
    step, _, attribute = name.partition(".")
    if attribute != "epochs":
        raise ValueError(f"{another}: give another folder, or remove it.")
    begun = (run.weights, run.folder / f"{step}.h5", run.checkpoints / step)
    if not any(path.exists() for path in begun):
        return
    way_out = f"start another run from it, with weights={str(run.folder)!r} (--weights)"
    number = int(step.removeprefix("step"))
    if new < old or number < len(steps):
        raise ValueError(f"{another}: only the last step can be trained longer; {way_out}.")
    values = Step(**steps[-1])
    if not values.can_be_longer:
        raise ValueError(
            f"{another}: its learning rate falls to 0 in just that many epochs "
            f"(schedule={values.schedule!r}), so it cannot be trained longer; {way_out}."
        )
    if not (run.checkpoints / step).exists():
        raise ValueError(f"{another}: the state of its optimizer was not kept; {way_out}.")


def flat(arguments: dict[str, Any]) -> dict[str, Any]:
    """The values by the names that `Recipe.with_values` takes; `data_dir` may differ."""
    flat = {key: arguments[key] for key in arguments if key not in ("steps", "options", "data_dir")}
    for number, step in enumerate(arguments["steps"], 1):
        flat.update({f"step{number}.{key}": value for key, value in step.items()})
    # Earlier versions kept the path of a folder as it was given.
    flat["dataset"] = absolute(flat["dataset"])
    return {"steps": len(arguments["steps"]), **flat, **arguments["options"]}


def state_of(run: Run) -> dict[str, Any]:
    """What a training that goes on finds in its folder, by names in words."""
    weights = [(file.name, file.stat().st_size) for file in sorted(run.folder.glob("*.h5"))]
    checkpoints = [file.read_text() for file in sorted(run.checkpoints.glob("*/checkpoint"))]
    return {"what the folder of the run holds": [weights, checkpoints]}


def _default(name: str) -> Any:
    """The default of a value that earlier versions did not have."""
    _, dot, attribute = name.partition(".")
    return _DEFAULTS.get(f"step.{attribute}" if dot else name)
