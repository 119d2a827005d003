"""What a recipe is: values only, which are saved with each run that was trained with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

__all__ = ["Recipe", "Step", "two_step"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One training of the network, from the first epoch to the last.

    Attributes:
        epochs: Number of times that the network sees every training image.
        learning_rate: The learning rate from which the schedule falls.
        optimizer: `"adam"`, or `"sgd"` with Nesterov's momentum of 0.9.
        schedule: How the learning rate falls, batch by batch: `"linear"` or `"cosine"` to 0, or
            `"tenths"`: it is divided by 10 after each epoch of `milestones`.
        milestones: See `schedule`.
        warmup: Epochs in which the learning rate first rises from 0.
        weight_decay: Factor of the L2 penalty, half the sum of squares of all kernels, latent
            weights included. Its gradient is what PyTorch's Adam and SGD call weight decay.
        options: Arguments of the model's constructor in this step only.
    """

    epochs: int
    learning_rate: float
    optimizer: str = "adam"
    schedule: str = "linear"
    milestones: tuple[int, ...] = ()
    warmup: int = 0
    weight_decay: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if self.epochs < 1 or not 0 <= self.warmup <= self.epochs:
            raise ValueError(f"Cannot train for {self.epochs} epochs, {self.warmup} to warm up.")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(
                f"`learning_rate` must be positive and finite, got {self.learning_rate}."
            )
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"`weight_decay` must be finite, got {self.weight_decay}.")
        for name, values in (
            ("optimizer", ("adam", "sgd")),
            ("schedule", ("linear", "cosine", "tenths")),
        ):
            if getattr(self, name) not in values:
                raise ValueError(f"`{name}` must be one of {values}, got {getattr(self, name)!r}.")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training.

    Attributes:
        model: Name in the zoo.
        steps: Trainings one after the other; each starts from the weights of the one before.
        options: Arguments of the model's constructor, except those that follow from the data set
            and the loss.
        dataset: Name of the data set. `zoo.datasets.load` explains it and the next three.
        image_size: Height and width of the images.
        augmentation: What is done to the training images.
        holdout: Number of training images to test on instead of the test images.
        batch_size: Images in a batch.
        teacher: Name of the recipe that trains the teacher. With one, the loss is ReActNet's
            distributional loss.
        label_loss_weight: With a teacher, weight of the cross-entropy with the labels.
        seed: Seed of the weights, the shuffling and the augmentation.
    """

    model: str
    steps: tuple[Step, ...]
    options: dict[str, Any] = field(default_factory=dict)
    dataset: str = "digits"
    image_size: int | None = None
    augmentation: str | None = "shift"
    holdout: int = 0
    batch_size: int = 32
    teacher: str | None = None
    label_loss_weight: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        steps = [step if isinstance(step, Step) else Step(**step) for step in self.steps]
        object.__setattr__(self, "steps", tuple(steps))
        if not steps:
            raise ValueError("A recipe needs at least one step.")

    def as_dict(self) -> dict[str, Any]:
        """All values, for JSON: `Recipe(**recipe.as_dict())` is the same recipe."""
        steps = [{**asdict(step), "milestones": list(step.milestones)} for step in self.steps]
        return {**asdict(self), "steps": steps}

    def with_values(self, values: Mapping[str, Any]) -> "Recipe":
        """The recipe with other values.

        Args:
            values: New values by name. A name is that of an attribute (`"batch_size"`), that of an
                attribute of a step after the number of the step (`"step2.epochs"`), or else that
                of an argument of the model's constructor (`"width"`).

        Raises:
            ValueError: If a step has no such attribute, there is no such step, or a value is bad.
        """
        changes: dict[str, Any] = {"options": dict(self.options), "steps": [*self.steps]}
        for name, value in values.items():
            step, dot, attribute = name.partition(".")
            if dot:
                number = step.removeprefix("step")
                if not number.isdigit() or not 1 <= int(number) <= len(self.steps):
                    raise ValueError(f"{name!r}: the recipe has no {step!r}.")
                _known(name, attribute, Step)
                index = int(number) - 1
                changes["steps"][index] = replace(changes["steps"][index], **{attribute: value})
            elif name in ("options", "steps", "model"):
                raise ValueError(f"{name!r} is not a value to change: write another recipe.")
            elif name in (entry.name for entry in fields(self)):
                changes[name] = value
            else:
                changes["options"][name] = value
        return replace(self, **changes)


def _known(name: str, attribute: str, kind: type) -> None:
    names = [entry.name for entry in fields(kind)]
    if attribute not in names:
        raise ValueError(f"{name!r}: a step has {', '.join(names)}.")


def two_step(
    model: str,
    *,
    step1_epochs: int = 6,
    epochs: int = 8,
    learning_rate: float = 2e-3,
    **values: Any,
) -> Recipe:
    """ReActNet's two steps for any model: Adam, and learning rates that fall linearly to 0.

    Args:
        model: Name in the zoo.
        step1_epochs: Epochs with binary activations and real weights; 0 trains with binary weights
            from the start.
        epochs: Epochs of the (second) step, with binary weights.
        learning_rate: At the start of each step.
        **values: Other attributes of the recipe.

    Raises:
        ValueError: If a value is bad.
    """
    if step1_epochs < 0:
        raise ValueError(f"Cannot train for {step1_epochs} epochs.")
    binary = Step(epochs=epochs, learning_rate=learning_rate)
    steps = [binary]
    if step1_epochs:
        steps = [replace(binary, epochs=step1_epochs, options={"binary_weights": False}), binary]
    return Recipe(model=model, steps=tuple(steps), **values)
