"""BNN+ VGG-small on CIFAR-10.

Paper: BNN+, version 1 of arXiv:1812.11800, says 91.3 % in its abstract.
Expected: more than the paper is the goal.
Measured: not run, for lack of a GPU.

Departures from the paper, whose own values are recalled and not checked (see
`bnn_plus_alexnet_cifar10_paper`): 200 epochs of batch 128, a learning rate of 3e-3 that falls
linearly, mirrored images. The layers are a choice too: see `BNNPlusVGGSmall`.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="bnn_plus_vgg_small",
    options={"beta": 5.0, "regularizer": "r1", "strength": 1e-6},
    dataset="cifar10",
    batch_size=128,
    steps=(Step(epochs=200, learning_rate=3e-3),),
)
