"""ReActNet's parts compared on CIFAR-10, on ReActNet-18: one row of its table.

Paper: ReActNet (ECCV 2020) has this table for ReActNet-A on ImageNet: from 61.1 % for the baseline
without distributional loss to 69.4 % (the rows between are not known for certain).
Measured: not run, for lack of a GPU.
Departures from the paper: ResNet-18 instead of ReActNet-A, CIFAR-10, 50 epochs in each step,
Keras's Adam; and what docs/zoo/recipes.md says of all recipes.

`benchmarks/ablation.py reactnet` runs all rows with the same budget, by `--set rsign=false`, `--set
activation=null` and `--set teacher=null`.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="reactnet_18",
    options={"stem_strides": 1, "rsign": True, "activation": "rprelu"},
    dataset="cifar10",
    batch_size=128,
    teacher="resnet18_cifar10",
    steps=(
        Step(
            epochs=50,
            learning_rate=1e-3,
            weight_decay=1e-5,
            decay_classifier=False,
            options={"binary_weights": False},
        ),
        Step(epochs=50, learning_rate=1e-3),
    ),
)
