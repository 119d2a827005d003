"""ReActNet-A on ImageNet, with the values of the paper.

Paper: ReActNet (ECCV 2020) reports 69.4 %.
Expected: about that.
Measured: not run (the authors: three days on a workstation with several GPUs).

Section 5.1: Adam, a learning rate of 5e-4 that falls linearly, 600,000 iterations of batch 256 in
each step, which are 120 epochs; weight decay of 1e-5, then 0; the distributional loss alone. The
released code has other values: see `reactnet_a_imagenet`. Departures: weight decay not on
the shifts of RSign and RPReLU; which augmentation the paper has is not known, and it is the code's
here; and what docs/zoo/recipes.md says of all recipes. As in the code, the classifier is not
decayed, and Adam is that of PyTorch.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="reactnet_a",
    dataset="imagenet2012",
    image_size=224,
    augmentation="crop",
    batch_size=256,
    teacher="resnet34_imagenet",
    steps=(
        Step(
            epochs=120,
            learning_rate=5e-4,
            optimizer="torch_adam",
            weight_decay=1e-5,
            decay_classifier=False,
            options={"binary_weights": False},
        ),
        Step(epochs=120, learning_rate=5e-4, optimizer="torch_adam"),
    ),
)
