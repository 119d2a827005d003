"""ReActNet-A on CIFAR-10, in two steps, with a real-valued ResNet-18 as teacher.

Paper: ReActNet (ECCV 2020) has no CIFAR-10, and its authors expect little of this network for small
images. Others report 89.4 %.
Expected: 91 % is the goal.
Measured: not run, for lack of a GPU.

Departures from the paper's ImageNet recipe: a stem of stride 1, images shifted and mirrored, 100 +
200 epochs of batch 128 at 1e-3, the labels beside the teacher, Keras's Adam, and weight decay
of step 1 not on the shifts of RSign and RPReLU; and what docs/zoo/recipes.md says of all recipes.
`--set width=0.25` is the network of the demo and the tests.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="reactnet_a",
    options={"stem_strides": 1},
    dataset="cifar10",
    batch_size=128,
    teacher="resnet18_cifar10",
    label_loss_weight=0.1,
    steps=(
        Step(
            epochs=100,
            learning_rate=1e-3,
            weight_decay=1e-5,
            decay_classifier=False,
            options={"binary_weights": False},
        ),
        Step(epochs=200, learning_rate=1e-3),
    ),
)
