"""ResNet-34, real-valued, on ImageNet: the teacher of ReActNet.

Paper: He et al. (CVPR 2016). ReActNet's code takes torchvision's weights, which reach 73.3 % and
were trained like this.
Expected: about 73 %.
Measured: not run.

Departures from torchvision: weight decay on kernels only, the classifier's included (there on all
weights). Momentum without Nesterov,
as there.
"""

from larq_reactnet.zoo.recipes import Recipe, Step

recipe = Recipe(
    model="resnet34",
    dataset="imagenet2012",
    image_size=224,
    augmentation="crop",
    batch_size=256,
    steps=(
        Step(
            epochs=90,
            optimizer="sgd",
            nesterov=False,
            learning_rate=0.1,
            schedule="tenths",
            milestones=(30, 60),
            weight_decay=1e-4,
        ),
    ),
)
