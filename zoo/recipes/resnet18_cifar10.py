"""ResNet-18, real-valued, on CIFAR-10: the teacher of the binary networks.

Paper: He et al. (CVPR 2016) have other ResNets for CIFAR-10. Papers on binary networks give 94.8 %
for this one, after 200 epochs and more.
Expected: at least 93.5 %.
Measured: not run, for lack of a GPU.

Departures from the usual recipe: 30 epochs of batch 512 with one cycle of the learning rate, as in
Page's "How to train your ResNet" (2018; recalled, not checked), whose network is smaller; weight
decay is on kernels only.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="resnet18",
    options={"stem_strides": 1},
    dataset="cifar10",
    batch_size=512,
    steps=(
        Step(
            epochs=30,
            optimizer="sgd",
            learning_rate=0.4,
            schedule="one_cycle",
            warmup=6,
            weight_decay=5e-4,
            label_smoothing=0.1,
        ),
    ),
)
