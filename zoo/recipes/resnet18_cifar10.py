"""ResNet-18, real-valued, on CIFAR-10: the teacher of the binary networks.

Paper: He et al. (CVPR 2016) have other ResNets for CIFAR-10. Papers on binary networks give 94.8 %
for this one.
Expected: about 95 %.
Measured: not run, for lack of a GPU.

Departures: none that is known from the usual recipe, but that weight decay is on kernels only.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="resnet18",
    options={"stem_strides": 1},
    dataset="cifar10",
    batch_size=128,
    steps=(
        Step(
            epochs=200,
            optimizer="sgd",
            learning_rate=0.1,
            schedule="cosine",
            weight_decay=5e-4,
        ),
    ),
)
