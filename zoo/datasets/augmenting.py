"""All that is done to training images, one by one and in batches."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from larq_reactnet.zoo.datasets.mixing import mixed
from larq_reactnet.zoo.datasets.pixels import shifted
from larq_reactnet.zoo.datasets.recoloring import MAX_MAGNITUDE, lighting, recolored

import tensorflow as tf

__all__ = ["KINDS", "Augmentation"]

KINDS = (None, "shift", "crop")
# What is added to the seeds of an image, so that its changes do not depend on one another. A crop
# and a shift take the seeds as they are.
_FLIP, _COLORS, _LIGHTING, _MIX = 1, 2, 3, 4


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to training images. `datasets.load` explains the attributes."""

    augmentation: str | None
    flip: bool
    randaugment: int = 0
    randaugment_magnitude: int = 9
    color_jitter: float = 0.0
    lighting: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if self.augmentation not in KINDS:
            raise ValueError(
                f"`augmentation` must be 'shift', 'crop' or None, got {self.augmentation!r}."
            )
        for name in ("color_jitter", "lighting", "mixup", "cutmix"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(f"`{name}` must be a number from 0 on, got {value!r}.")
        for name, most in (("randaugment", math.inf), ("randaugment_magnitude", MAX_MAGNITUDE)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= most:
                upper = "on" if most == math.inf else f"to {most}"
                raise ValueError(f"`{name}` must be an integer from 0 {upper}, got {value!r}.")

    def as_dict(self) -> dict[str, Any]:
        """What is done, without what is left out."""
        return {
            name: value
            for name, value in asdict(self).items()
            if value and (self.randaugment or name != "randaugment_magnitude")
        }

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that labels are distributions."""
        return bool(self.mixup or self.cutmix)

    def image(
        self,
        encoded: tf.Tensor,
        seeds: tf.Tensor,
        *,
        crop: Callable[[tf.Tensor, int, tf.Tensor], tf.Tensor],
        whole: Callable[[tf.Tensor], tf.Tensor],
        size: int,
    ) -> tf.Tensor:
        """A training image: `(size, size, 3)`, from 0 to 255.

        Args:
            encoded: As the source has it.
            seeds: Two integers, which decide all that is random.
            crop: Function that gives a random part of it, of a size, by seeds.
            whole: Function that gives all of it as a square.
            size: Height and width.
        """
        image = crop(encoded, size, seeds) if self.augmentation == "crop" else whole(encoded)
        if self.augmentation == "shift":
            image = shifted(image, seeds)
        if self.flip:
            image = tf.image.stateless_random_flip_left_right(image, seeds + _FLIP)
        if self.randaugment or self.color_jitter:
            image = recolored(
                image,
                seeds + _COLORS,
                self.randaugment,
                self.randaugment_magnitude,
                self.color_jitter,
            )
        if self.lighting:
            image = lighting(image, seeds + _LIGHTING, self.lighting)
        return image

    def batch(
        self, images: tf.Tensor, labels: tf.Tensor, seeds: tf.Tensor, classes: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A batch of mixed images, and labels that are distributions.

        Args:
            images: `(batch, height, width, 3)`.
            labels: Class numbers: `(batch,)`.
            seeds: Those of the images: `(batch, 2)`. The first ones decide.
            classes: Number of classes.
        """
        distributions = tf.one_hot(labels, classes)
        return mixed(images, distributions, seeds[0] + _MIX, self.mixup, self.cutmix)
