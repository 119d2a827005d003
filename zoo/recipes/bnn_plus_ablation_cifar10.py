"""BNN+'s gradients and regularizers compared on CIFAR-10: one cell of nine.

Paper: BNN+ compares, here on its DoReFa-Net, STE, SignSwish 5 and 10, each without regularizer,
with R1 and with R2. Its numbers for CIFAR-10 are not known here; on ImageNet (recalled, not
checked) SignSwish is worth 6 points for AlexNet, and R1 or R2 8 to 10 for ResNet-18.
Measured: not run, for lack of a GPU.
Departures from the paper: the budget, 50 epochs of batch 64, and the learning rate, 3e-3.

`benchmarks/ablation.py bnn_plus` runs all cells with the same budget, by `--set beta=null` (STE), 5
or 10 and `--set regularizer=null`, `"r1"` or `"r2"`.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="bnn_plus_dorefanet",
    options={"beta": 5.0, "regularizer": "r1", "strength": 1e-6},
    dataset="cifar10",
    batch_size=64,
    steps=(Step(epochs=50, learning_rate=3e-3),),
)
