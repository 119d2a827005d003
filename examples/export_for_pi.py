"""Everything that a Raspberry Pi needs, in one folder: the file, a photo, a script and its answer.

    python examples/export_for_pi.py --output for_pi
    python examples/export_for_pi.py run --output for_pi    # the folder of a run of yours
    scp -r for_pi pi:                                       # on the Pi: python3 for_pi/run.py

`run.py` needs larq-reactnet-runtime only, and no TensorFlow: docs/guides/photos_to_a_pi.md says how
to install it. It classifies the photo, compares the numbers with those of this machine, and times
the network. If larq-reactnet-runtime is installed here, it is run here first.

By default the network is BNN+'s DoReFa-Net, whose CIFAR-10 weights are in the package, and the
photo is the cat of scikit-image, so nothing is downloaded.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import numpy as np
from PIL import Image

MODEL, RECIPE = "bnn_plus_dorefanet", "bnn_plus_dorefanet_cifar10_short"
VERIFIED = 200  # images that the export runs

SCRIPT = '''"""Runs on the Pi, from any folder: python3 for_pi/run.py"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from larq_reactnet_runtime import Interpreter
from larq_reactnet_runtime.photos import classify

folder = Path(__file__).parent
expected = json.loads((folder / "expected.json").read_text())
interpreter = Interpreter(folder / "model.tflite", num_threads=4)
(answer,) = classify(interpreter, [folder / "photo.png"], top=3)
print(", ".join(f"{label} {probability:.1%}" for label, probability in answer))

image = np.load(folder / "image.npy")  # the photo, as the network takes it
found = interpreter.predict(image)
difference = float(np.abs(found - expected["outputs"]).max())
print(f"The outputs differ by {difference:.1e} from those of the machine that made the file")

times = []
for _ in range(20):
    start = time.perf_counter()
    interpreter.predict(image)
    times.append(time.perf_counter() - start)
print(f"{1000 * sorted(times)[10]:.2f} ms for an image (median of 20)")
if answer[0][0] != expected["label"]:
    sys.exit(f"On the machine that made the file it is {expected['label']}.")
'''


def model_and_data(run: Path | None) -> tuple[object, lr.converters.Metadata, np.ndarray | None]:
    """The trained network, what goes into its file, and images to verify it with if there are."""
    if run is None:
        mean, std = lr.zoo.datasets.statistics("cifar10")
        labels = tuple(lr.zoo.datasets.class_names("cifar10"))
        metadata = lr.converters.Metadata(name=RECIPE, labels=labels, mean=mean, std=std)
        return lr.zoo.create(MODEL, weights=RECIPE), metadata, None
    arguments = lr.training.Run(run).read()["arguments"]
    mean, std = lr.zoo.datasets.statistics(arguments["normalization"] or arguments["dataset"])
    data = lr.zoo.datasets.load(
        arguments["dataset"],
        image_size=arguments["options"]["input_shape"][0],
        data_dir=arguments["data_dir"],
        augmentation=arguments["augmentation"],
        mean=mean,
        std=std,
    )
    metadata = lr.converters.Metadata(
        name=arguments["model"],
        labels=tuple(data.class_names),
        mean=data.mean,
        std=data.std,
        crop=data.crop,
        resize=data.resize,
    )
    return lr.training.load_model(run), metadata, data.test_arrays(VERIFIED)[0]


def cat() -> Path:
    """Chelsea the cat, a photograph that comes with scikit-image."""
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        sys.exit("No scikit-image, and so no cat: give a photo of yours with --photo.")
    return Path(found.origin).with_name("data") / "chelsea.png"


def parts_of(photo: Path, shape: tuple[int, ...], metadata: lr.converters.Metadata) -> np.ndarray:
    """Parts of the photo, as the network takes them, where there are no test images."""
    whole, rng, parts = Image.open(photo).convert("RGB"), np.random.default_rng(0), []
    for _ in range(VERIFIED):
        side = int(rng.integers(shape[0], min(whole.size)))
        left, top = (int(rng.integers(0, length - side + 1)) for length in whole.size)
        part = whole.crop((left, top, left + side, top + side)).resize(shape[:2])
        parts.append((np.asarray(part, np.float32) - metadata.mean) / metadata.std)
    return np.stack(parts).astype(np.float32)


def main(run: Path | None, output: Path, photo: Path | None) -> str:
    """Write the folder. Returns the answer for the photo."""
    output.mkdir(parents=True, exist_ok=True)
    photo = photo or cat()
    model, metadata, images = model_and_data(run)
    if images is None:
        images = parts_of(photo, model.input_shape[1:], metadata)
    report = lr.converters.export(
        model, output / "model.tflite", verify_with=images, metadata=metadata
    )
    print(report)

    Image.open(photo).convert("RGB").save(output / "photo.png")
    image = lr.converters.prepare_image(
        output / "photo.png",
        model.input_shape[1:],
        metadata.mean,
        metadata.std,
        crop=metadata.crop,
        resize=metadata.resize,
    )[None]
    np.save(output / "image.npy", image)
    outputs = lr.converters.predict_tflite(report.path.read_bytes(), image, engine="lce")
    label = metadata.labels[int(outputs.argmax())]
    expected = {"label": label, "outputs": outputs.tolist()}
    (output / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (output / "run.py").write_text(SCRIPT)

    print(f"\n{photo.name}: {label}, {outputs.max():.0%}")
    if importlib.util.find_spec("larq_reactnet_runtime") is not None:
        print("\nAs the Pi will run it, here:", flush=True)
        subprocess.run([sys.executable, str(output / "run.py")], check=True)
    print(f"\nNow: scp -r {output} pi:    and, on the Pi, python3 {output.name}/run.py")
    return label


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", type=Path, help="the folder of a run")
    parser.add_argument("--output", type=Path, default=Path("for_pi"), help="the folder to make")
    parser.add_argument("--photo", type=Path, help="a photo of yours in place of the cat")
    arguments = parser.parse_args()
    if arguments.photo and not arguments.photo.is_file():
        parser.error(f"There is no file {arguments.photo}.")
    main(arguments.run, arguments.output, arguments.photo)
