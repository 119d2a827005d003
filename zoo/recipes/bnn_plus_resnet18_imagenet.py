"""BNN+ ResNet-18 on ImageNet.

Paper: BNN+ reports 53.0 % (recalled, not checked) for R2 and SignSwish of beta 5.
Expected: about that, with the paper's start from a network trained with hard tanh; less without.
Measured: not run.

All values are recalled and not checked: Adam, a learning rate of 0.01 that is divided by 10 after
10, 20 and 30 epochs, R2 of strength 1e-6. Batch size and number of epochs are not known.
Departures: the paper starts from a network that was trained with hard tanh as activation, here step
1 has binary activations and real weights; random crops of any size and form, where the paper
resizes to 256 and crops 224; where the shortcuts are: see `BNNPlusResNet18`.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="bnn_plus_resnet18",
    options={"beta": 5.0, "regularizer": "r2", "strength": 1e-6},
    dataset="imagenet2012",
    image_size=224,
    augmentation="crop",
    batch_size=256,
    steps=(
        Step(
            epochs=40,
            learning_rate=0.01,
            schedule="tenths",
            milestones=(10, 20, 30),
            options={"binary_weights": False},
        ),
        Step(epochs=40, learning_rate=0.01, schedule="tenths", milestones=(10, 20, 30)),
    ),
)
