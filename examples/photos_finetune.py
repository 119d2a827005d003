"""Your own photos: from a folder to a file for a Raspberry Pi, by fine-tuning a trained network.

    python examples/photos_finetune.py my_photos --output tuned
    python examples/photos_finetune.py --output tuned          # without photos, to see it work

The folder has the photos of each class in a folder of their own, my_photos/CLASS/*.jpg, or split
by you: my_photos/train/CLASS and my_photos/test/CLASS. Without a folder, one is made of pictures
that scikit-image brings: three of its photographs are the classes, and parts of them the photos.

The network is BNN+'s DoReFa-Net, whose CIFAR-10 weights are in the package, so nothing is
downloaded. It takes images of 32x32, which is little. For photographs of 224x224, give `--network
quicknet --weights imagenet`: Larq's weights for ImageNet are downloaded once.
"""

import argparse
import sys
from pathlib import Path

import larq_reactnet as lr  # before TensorFlow's Keras is used: it selects Keras 2

import numpy as np
from PIL import Image

PHOTOGRAPHS = ("chelsea", "coffee", "rocket")  # of scikit-image; no network needed
PARTS = {"train": 60, "test": 20}  # for each class


def make_photos(folder: Path) -> None:
    """Parts of three photographs, of random place and size, as photos of three classes.

    Parts for the test come from the lower third of a photograph, and those for the training from
    the rest.
    """
    from skimage import data

    rng = np.random.default_rng(0)
    for name in PHOTOGRAPHS:
        whole = getattr(data, name)()
        border = len(whole) * 2 // 3
        for part, image in (("train", whole[:border]), ("test", whole[border:])):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(PARTS[part]):
                size = rng.integers(min(image.shape[:2]) // 2, min(image.shape[:2]))
                top, left = (rng.integers(length - size + 1) for length in image.shape[:2])
                photo = Image.fromarray(image[top : top + size, left : left + size])
                photo.save(folder / part / name / f"{number}.jpg")


def main(photos: str, output: Path, network: str, weights: str, epochs: int) -> float:
    """Fine-tune, export, predict. Returns the accuracy on the test photos."""
    recipe = lr.zoo.recipes.two_step(
        network,
        weights=weights,  # its last layer is a new one, for your classes
        dataset=photos,
        epochs=epochs,
        batch_size=16,
        learning_rate=1e-3,
    )
    model = lr.training.train(recipe, output / "run", verbose=2)
    accuracy = float(lr.training.Run(output / "run").read()["results"]["accuracy"])
    print(f"\n{accuracy:.1%} of the test photos are right")

    arguments = lr.training.Run(output / "run").read()["arguments"]
    # Images are normalized as those that the weights know.
    mean, std = lr.zoo.datasets.statistics(arguments["normalization"] or arguments["dataset"])
    data = lr.zoo.datasets.load(photos, image_size=arguments["image_size"], mean=mean, std=std)
    report = lr.converters.export(
        model,
        output / "photos.tflite",
        verify_with=data.test,
        metadata=lr.converters.Metadata(
            name=network, labels=tuple(data.class_names), mean=data.mean, std=data.std
        ),
    )
    print(report)
    suffixes = (".jpg", ".jpeg", ".png")
    photo = next(path for path in Path(photos).rglob("*") if path.suffix.lower() in suffixes)
    ((label, probability), *_) = lr.converters.predict_image(report.path, photo)
    print(f"\n{photo}: {label}, {probability:.0%}")
    print(
        f"Copy {report.path} to your Pi: docs/guides/photos_to_a_pi.md says what to install there."
    )
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="?", help="folder of photos; by default one is made")
    parser.add_argument("--output", type=Path, default=Path("tuned"), help="folder of the results")
    parser.add_argument("--network", default="bnn_plus_dorefanet", help="a name of the zoo")
    parser.add_argument("--weights", default="cifar10", help="its pretrained weights")
    parser.add_argument("--epochs", type=int, default=10)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.photos is None:
        arguments.photos = str(arguments.output / "photos")
        make_photos(arguments.output / "photos")
    if not Path(arguments.photos).is_dir():
        sys.exit(f"There is no folder {arguments.photos}.")
    main(arguments.photos, arguments.output, arguments.network, arguments.weights, arguments.epochs)
