"""What a recipe is: values only, which are saved with each run that was trained with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from larq_reactnet._names import did_you_mean
from larq_reactnet.zoo.registry import get

__all__ = ["PRECISIONS", "Recipe", "Step", "two_step"]

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One training of the network, from the first epoch to the last.

    Attributes:
        epochs: Number of times that the network sees every training image.
        learning_rate: The learning rate from which the schedule falls.
        optimizer: `"adam"`, `"torch_adam"` or `"sgd"` with a momentum of 0.9. `"torch_adam"` is
            Adam as PyTorch computes it: its epsilon is 1e-8 instead of 1e-7, and is added to the
            root of the corrected second moment instead of the raw one. This matters to gradients
            that are not much larger than epsilon.
        nesterov: Whether the momentum of `"sgd"` is Nesterov's.
        schedule: How the learning rate falls, batch by batch: `"linear"` or `"cosine"` to 0;
            `"one_cycle"`: it first rises along a cosine, from a 25th, and then falls along another
            to 0, as PyTorch's `OneCycleLR`; or `"tenths"`: it is divided by 10 after each epoch of
            `milestones`, and else constant. A run of this last schedule can be trained longer
            afterwards.
        milestones: See `schedule`.
        warmup: Epochs, or a fraction of one, in which the learning rate first rises, linearly from
            0. With `"one_cycle"`, those in which it rises at all: by default 30 % of all.
        weight_decay: Factor of the L2 penalty, half the sum of squares of all kernels, latent
            weights included. Its gradient is what PyTorch's Adam and SGD call weight decay.
        decay_classifier: Whether the kernel of the last layer is one of them.
        label_smoothing: Share of each label that is spread evenly over all classes. With a teacher,
            the labels are those behind `label_loss_weight`. The loss on test images has it too.
        options: Arguments of the model's constructor in this step only.
    """

    epochs: int
    learning_rate: float
    optimizer: str = "adam"
    nesterov: bool = True
    schedule: str = "linear"
    milestones: tuple[int, ...] = ()
    warmup: float = 0
    weight_decay: float = 0.0
    decay_classifier: bool = True
    label_smoothing: float = 0.0
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
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(
                f"`label_smoothing` must be at least 0 and below 1, got {self.label_smoothing}."
            )
        for name, values in (
            ("optimizer", ("adam", "torch_adam", "sgd")),
            ("schedule", ("linear", "cosine", "one_cycle", "tenths")),
        ):
            if getattr(self, name) not in values:
                raise ValueError(f"`{name}` must be one of {values}, got {getattr(self, name)!r}.")

    @property
    def can_be_longer(self) -> bool:
        """Whether more epochs leave those before as they are."""
        return self.schedule == "tenths"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training.

    Attributes:
        model: Name in the zoo.
        steps: Trainings one after the other; each starts from the weights of the one before.
        options: Arguments of the model's constructor, except those that follow from the data set
            and the loss.
        dataset: Name of the data set. `zoo.datasets.load` explains it and the next ten.
        image_size: Height and width of the images.
        augmentation: What is done to the training images: `"shift"`, `"crop"` or `None`.
        flip: Whether half of them are mirrored.
        randaugment: Number of operations of RandAugment.
        randaugment_magnitude: How strong they are.
        color_jitter: By how much brightness, contrast and saturation change.
        lighting: Deviation of noise along the principal components of the colors.
        mixup: Alpha of mixup.
        cutmix: Alpha of cutmix.
        holdout: Number of training images to test on instead of the test images.
        batch_size: Images in a batch.
        teacher: Name of the recipe that trains the teacher. With one, the loss is ReActNet's
            distributional loss.
        float_model: File of a real network, or the folder of its run. It is made binary, which is
            what `model="binarized"` means, and is the teacher if there is no other.
        label_loss_weight: With a teacher, weight of the cross-entropy with the labels.
        weights: What the first step starts from: `weights` of the model's constructor, or `None`
            for random weights. The last layer is a new one if the number of classes is another.
        freeze_until: Name of a layer: it and all layers before it keep the weights that they have.
        normalization: Name of the data set with whose mean and deviation images are normalized. By
            default it is the one that `weights` were trained on, and without them `dataset`.
        precision: Dtype policy of Keras in which the network is trained: `"float32"`,
            `"mixed_bfloat16"` or `"mixed_float16"`; or `"auto"`, the one that the machine
            multiplies in. Its weights are of float32 in all of them, and so is the network that is
            kept.
        ema: Share of their moving average that weights keep in each batch, such as 0.999. Then
            these averages are what is validated, and what a step ends with. 0 for none.
        keep_best: Whether a step ends with the weights of the epoch that had the highest accuracy
            in validation, and not with those of its last epoch. With test images for validation,
            this accuracy is too good to be true: set `holdout` to choose by other images.
        early_stopping: Number of epochs without a better accuracy in validation after which a step
            ends. 0 for never.
        seed: Seed of the weights, the shuffling and the augmentation.
    """

    model: str
    steps: tuple[Step, ...]
    options: dict[str, Any] = field(default_factory=dict)
    dataset: str = "digits"
    image_size: int | None = None
    augmentation: str | None = "shift"
    flip: bool | None = None
    randaugment: int = 0
    randaugment_magnitude: int = 9
    color_jitter: float = 0.0
    lighting: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    holdout: int = 0
    batch_size: int = 32
    teacher: str | None = None
    float_model: str | None = None
    label_loss_weight: float = 0.0
    weights: str | None = None
    freeze_until: str | None = None
    normalization: str | None = None
    precision: str = "float32"
    ema: float = 0.0
    keep_best: bool = False
    early_stopping: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        steps = [step if isinstance(step, Step) else Step(**step) for step in self.steps]
        object.__setattr__(self, "steps", tuple(steps))
        if not steps:
            raise ValueError("A recipe needs at least one step.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"`precision` must be one of {PRECISIONS}, got {self.precision!r}.")
        if not 0 <= self.ema < 1:
            raise ValueError(f"`ema` must be at least 0 and below 1, got {self.ema}.")
        if self.early_stopping < 0:
            raise ValueError(
                f"`early_stopping` is a number of epochs, or 0, got {self.early_stopping}."
            )

    @property
    def has_teacher(self) -> bool:
        """Whether a teacher has the loss, or a part of it."""
        return bool(self.teacher or self.float_model)

    def as_dict(self) -> dict[str, Any]:
        """All values, as JSON gives them back: `Recipe(**recipe.as_dict())` is the same recipe.

        A tuple in `options` becomes a list, or a run would not go on with the recipe that began it.
        """
        return {name: _with_lists(value) for name, value in asdict(self).items()}

    def with_values(self, values: Mapping[str, Any]) -> "Recipe":
        """The recipe with other values.

        Args:
            values: New values by name. A name is that of an attribute (`"batch_size"`), that of an
                attribute of a step after the number of the step (`"step2.epochs"`), or else that
                of an argument of the model's constructor (`"width"`).

        Raises:
            ValueError: If there is no value of such a name, or a value is bad.
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
            elif name in _FIXED:
                raise ValueError(f"{name!r} is not a value to change: write another recipe.")
            elif name in (entry.name for entry in fields(self)):
                changes[name] = value
            else:
                self._check_option(name)
                changes["options"][name] = value
        return replace(self, **changes)

    def _check_option(self, name: str) -> None:
        """Raise ValueError if the constructor of the model has no argument `name`."""
        arguments = get(self.model).arguments
        if name not in arguments:
            if name in (entry.name for entry in fields(Step)):
                raise ValueError(
                    f"{name!r} is a value of a step: give 'step1.{name}', for example."
                )
            own = [entry.name for entry in fields(self) if entry.name not in _FIXED]
            names = [*own, *(f"step{n}.epochs" for n in range(1, len(self.steps) + 1)), *arguments]
            raise ValueError(
                f"{name!r} is neither a value of a recipe nor an argument of {self.model}"
                f"{did_you_mean(name, names)}"
            )


_FIXED = ("options", "steps", "model")


def _known(name: str, attribute: str, kind: type) -> None:
    names = [entry.name for entry in fields(kind)]
    if attribute not in names:
        raise ValueError(f"{name!r} is not a value of a step{did_you_mean(attribute, names)}")


def two_step(
    model: str,
    *,
    step1_epochs: int | None = None,
    epochs: int = 8,
    learning_rate: float = 2e-3,
    **values: Any,
) -> Recipe:
    """ReActNet's two steps for any model: Adam, and learning rates that fall linearly to 0.

    Args:
        model: Name in the zoo.
        step1_epochs: Epochs with binary activations and real weights; 0 trains with binary weights
            from the start. By default 6, and 0 if there are `weights` to start from.
        epochs: Epochs of the (second) step, with binary weights.
        learning_rate: At the start of each step.
        **values: Other attributes of the recipe.

    Raises:
        ValueError: If a value is bad.
    """
    if step1_epochs is None:
        step1_epochs = 0 if values.get("weights") else 6
    if step1_epochs < 0:
        raise ValueError(f"Cannot train for {step1_epochs} epochs.")
    binary = Step(epochs=epochs, learning_rate=learning_rate)
    steps = [binary]
    if step1_epochs:
        steps = [replace(binary, epochs=step1_epochs, options={"binary_weights": False}), binary]
    return Recipe(model=model, steps=tuple(steps), **values)


def _with_lists(value: Any) -> Any:
    """The same value, with lists in place of tuples."""
    if isinstance(value, dict):
        return {key: _with_lists(entry) for key, entry in value.items()}
    return [_with_lists(entry) for entry in value] if isinstance(value, list | tuple) else value
