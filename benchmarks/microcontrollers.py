"""Instructions, flash and RAM of binary networks on microcontrollers, beside the same in int8.

Instructions are counted in an emulator, and are the same number each time. They are not cycles: on
Cortex-M0+ to M4 a load takes two, and flash memory makes a processor wait. Flash and RAM are what
the linker says of a program that has the network and nothing else, and RAM includes the stack.

The C of a binary network is what `export_c` writes, with `--arithmetic float32` and `int16`. The
same network in int8 has real convolutions of the same shape and ReLU, is made int8 by TensorFlow
Lite, and calls Arm's CMSIS-NN, whose kernels TensorFlow Lite Micro uses on Cortex-M, without that
interpreter. CBin-NN is a library of binary layers. Neither is part of this repository: `--cmsis-nn`
is a folder with the `Include` of CMSIS-NN, and with its library for each core as CORE.a, as
tools/peers.py makes it; `--cbin-nn` has such files of CBin-NN. What is not given is left out.

All is compiled by gcc with -O3. tools/mcu/setup.sh fetches it and the emulator.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import larq_reactnet as lr

import larq as lq
import numpy as np
import tensorflow as tf
from int8_in_c import int8_file, int8_scores, write_int8
from int8_twins import SHIPPED, real_twin
from runtime import ROOT
from sklearn.datasets import load_sample_image
from tabulate import tabulate
from tqdm import tqdm

sys.path.insert(0, str(ROOT / "tools"))
from emulated_cores import CORES, Core, build, network_program, run, sizes, weigh_program

EXAMPLES = """examples:
  python benchmarks/microcontrollers.py
  python benchmarks/microcontrollers.py --cores m0plus m4f --networks dorefanet
  python benchmarks/microcontrollers.py --cmsis-nn /tmp/cmsis-nn --cbin-nn /tmp/cbin-nn
"""
layers = tf.keras.layers


@dataclass(frozen=True)
class Written:
    """A network in C.

    Attributes:
        name: Its prefix.
        sources: The folder with `NAME.c`.
        images: An image, of the type that it takes.
        flags: What the compiler needs besides.
        library: What it is linked with.
        expected: The scores that TensorFlow Lite computes, with the most that they may differ by.
    """

    name: str
    sources: Path
    images: np.ndarray
    flags: tuple[str, ...] = ()
    library: Callable[[str], Path] | None = None
    expected: tuple[np.ndarray, float] | None = None


def binary_layer() -> tf.keras.Model:
    """The layer of 3x3, 64 -> 64 channels, 16x16, that gives bits to another."""
    signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    signs |= {"padding": "same", "pad_values": 1.0, "kernel_constraint": "weight_clip"}
    x = inputs = layers.Input((16, 16, 64))
    x = lq.layers.QuantConv2D(64, 3, **signs)(x)
    x = layers.BatchNormalization(scale=False, beta_initializer="random_normal")(x)
    return tf.keras.Model(inputs, lq.layers.QuantConv2D(32, 1, **signs)(x))


def real_layer() -> tf.keras.Model:
    """The same layer with real weights and a ReLU."""
    x = inputs = layers.Input((16, 16, 64))
    x = layers.Conv2D(64, 3, padding="same", activation="relu")(x)
    return tf.keras.Model(inputs, x)


def binary_c(content: bytes, name: str, into: Path, **options: Any) -> Path:
    """The C of a binary `.tflite`."""
    lr.converters.export_c(content, into, name=name, verify=False, progress=False, **options)
    return into / "src"


def in_int8(name: str, model: tf.keras.Model, into: Path, cmsis: Path) -> Written:
    """A Keras model in int8, which takes noise."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, *model.input_shape[1:])).astype(np.float32)
    into.mkdir()
    content = int8_file(model, images)
    write_int8(content, name, into)
    image = rng.integers(-128, 128, (1, *model.input_shape[1:])).astype(np.int8)
    flags = (f"-I{cmsis / 'Include'}",)
    return Written(
        name, into, image, flags, lambda core: cmsis / f"{core}.a", int8_scores(content, image)
    )


def both_layers(folder: Path, cmsis: Path | None) -> Iterator[Written]:
    """The layer as bits, of which half are set, and in int8."""
    content = lr.converters.convert(binary_layer())
    signs = np.random.default_rng(0).normal(size=(1, 16, 16, 64)).astype(np.float32)
    sources = binary_c(content, "bits", folder / "bits", input_type="float32")
    yield Written("bits", sources, signs)
    if cmsis:
        yield in_int8("int8", real_layer(), folder / "int8", cmsis)


def both_networks(key: str, folder: Path, cmsis: Path | None) -> Iterator[Written]:
    """A network with the package's weights in both arithmetics, and in int8 with random ones."""
    _, name, options, weights = SHIPPED[key]
    model = lr.zoo.create(
        name, weights=weights, num_classes=10, classifier_activation=None, **options
    )
    mean, std = (tuple(map(float, s)) for s in lr.zoo.datasets.STATISTICS["cifar10"])
    image = load_sample_image("flower.jpg")[None, 100:356:8, 200:456:8]
    path = folder / f"{key}.tflite"
    lr.converters.export(
        model,
        path,
        verify_with=(image - np.float32(mean)) / np.float32(std),
        metadata=lr.converters.Metadata(mean=mean, std=std),
        progress=False,
    )
    for arithmetic in ("float32", "int16"):
        prefix = f"{key}_{arithmetic}"
        sources = binary_c(path.read_bytes(), prefix, folder / prefix, arithmetic=arithmetic)
        yield Written(prefix, sources, image)
    if cmsis:
        yield in_int8(f"{key}_int8", real_twin(model), folder / f"{key}_int8", cmsis)


def check(written: Written, found: dict[str, list[tuple[int, ...]]]) -> None:
    """End the program if the scores are not those of TensorFlow Lite: it would count nonsense."""
    if written.expected is None:
        return
    expected, most = written.expected
    bits = np.array([bits for (bits,) in found["score"]], np.uint32)
    difference = float(np.abs(bits.view(np.float32) - expected).max())
    if difference > most:
        sys.exit(f"{written.name} differs from TensorFlow Lite by {difference}.")


def flags_of(written: Written, folder: Path) -> tuple[str, ...]:
    """Where the compiler finds what it needs."""
    return (f"-I{written.sources}", f"-I{folder}", *written.flags)


def measured(written: Written, core: str, folder: Path) -> dict[str, Any]:
    """Instructions of each stage and of all, flash, and RAM with the stack."""
    into = folder / f"{written.name}-{core}"
    into.mkdir()
    libraries = [written.library(core)] if written.library else []
    flags = flags_of(written, into)
    source = network_program(written.name, written.images, into)
    found = run(CORES[core], build(CORES[core], into / "run", [source, *libraries], flags))
    check(written, found)
    weighed = build(
        CORES[core], into / "weigh", [weigh_program(written.name, into), *libraries], flags
    )
    taken = sizes(CORES[core], weighed)
    (stack,) = found["stack"][0]
    stages = [high << 32 | low for high, low in found["stage"]]
    ((high, low),) = found["run"]
    return {
        "network": written.name,
        "core": core,
        "instructions": high << 32 | low,
        "stages": stages,
        "flash": taken.flash,
        "ram": taken.ram + stack,
    }


def cbin_layer(core: Core, library: Path, folder: Path) -> int:
    """Instructions of CBin-NN's layer."""
    source = Path(__file__).parent / "mcu_layer.c"
    program = build(core, folder / f"cbin-{core.name}", [source, library])
    ((high, low),) = run(core, program)["run"]
    return high << 32 | low


def layer_rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each core: instructions of the layer in each form."""
    written = list(both_layers(folder, args.cmsis_nn))
    for core in tqdm(args.cores, "layer", unit="core", file=sys.stderr):
        bits, *other = (measured(w, core, folder) for w in written)
        row: dict[str, Any] = {"core": CORES[core].name, "bits": bits["stages"][1]}
        if other:
            row["int8"] = other[0]["stages"][0]
        if args.cbin_nn:
            row["CBin-NN"] = cbin_layer(CORES[core], args.cbin_nn / f"{core}.a", folder)
        yield row


def network_rows(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each core and network: what both forms take."""
    for key in args.networks:
        written = list(both_networks(key, folder, args.cmsis_nn))
        for core in tqdm(args.cores, key, unit="core", file=sys.stderr):
            yield {"title": SHIPPED[key][0], "forms": [measured(w, core, folder) for w in written]}


def layer_table(rows: list[dict[str, Any]]) -> str:
    """Instructions, and how many times those of the bits the others are."""
    shown = []
    for row in rows:
        cells = [row["core"], f"{row['bits']:,}"]
        for key in ("int8", "CBin-NN"):
            cells.append(f"{row[key]:,} ({row[key] / row['bits']:.1f}x)" if key in row else "")
        shown.append(cells)
    heads = ["core", "binary", "int8, CMSIS-NN", "CBin-NN"]
    return tabulate(shown, heads, "simple", colalign=("left",) + ("right",) * 3)


def network_table(rows: list[dict[str, Any]]) -> str:
    """A line for each form. The first layer, which is real in all, is counted by itself, too."""
    shown = []
    names = ("binary, float32", "binary, int16", "int8")
    for row in rows:
        for form, weights in zip(row["forms"], names, strict=False):
            numbers = (form["flash"], form["ram"], form["instructions"], form["stages"][0])
            cells = (row["title"], CORES[form["core"]].name, weights)
            shown.append([*cells, *(f"{number:,}" for number in numbers)])
    heads = ["network", "core", "weights", "flash", "RAM", "instructions", "first layer"]
    right = ("left",) * 3 + ("right",) * 4
    return tabulate(shown, heads, "simple", colalign=right)


def main() -> None:
    """Write the networks, count, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cores", nargs="+", choices=CORES, default=list(CORES), metavar="CORE",
                        help=f"of {', '.join(CORES)} (all)")  # fmt: skip
    parser.add_argument("--networks", nargs="*", choices=SHIPPED, default=list(SHIPPED),
                        metavar="NETWORK", help=f"of {', '.join(SHIPPED)} (all)")  # fmt: skip
    parser.add_argument("--cmsis-nn", type=Path, help="folder with Include and CORE.a of CMSIS-NN")
    parser.add_argument("--cbin-nn", type=Path, help="folder with CORE.a of CBin-NN")
    parser.add_argument("--json", type=Path, help="where to write all numbers, of each stage too")
    args = parser.parse_args()
    tf.keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"layer": list(layer_rows(args, folder))}
        print("Instructions of a layer: 3x3, 64 -> 64 channels, 16x16, stride 1\n")
        print(layer_table(found["layer"]), flush=True)
        if args.networks:
            found["networks"] = list(network_rows(args, folder))
            print("\nNetworks for images of 32x32: bytes, and instructions for an image\n")
            print(network_table(found["networks"]))
    if args.json:
        args.json.write_text(json.dumps({**vars(args), **found}, indent=1, default=str))


if __name__ == "__main__":
    main()
