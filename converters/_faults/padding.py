"""What LCE makes of padding that is a layer of its own before a convolution.

LCE fuses the two into a convolution that pads like TensorFlow's "same" if the padding looks like
it: the output has the size that "same" gives, and the amount after the image is the amount before
it or one more. LCE does not compare the amounts themselves. "same" pads as little as possible, so
if the last rows of a padding are never read, the fused convolution starts at another pixel.
"""

from larq_reactnet._graph.padding import Amounts, Sizes, Window, same

__all__ = ["is_shifted"]


def is_shifted(sizes: Sizes, amounts: Amounts, window: Window) -> bool:
    """Whether LCE fuses padding and convolution into one that starts at another pixel.

    This was found by experiment with LCE 0.16 (all cases of sizes 6 to 9, kernels 1 to 7, strides 1
    to 3 and amounts 0 to 3), and its source says the same.
    """
    axes = [*zip(sizes, amounts, window.extents, window.strides, strict=True)]
    looks_same = all(
        (size + before + after - extent) // stride + 1 == -(-size // stride)
        and after - before in (0, 1)
        for size, (before, after), extent, stride in axes
    )
    starts = zip(amounts, same(sizes, window), strict=True)
    return looks_same and any(ours[0] != theirs[0] for ours, theirs in starts)
