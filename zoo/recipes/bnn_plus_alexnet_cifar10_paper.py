"""BNN+ AlexNet on CIFAR-10, with the paper's values as far as they are known.

Paper: BNN+, version 2 of arXiv:1812.11800, says 87.4 % in its abstract.
Expected: about that.
Measured: not run, for lack of a GPU.

All values are recalled and not checked: Adam, 50 epochs of batch 256, a learning rate of 1e-3 that
is divided by 10 every 10 epochs, R1 of strength 1e-6, SignSwish of beta 5 (the paper also has 10
and R2).
Departures: mirrored images, of which the paper is not known to say anything, and the layers: see
`BNNPlusAlexNet`.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="bnn_plus_alexnet",
    options={"beta": 5.0, "regularizer": "r1", "strength": 1e-6},
    dataset="cifar10",
    batch_size=256,
    steps=(Step(epochs=50, learning_rate=1e-3, schedule="tenths", milestones=(10, 20, 30, 40)),),
)
