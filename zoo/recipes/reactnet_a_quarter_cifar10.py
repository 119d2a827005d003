"""ReActNet-A of a quarter of the width on CIFAR-10, in two steps, with a ResNet-18 as teacher.

Paper: ReActNet (ECCV 2020) has no CIFAR-10. Others report 89.4 % for its full width.
Expected: nothing like it is published.
Measured: not run yet.

Departures from the paper's ImageNet recipe: a quarter of the channels, a stem of stride 1, images
shifted and mirrored, 50 + 100 epochs of batch 128 at 2e-3, the labels beside the teacher, Keras's
Adam, and weight decay of step 1 not on the shifts of RSign and RPReLU; and what
docs/zoo/recipes.md says of all recipes.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="reactnet_a",
    options={"width": 0.25, "stem_strides": 1},
    dataset="cifar10",
    batch_size=128,
    teacher="resnet18_cifar10",
    label_loss_weight=0.1,
    steps=(
        Step(
            epochs=50,
            learning_rate=2e-3,
            weight_decay=1e-5,
            decay_classifier=False,
            options={"binary_weights": False},
        ),
        Step(epochs=100, learning_rate=2e-3),
    ),
)
