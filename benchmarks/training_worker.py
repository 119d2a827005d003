"""Trains one network, for training.py, and says how many seconds it took.

It reads numbers of steps from its input, a line each, and answers each by the seconds that they
took. When the input ends, it prints its largest memory in bytes.

    echo 3 | python benchmarks/training_worker.py reactnet_18 ours
"""

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "reactnet_18": ("reactnet_18", {"stem_strides": 1}),
    "reactnet_a_quarter": ("reactnet_a", {"stem_strides": 1, "width": 0.25}),
    "bnn_plus_dorefanet": ("bnn_plus_dorefanet", {"regularizer": "r1"}),
    "bnn_plus_alexnet": ("bnn_plus_alexnet", {"regularizer": "r1"}),
}
SHAPE = (32, 32, 3)
CLASSES = 10
# In one thread, so that two libraries do the same work on the same hardware.
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[name] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def batch(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(size, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, size)


def keras(network: str, size: int, layers: str, precision: str) -> Callable[[int], None]:
    """What trains a network of the zoo for some steps, as `larq_reactnet.training` does."""
    import larq_reactnet as lr

    import tensorflow as tf

    if precision != "float32":
        tf.keras.mixed_precision.set_global_policy(precision)
    name, options = NETWORKS[network]
    model = lr.zoo.create(name, input_shape=SHAPE, num_classes=CLASSES, **options)
    if layers == "larq":
        from stock import stock_twin

        model = stock_twin(model)
    step = lr.zoo.recipes.two_step(name, step1_epochs=0).steps[0]
    if layers == "ours":
        from larq_reactnet.training.compiling import optimizer_of
    elif layers == "base":
        from larq_reactnet._compile import optimizer_of
    optimizer = tf.keras.optimizers.Adam() if layers == "larq" else optimizer_of(step, 1000)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    data = tf.data.Dataset.from_tensors(batch(size)).cache().repeat()

    def train(steps: int) -> None:
        model.fit(data, steps_per_epoch=steps, verbose=0)

    return train


def torch(network: str, size: int, mode: str) -> Callable[[int], None]:
    """What trains a network of PyTorch in the form of the official code for some steps."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    import torch
    import torch_reference as reference
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.manual_seed(0)
    reference.learn_to_train()
    if network == "reactnet_18":
        model = reference.ReActNetResNet((4, 4, 4, 4), CLASSES, small_images=True)
    else:
        model = reference.ReActNetA(CLASSES, width=0.25, stem_stride=1)
    for module in model.modules():
        if isinstance(module, reference.FlatBinaryConv):
            torch.nn.init.uniform_(module.weights, -1e-3, 1e-3)
        elif isinstance(module, reference.BinaryConv):
            torch.nn.init.uniform_(module.weight, -1e-3, 1e-3)
    images, labels = batch(size)
    x, y = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)
    if mode == "channels_last":
        model, x = (
            model.to(memory_format=torch.channels_last),
            x.to(memory_format=torch.channels_last),
        )
    optimizer = torch.optim.Adam(model.parameters())
    model.train()
    forward = torch.compile(model) if mode == "compile" else model

    def train(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            functional.cross_entropy(forward(x), y).backward()
            optimizer.step()

    return train


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument(
        "implementation",
        choices=["ours", "base", "larq", "torch", "torch_channels_last", "torch_compile"],
        help="of this checkout; of an older one, which is installed first on the path; Larq's "
        "stock layers; or PyTorch in the form of the official code",
    )
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="float32", help="policy of Keras")
    args = parser.parse_args()
    library, _, mode = args.implementation.partition("_")
    if library == "torch":
        train = torch(args.network, args.batch_size, mode)
    else:
        train = keras(args.network, args.batch_size, args.implementation, args.precision)
    for line in sys.stdin:
        began = time.perf_counter()
        train(int(line))
        print(time.perf_counter() - began, flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
