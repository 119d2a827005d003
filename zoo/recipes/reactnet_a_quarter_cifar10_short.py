"""ReActNet-A of a quarter of the width on CIFAR-10, in the time that two CPU cores have.

Paper: ReActNet (ECCV 2020) has no CIFAR-10. Others report 89.4 % for its full width.
Expected: nothing like it is published.
Measured: 75.28 % (2026-11-21, 1.3 hours on one core of an AMD EPYC, beside other work;
`larq-reactnet train reactnet_a_quarter_cifar10_short run --data-dir DIR`).

Departures from the paper: labels instead of a teacher, no weight decay, 6 + 14 epochs of batch 64,
learning rates of 2e-3 (5e-4 for batch 256), images shifted and mirrored, and a stem of stride 1,
without which the last maps would have one pixel.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="reactnet_a",
    options={"width": 0.25, "stem_strides": 1},
    dataset="cifar10",
    batch_size=64,
    steps=(
        Step(epochs=6, learning_rate=2e-3, options={"binary_weights": False}),
        Step(epochs=14, learning_rate=2e-3),
    ),
)
