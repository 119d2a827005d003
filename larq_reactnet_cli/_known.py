"""What a run, pretrained weights or a .tflite say of the images that their network is for."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from larq_reactnet.zoo.datasets import Dataset

__all__ = ["Known", "known_of"]


@dataclass(frozen=True)
class Known:
    """What is known of the images that a network is for."""

    dataset: str | None = None
    data_dir: str | None = None
    image_size: int | None = None
    holdout: int = 0
    preparation: dict[str, Any] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    num_classes: int | None = None

    def check_classes(self, what: str, data: "Dataset") -> None:
        """Raise ValueError if the classes of a data set are others than those of the network."""
        if self.class_names and list(self.class_names) != list(data.class_names):
            raise ValueError(
                f"The classes of {data.name} ({_few(data.class_names)}) are not those of {what} "
                f"({_few(self.class_names)})."
            )
        if self.num_classes not in (None, data.num_classes):
            raise ValueError(
                f"{data.name} has {data.num_classes} classes ({_few(data.class_names)}), and "
                f"{what} has {self.num_classes}."
            )


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:5], *(["..."] if len(names) > 5 else [])])


def known_of(what: str) -> Known:
    """What a run, the recipe of pretrained weights, or the metadata in a .tflite say."""
    import larq_reactnet as lr
    from larq_reactnet.training import Run

    if Run(Path(what)).exists():
        content = Run(Path(what)).read()
        arguments = {"augmentation": "shift", "holdout": 0, **content["arguments"]}
        names, shape = content.get("class_names"), arguments["options"].get("input_shape")
        size = arguments["image_size"] or (shape and shape[0])
        return _of_training(arguments, size, names, arguments["options"].get("num_classes"))
    if what.endswith(".tflite") and Path(what).is_file():
        return _of_file(what)
    if Path(what).exists() or lr.zoo.pretrained.by_recipe(what) is None:
        return Known()
    recipe = lr.zoo.recipes.load(what)
    return _of_training({"data_dir": None, **recipe.as_dict()}, recipe.image_size)


def _of_training(
    arguments: dict[str, Any],
    image_size: int | None,
    class_names: Sequence[str] | None = None,
    num_classes: int | None = None,
) -> Known:
    """What the values of a training say."""
    import larq_reactnet as lr

    dataset = arguments["dataset"]
    mean, std = lr.zoo.datasets.statistics(arguments.get("normalization") or dataset)
    preparation = {"augmentation": arguments["augmentation"], "mean": mean, "std": std}
    if class_names is None and (dataset in lr.zoo.datasets.STATISTICS or dataset == "digits"):
        class_names = lr.zoo.datasets.class_names(dataset)  # a run of an earlier version
    return Known(
        dataset,
        arguments["data_dir"],
        image_size,
        arguments["holdout"],
        preparation,
        tuple(class_names or ()),
        num_classes,
    )


def _of_file(path: str) -> Known:
    """What the metadata in a .tflite say, if it has any."""
    from larq_reactnet._shared.metadata import Metadata, metadata_of
    from larq_reactnet._shared.model import content_of, read

    content = content_of(path)
    model = read(content)
    shape = model.inputs[0].shape if len(model.inputs) == 1 else ()
    size = shape[1] if len(shape) == 4 and shape[1] == shape[2] else None
    metadata = metadata_of(model, content) or Metadata()
    preparation: dict[str, Any] = {"crop": metadata.crop, "resize": metadata.resize}
    if len(metadata.mean) == 3:
        preparation |= {"mean": metadata.mean, "std": metadata.std}
    return Known(image_size=size, preparation=preparation, class_names=metadata.labels)
