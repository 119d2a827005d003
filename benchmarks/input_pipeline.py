"""The input pipeline for ImageNet: images per second alone, against training; and its memory.

It makes a folder of photo-like JPEG files: some thousands of them, and hard links to these for the
rest. Each row is a process of its own, which may use so many cores.

| row | is |
| --- | --- |
| `pipeline` | random crops of 224 pixels, mirrored: batches, and nothing is done with them |
| `not fused` | the same, but each JPEG file is decoded whole, by Pillow |
| `training` | ReActNet-A at 224 pixels on one batch that is in memory: what it consumes |

For the memory, the pipeline goes through the whole folder once, in batches.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from tabulate import tabulate
from tqdm import tqdm
from training import processor

CLASSES = 100
SIZE = 224  # of the network's images
EXAMPLES = """examples:
  python benchmarks/input_pipeline.py --json input_pipeline.json
  python benchmarks/input_pipeline.py --images 2000 --timed 500 --cores 2 --sides 224
"""


def photo(rng: np.random.Generator, side: int) -> Image.Image:
    """Waves, edges and noise, which a JPEG file needs about as many bits for as for a photo."""
    y, x = np.mgrid[:side, :side] * (224 / side)
    fx, fy, phase = rng.uniform(3, 40, 3), rng.uniform(3, 40, 3), rng.uniform(0, 6, 3)
    pixels = np.stack(
        [
            127 + 60 * np.sin(x / a + p) * np.cos(y / b)
            for a, b, p in zip(fx, fy, phase, strict=True)
        ],
        -1,
    )
    pixels[(x - rng.uniform(0, 224)) ** 2 + (y - rng.uniform(0, 224)) ** 2 < 60**2] += 50
    pixels += rng.normal(0, 20, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def make_folder(folder: Path, side: int, images: int, distinct: int) -> int:
    """Write the files, and give the mean number of their bytes."""
    rng = np.random.default_rng(0)
    sources: list[Path] = []
    for number in tqdm(range(images), f"Making images of {side} pixels"):
        split = "test" if number < CLASSES else "train"
        path = folder / split / f"{number % CLASSES:03}" / f"{number:07}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number < distinct:
            photo(rng, side).save(path, quality=90)
            sources.append(path)
        else:
            path.hardlink_to(sources[number % distinct])
    return sum(path.stat().st_size for path in sources) // len(sources)


def memory() -> float:
    """MiB of memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def loaded(folder: str, batch_size: int, fused: bool) -> Any:
    """The folder as a data set."""
    import larq_reactnet as lr
    from larq_reactnet.zoo.datasets import cropping

    if not fused:

        def refuse(*arguments: Any) -> None:
            raise OSError

        cropping._decoded_part = refuse  # then Pillow decodes all
    return lr.zoo.datasets.load(folder, image_size=SIZE, batch_size=batch_size, augmentation="crop")


def pipeline(args: argparse.Namespace) -> dict[str, float]:
    """Images per second of the pipeline."""
    batches = iter(loaded(args.folder, args.batch_size, args.worker == "pipeline").train_from(0))
    for _ in range(4):
        next(batches)
    steps = max(1, args.timed // args.batch_size)
    start = time.perf_counter()
    for _ in range(steps):
        next(batches)
    return {"images/s": steps * args.batch_size / (time.perf_counter() - start)}


def training(args: argparse.Namespace) -> dict[str, float]:
    """Images per second of the training."""
    import larq_reactnet as lr

    import tensorflow as tf

    recipe = lr.zoo.recipes.two_step("reactnet_a", step1_epochs=0)
    model = lr.zoo.create("reactnet_a")
    model = lr.training.compiled(model, recipe, recipe.steps[0], 1000)
    images = np.random.default_rng(0).normal(size=(args.batch_size, SIZE, SIZE, 3))
    batch = images.astype(np.float32), np.arange(args.batch_size)
    data = tf.data.Dataset.from_tensors(batch).cache().repeat()
    model.fit(data, steps_per_epoch=2, verbose=0)
    start = time.perf_counter()
    model.fit(data, steps_per_epoch=args.steps, verbose=0)
    return {"images/s": args.steps * args.batch_size / (time.perf_counter() - start)}


def whole(args: argparse.Namespace) -> dict[str, float]:
    """Memory after parts of the folder."""
    import larq_reactnet as lr  # noqa: F401 (what it takes itself does not count)

    found = {"imported": memory()}
    start = time.perf_counter()
    data = loaded(args.folder, args.batch_size, True)
    found["seconds to look at all files"] = time.perf_counter() - start
    found["loaded"] = memory()
    marks = {int(data.steps_per_epoch * share): f"{share:.0%}" for share in (0.1, 0.5, 1.0)}
    for number, _ in enumerate(tqdm(data.train, total=data.steps_per_epoch), 1):
        if number in marks:
            found[marks[number]] = memory()
    return found


WORKERS = {"pipeline": pipeline, "not fused": pipeline, "training": training, "memory": whole}


def measure(kind: str, folder: Path, cores: int, args: argparse.Namespace) -> dict[str, float]:
    """What a process of its own measures, on some cores."""
    options = {"--batch-size": args.batch_size, "--timed": args.timed, "--steps": args.steps}
    command = [sys.executable, __file__, "--worker", kind, "--folder", str(folder)]
    command += [str(word) for pair in options.items() for word in pair]
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    done = subprocess.run(
        command,
        env={**os.environ, "KERAS_HOME": str(folder.parent / "keras")},
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        stdout=subprocess.PIPE,
        check=True,
    )
    found = dict(json.loads(done.stdout.splitlines()[-1]))
    print(f"{kind}, {cores} cores: {found}", flush=True)
    return found


def rows(folder: Path, side: int, cores: list[int], args: argparse.Namespace) -> Iterator[Any]:
    """Rows of the first table."""
    for count in cores:
        for kind in ("pipeline", "not fused"):
            yield kind, side, count, measure(kind, folder, count, args)["images/s"]


def main(args: argparse.Namespace) -> None:
    """Measure all, and print it."""
    available = len(os.sched_getaffinity(0))
    cores = [count for count in args.cores if count <= available]
    found: list[Any] = []
    remembered: dict[str, float] = {}
    for side in args.sides:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "photos"
            count = args.images if side == args.sides[0] else min(args.images, args.distinct)
            size = make_folder(folder, side, count, args.distinct)
            print(f"{count:,} files of {side} pixels, {size:,} bytes on average", flush=True)
            found += rows(folder, side, cores, args)
            if side == args.sides[0]:
                found += [
                    ("training", SIZE, n, measure("training", folder, n, args)["images/s"])
                    for n in cores
                ]
                remembered = measure("memory", folder, max(cores), args)
    headers = ["row", "side", "cores", "images/s"]
    print(f"\n{processor()}, batch {args.batch_size}")
    print(tabulate(found, headers, floatfmt=".1f"))
    print(f"\nMiB of memory in an epoch of {args.images - CLASSES:,} images")
    print(tabulate(remembered.items(), floatfmt=".1f"))
    if args.json:
        result = {
            "processor": processor(),
            "images": args.images,
            "batch_size": args.batch_size,
            "rows": [dict(zip(headers, row, strict=True)) for row in found],
            "memory": remembered,
        }
        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=100_100, help="files in the folder")
    parser.add_argument("--distinct", type=int, default=4_000, help="of them that are not links")
    parser.add_argument("--sides", type=int, nargs="+", default=[224, 448], help="of the files")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--timed", type=int, default=4_000, help="images of each timed pipeline")
    parser.add_argument("--steps", type=int, default=4, help="timed training steps")
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        print(json.dumps(WORKERS[chosen.worker](chosen)))
    else:
        main(chosen)
