"""What it costs and saves to store the last dense layers in float16 or int8.

A network of the zoo with random weights is converted once and stored in each way. The files run
alternately, in each engine that is installed, with one thread. The time is taken in the process of
the interpreter, and the median is reported. Distances are the largest difference of a logit on
random inputs, relative to the standard deviation of the logits.

    python benchmarks/storage.py
    python benchmarks/storage.py --models reactnet_a --rounds 31 --json storage.json
"""

import argparse
import contextlib
import json
import statistics
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.converters.compressing import STORAGES
from larq_reactnet.converters.interpreter import TITLES, engines

import numpy as np
from export import NETWORKS, random_network
from tabulate import tabulate
from tqdm import tqdm

IMAGES = 4


def benchmark(title: str, rounds: int) -> list[dict[str, object]]:
    """A row for each storage and engine."""
    name, arguments = NETWORKS[title]
    model = random_network(name, {**arguments, "classifier_activation": None})
    images = np.random.default_rng(1).normal(size=(IMAGES, *model.input_shape[1:]))
    images = images.astype(np.float32)
    plain = lr.converters.convert(lr.converters.fold(lr.converters.cure(model)))
    files = {storage: lr.converters.compress(plain, storage) for storage in STORAGES}
    with contextlib.ExitStack() as stack:
        running = {
            (storage, engine): stack.enter_context(lr.converters.Interpreter(file, engine=engine))
            for storage, file in files.items()
            for engine in engines()
        }
        outputs = {key: interpreter.predict(images) for key, interpreter in running.items()}
        times: dict[tuple[str, str], list[float]] = {key: [] for key in running}
        for _ in tqdm(range(rounds), title, leave=False):
            for key, interpreter in running.items():
                times[key].append(float(interpreter.seconds(images[:1])[0]))
    rows = []
    for (storage, engine), found in outputs.items():
        real, other = outputs["float32", engine], outputs[storage, engines()[-1]]
        spread = real.std()
        rows.append(
            {
                "network": title,
                "storage": storage,
                "bytes": len(files[storage]),
                "engine": TITLES[engine],
                "ms": 1000 * statistics.median(times[storage, engine]),
                "from float32": np.abs(found - real).max() / spread,
                "from the other engine": np.abs(found - other).max() / spread,
            }
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=["reactnet_a"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    args = parser.parse_args()
    table = [row for chosen in args.models for row in benchmark(chosen, args.rounds)]
    print(tabulate(table, headers="keys", tablefmt="github", floatfmt=".2g", intfmt=","))
    if args.json:
        args.json.write_text(json.dumps({**vars(args), "rows": table}, indent=1, default=str))
