"""The networks of the official ReActNet in PyTorch, written from the facts.

Nothing here knows of Keras or of this project. Modules have the names of the official code, so that
`state_dict()` has the keys of its checkpoints. They are for inference; after `learn_to_train()`,
also for training, which benchmarks/training.py times.
"""

import functools

import torch
from torch import nn
from torch.nn import functional

# (in, out, stride) of ReActNet-A's blocks; where the channels double, the 1x1 is duplicated.
BLOCKS_A = [
    (32, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 1024, 2),
    (1024, 1024, 1),
]


class Sign(nn.Module):
    """The sign, whose 0 at 0 is that of the official code."""

    trains = False

    def forward(self, x):
        if not self.trains:
            return torch.sign(x)
        # The official form of ApproxSign, a piecewise polynomial whose gradient is autograd's.
        negative, left, right = (x < -1).float(), (x < 0).float(), (x < 1).float()
        y = -1 * negative + (x * x + 2 * x) * (1 - negative)
        y = y * left + (-x * x + 2 * x) * (1 - left)
        y = y * right + 1 * (1 - right)
        return torch.sign(x).detach() - y.detach() + y


class LearnableBias(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        return x + self.bias


class FlatBinaryConv(nn.Module):
    """ReActNet-A's: its latent weights are one column, called `weights`."""

    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__()
        self.shape = (outputs, inputs, size, size)
        self.stride, self.padding = stride, size // 2
        self.weights = nn.Parameter(torch.zeros(outputs * inputs * size * size, 1))

    def forward(self, x):
        return binary_conv(x, self.weights.view(self.shape), self.stride, self.padding)


class BinaryConv(nn.Module):
    """The ResNets' and AdamBNN's: `weight`, with four axes."""

    def __init__(self, inputs, outputs, size, stride=1):
        super().__init__()
        self.stride, self.padding = stride, size // 2
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, size, size))

    def forward(self, x):
        return binary_conv(x, self.weight, self.stride, self.padding)


def binary_conv(x, weight, stride, padding):
    scale = weight.abs().mean(dim=(1, 2, 3), keepdim=True).detach()
    binary = scale * torch.sign(weight)
    if Sign.trains:
        clipped = torch.clamp(weight, -1, 1)
        binary = binary.detach() - clipped.detach() + clipped
    return functional.conv2d(x, binary, stride=stride, padding=padding)


def learn_to_train():
    """From now on, signs have the gradients of the official code."""
    Sign.trains = True


class BlockA(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.sign = Sign()
        self.move11 = LearnableBias(inputs)
        self.binary_3x3 = FlatBinaryConv(inputs, inputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.move12 = LearnableBias(inputs)
        self.prelu1 = nn.PReLU(inputs)
        self.move13 = LearnableBias(inputs)
        self.move21 = LearnableBias(inputs)
        self.doubles = inputs != outputs
        if self.doubles:
            self.binary_pw_down1 = FlatBinaryConv(inputs, inputs, 1)
            self.binary_pw_down2 = FlatBinaryConv(inputs, inputs, 1)
            self.bn2_1 = nn.BatchNorm2d(inputs)
            self.bn2_2 = nn.BatchNorm2d(inputs)
        else:
            self.binary_pw = FlatBinaryConv(inputs, outputs, 1)
            self.bn2 = nn.BatchNorm2d(outputs)
        self.move22 = LearnableBias(outputs)
        self.prelu2 = nn.PReLU(outputs)
        self.move23 = LearnableBias(outputs)
        self.pooling = nn.AvgPool2d(2, 2) if stride == 2 else None

    def forward(self, x):
        y = self.bn1(self.binary_3x3(self.sign(self.move11(x))))
        y = y + (self.pooling(x) if self.pooling else x)
        y = self.move13(self.prelu1(self.move12(y)))
        signs = self.sign(self.move21(y))
        if self.doubles:
            first = self.bn2_1(self.binary_pw_down1(signs)) + y
            second = self.bn2_2(self.binary_pw_down2(signs)) + y
            z = torch.cat([first, second], dim=1)
        else:
            z = self.bn2(self.binary_pw(signs)) + y
        return self.move23(self.prelu2(self.move22(z)))


class Stem(nn.Module):
    def __init__(self, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)

    def forward(self, x):
        return self.bn1(self.conv1(x))


class ReActNetA(nn.Module):
    def __init__(self, num_classes, width=1.0, stem_stride=2):
        super().__init__()
        blocks = [(int(i * width), int(o * width), stride) for i, o, stride in BLOCKS_A]
        stem = Stem(blocks[0][0], stem_stride)
        self.feature = nn.ModuleList([stem, *(BlockA(*block) for block in blocks)])
        self.fc = nn.Linear(blocks[-1][1], num_classes)

    def forward(self, x):
        for layer in self.feature:
            x = layer(x)
        return self.fc(x.mean(dim=(2, 3)))


class BlockResNet(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.sign = Sign()
        self.move0 = LearnableBias(inputs)
        self.binary_conv = BinaryConv(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.move1 = LearnableBias(outputs)
        self.prelu = nn.PReLU(outputs)
        self.move2 = LearnableBias(outputs)
        self.downsample = None
        if stride == 2:
            self.downsample = nn.Sequential(
                nn.AvgPool2d(2, 2),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x):
        y = self.bn1(self.binary_conv(self.sign(self.move0(x))))
        y = y + (self.downsample(x) if self.downsample else x)
        return self.move2(self.prelu(self.move1(y)))


class ReActNetResNet(nn.Module):
    def __init__(self, blocks, num_classes, small_images=False):
        super().__init__()
        if small_images:
            self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        else:
            self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
            self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, repeats in enumerate(blocks, 1):
            layers = []
            for _ in range(repeats):
                outputs = 64 * 2 ** (stage - 1)
                layers.append(BlockResNet(channels, outputs, 2 if outputs > channels else 1))
                channels = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean(dim=(2, 3)))


BUILDERS = {
    "reactnet_a": ReActNetA,
    "reactnet_18": lambda num_classes: ReActNetResNet((4, 4, 4, 4), num_classes),
    "reactnet_34": lambda num_classes: ReActNetResNet((6, 8, 12, 6), num_classes),
}


def random_network(name, num_classes=10, seed=0):
    """A float64 network of which every weight and every statistic is random."""
    torch.manual_seed(seed)
    network = BUILDERS[name](num_classes).double().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.3)
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
            elif isinstance(module, LearnableBias):
                module.bias.normal_(0, 0.3)
            elif isinstance(module, nn.PReLU):
                module.weight.normal_(0.25, 0.2)
            elif isinstance(module, FlatBinaryConv):
                module.weights.normal_(0, 1 / (module.shape[1] * module.shape[2] ** 2) ** 0.5)
            elif isinstance(module, BinaryConv | nn.Conv2d | nn.Linear):
                module.weight.normal_(0, 1 / module.weight[0].numel() ** 0.5)
        network.fc.bias.normal_()
    return network


@functools.cache
def network(name):
    """A float64 network, made once: not to be changed."""
    return random_network(name)


def weights_of(name):
    """A copy of the `state_dict` in float32, that may be changed."""
    state = network(name).state_dict()
    return {
        key: tensor.float() if tensor.is_floating_point() else tensor.clone()
        for key, tensor in state.items()
    }
