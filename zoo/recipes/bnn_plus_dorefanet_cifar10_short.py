"""BNN+ DoReFa-Net on CIFAR-10, in the time that two CPU cores have.

Paper: BNN+, version 2 of arXiv:1812.11800, says 83.9 % in its abstract.
Expected: less, for want of epochs; nothing like it is published.
Measured: 79.54 % (2026-11-21, 1.3 hours on one core of an AMD EPYC, beside other work;
`larq-reactnet train bnn_plus_dorefanet_cifar10_short run --data-dir DIR`).

Departures from the paper, whose own values are recalled and not checked: 30 epochs of batch 64
instead of 50 of 256; a learning rate of 3e-3 that falls linearly, chosen against 1e-3 on 5,000 held
out training images; mirrored images. The layers are a choice too: see `BNNPlusDoReFaNet`.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="bnn_plus_dorefanet",
    options={"beta": 5.0, "regularizer": "r1", "strength": 1e-6},
    dataset="cifar10",
    batch_size=64,
    steps=(Step(epochs=30, learning_rate=3e-3),),
)
