r"""Mixup and cutmix: pairs of training images become one, and so do their labels.

The partner of each image is the one at the same place from the end of the batch. Batches are
shuffled, so it is a random one. One \\(\lambda \sim \text{Beta}(\alpha, \alpha)\\) is drawn for
each batch, as in the code of both papers.

References:
    - [mixup: Beyond Empirical Risk Minimization](https://arxiv.org/abs/1710.09412)
    - [CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
        Features](https://arxiv.org/abs/1905.04899)
"""

import tensorflow as tf

__all__ = ["beta", "cutmix", "mixed", "mixup"]


def mixed(
    images: tf.Tensor,
    labels: tf.Tensor,
    seeds: tf.Tensor,
    mixup_alpha: float,
    cutmix_alpha: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch after mixup or cutmix; if both are wanted, after one of them, chosen at random.

    Args:
        images: `(batch, height, width, channels)`.
        labels: Distributions: `(batch, classes)`.
        seeds: Two integers, which decide all that is random.
        mixup_alpha: The alpha of mixup, 0 without it.
        cutmix_alpha: That of cutmix.
    """

    def by_mixup() -> tuple[tf.Tensor, tf.Tensor]:
        return mixup(images, labels, beta(mixup_alpha, seeds))

    def by_cutmix() -> tuple[tf.Tensor, tf.Tensor]:
        center = tf.random.stateless_uniform((2,), seeds + 1)
        return cutmix(images, labels, beta(cutmix_alpha, seeds), center)

    if not cutmix_alpha:
        return by_mixup()
    if not mixup_alpha:
        return by_cutmix()
    return tf.cond(tf.random.stateless_uniform((), seeds + 2) < 0.5, by_mixup, by_cutmix)


def beta(alpha: float, seeds: tf.Tensor) -> tf.Tensor:
    """A number of the Beta(alpha, alpha) distribution, which is the share of one of two gammas."""
    first, second = tf.unstack(
        tf.random.stateless_gamma((2,), seeds, tf.constant(alpha, tf.float64), dtype=tf.float64)
    )
    # With a tiny alpha both may be 0; the batch then is that of the partners alone.
    return tf.cast(tf.math.divide_no_nan(first, first + second), tf.float32)


def mixup(images: tf.Tensor, labels: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    r"""\\(\lambda x_i + (1 - \lambda) x_j\\), and the same of the labels (Zhang et al., 2018).

    Args:
        images: `(batch, height, width, channels)`.
        labels: Distributions: `(batch, classes)`.
        share: \\(\lambda\\).
    """
    return (
        share * images + (1 - share) * images[::-1],
        share * labels + (1 - share) * labels[::-1],
    )


def cutmix(
    images: tf.Tensor, labels: tf.Tensor, share: tf.Tensor, center: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    r"""A rectangle of each image comes from its partner (Yun et al., 2019, section 3.1).

    Its sides are \\(\sqrt{1 - \lambda}\\) of those of the image. What is outside of the image is
    cut off. The labels are mixed by the share of the pixels, after that.

    Args:
        images: `(batch, height, width, channels)`.
        labels: Distributions: `(batch, classes)`.
        share: \\(\lambda\\), the share of the pixels that stay if nothing is cut off.
        center: Where the middle of the rectangle is: two numbers from 0 to 1, of height and width.
    """
    sides = tf.cast(tf.shape(images)[1:3], tf.float32)
    half = tf.floor(sides * tf.sqrt(1 - share)) // 2
    middle = tf.floor(sides * center)
    begin, end = tf.maximum(middle - half, 0), tf.minimum(middle + half, sides)
    rows, columns = (
        (tf.range(sides[axis]) >= begin[axis]) & (tf.range(sides[axis]) < end[axis])
        for axis in range(2)
    )
    inside = rows[:, None] & columns[None, :]
    kept = 1 - tf.reduce_mean(tf.cast(inside, tf.float32))
    return (
        tf.where(inside[..., None], images[::-1], images),
        kept * labels + (1 - kept) * labels[::-1],
    )
