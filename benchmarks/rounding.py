"""What float32 rounding does to a trained network: the numbers of docs/guides/export.md.

The network of `make demo` is folded and converted. Its outputs before and after folding are
compared in float32 and float64, and all signs of the folded network with those of its file.

    make demo
    python benchmarks/rounding.py --weights demo/weights.h5
"""

import argparse

import larq_reactnet as lr

import numpy as np
from tabulate import tabulate


def measure(weights: str) -> dict[str, str]:
    """The numbers, by descriptions of them."""
    data = lr.zoo.datasets.load("digits")
    images, _ = data.test_arrays()
    model = lr.zoo.ReActNetA(
        input_shape=data.image_shape,
        num_classes=data.num_classes,
        width=0.25,
        stem_strides=1,
        weights=weights,
    )
    folded = lr.converters.fold(model)
    alone, flatbuffer = lr.converters.convert(model), lr.converters.convert(folded)
    logits = [np.log(np.maximum(m.predict(images, verbose=0), 1e-30)) for m in (model, folded)]
    before, after = (each - each.mean(-1, keepdims=True) for each in logits)
    distance = np.abs(before - after).max(-1)
    exact = lr.converters.verify_in_float64(model, lr.converters.fold, images[:2])
    flips = lr.converters.count_flips(folded, flatbuffer, images)
    flipped = sum(flip.flipped for flip in flips)
    first = next((flip for flip in flips if flip.flipped), None)
    same = lr.converters.verify(model, flatbuffer, images, progress=False).same_class
    sizes = {kind: len(lr.converters.compress(flatbuffer, kind)) for kind in ("int8", "float16")}
    return {
        "images": str(len(images)),
        "bytes, converted as it is": f"{len(alone):,}",
        "bytes, folded": f"{len(flatbuffer):,}",
        **{f"bytes, folded, {kind} head": f"{size:,}" for kind, size in sizes.items()},
        "images whose logits folding moves by more than 0.001, float32": str(
            (distance > 1e-3).sum()
        ),
        "by at most": f"{distance.max():.1f}",
        "relative difference of two images, float64": f"{exact:.1g}",
        "first layer with another sign in the file": (
            "none" if first is None else f"{first.layer}, {first.flipped} of {first.signs:,}"
        ),
        "signs that differ": f"{flipped:,} of {sum(flip.signs for flip in flips):,}",
        "same class, Keras and .tflite": f"{same:.2%}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", default="demo/weights.h5")
    print(tabulate(measure(parser.parse_args().weights).items(), disable_numparse=True))
