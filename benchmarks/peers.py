"""How many bytes a binary network has as a file, beside networks that are not binary.

The files are those of `benchmarks/runtime.py`: three binary networks as `export` writes them, and
MobileNetV1 and ResNet-18 as TensorFlow Lite writes them in float32 and in int8. All take images of
224x224 and know 1,000 classes. Weights are random, which does not change the size.

    python benchmarks/peers.py
"""

import argparse

import larq_reactnet as lr

from runtime import BINARY, PEERS, files, parser_of
from tabulate import tabulate


def main(arguments: argparse.Namespace) -> None:
    """Print the table."""
    rows = []
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for name in (*BINARY, *PEERS):
        parameters = lr.zoo.create(name).count_params()
        for kind, content in files(name, arguments.cache).items():
            rows.append([name, kind, f"{parameters:,}", f"{len(content):,}"])
    print(tabulate(rows, ["network", "weights", "parameters", "bytes"], "github"))


if __name__ == "__main__":
    main(parser_of(__doc__, "example:\n  python benchmarks/peers.py\n").parse_args())
