"""What a network sees in the pictures of a camera: its label and the frames per second on them.

It needs no TensorFlow: on a Raspberry Pi, picamera2 comes with the system (`sudo apt install
python3-picamera2`, and `python3 -m venv --system-site-packages env`), and elsewhere there is OpenCV
(`pip install opencv-python`). The camera may also be a video or a folder of pictures.

    pip install './runtime[image]'
    python examples/camera.py model.tflite                       # picamera2, or OpenCV's camera 0
    python examples/camera.py model.tflite --camera 1 --show     # OpenCV's second one, in a window
    python examples/camera.py model.tflite --camera photos --save seen

Stop it with Ctrl+C.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from larq_reactnet_runtime import Interpreter
from larq_reactnet_runtime.photos import classifier
from PIL import Image, ImageDraw, ImageFont

SIZE = 640, 480  # of the pictures of a camera
KINDS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"}


def of_pi() -> Iterator[np.ndarray]:
    """The pictures of the camera of a Raspberry Pi, as `(height, width, 3)` of red, green, blue."""
    from picamera2 import Picamera2

    with Picamera2() as camera:
        # The format is named after the order of the bytes in a number: the array is in RGB.
        camera.configure(camera.create_video_configuration({"size": SIZE, "format": "BGR888"}))
        camera.start()
        while True:
            yield camera.capture_array()


def of_opencv(source: int | str) -> Iterator[np.ndarray]:
    """The pictures of a camera, by its number, or of a video, by OpenCV."""
    import cv2

    camera = cv2.VideoCapture(source)
    try:
        if not camera.isOpened():
            sys.exit(f"OpenCV cannot open the camera or video {source}.")
        while True:
            succeeded, picture = camera.read()
            if not succeeded:  # the end of a video
                return
            yield np.ascontiguousarray(picture[..., ::-1])  # it gives blue, green, red
    finally:
        camera.release()


def of_folder(folder: Path) -> Iterator[np.ndarray]:
    """The pictures in a folder, by their names."""
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS):
        with Image.open(path) as picture:
            yield np.asarray(picture.convert("RGB"))


def pictures(camera: str | None) -> Iterator[np.ndarray]:
    """The pictures of what `--camera` says."""
    if camera is None:
        try:
            import picamera2  # noqa: F401
        except ImportError:
            return of_opencv(0)
        return of_pi()
    if Path(camera).is_dir():
        return of_folder(Path(camera))
    return of_opencv(int(camera) if camera.isdecimal() else camera)


def labelled(picture: np.ndarray, text: str) -> Image.Image:
    """A picture with a line of text on a dark bar at its top."""
    image = Image.fromarray(picture)
    height = max(12, image.height // 16)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, image.width, height + 4), fill="black")
    try:
        font = ImageFont.load_default(height * 3 // 4)
    except TypeError:  # of Pillow before 10.1, which has one size
        font = ImageFont.load_default()
    draw.text((4, 2), text, fill="white", font=font)
    return image


def show(image: Image.Image) -> bool:
    """Show a picture in a window. Returns whether to go on: Esc and q end it."""
    import cv2

    cv2.imshow("larq-reactnet", np.asarray(image)[..., ::-1])
    return cv2.waitKey(1) not in (27, ord("q"))


def main(options: Any) -> int:
    """Classify pictures until there are no more. Returns their number."""
    interpreter = Interpreter(options.model, num_threads=options.threads)
    classify = classifier(interpreter, top=1, mean=options.mean, std=options.std, size=options.size)
    count, rate, before = 0, 0.0, time.perf_counter()
    for picture in pictures(options.camera):
        ((label, probability),) = classify(picture)
        now = time.perf_counter()
        # A mean over about ten pictures, of all that is done for one.
        rate += (1 / max(now - before, 1e-9) - rate) * (0.1 if count else 1.0)
        before, count = now, count + 1
        text = f"{label} {probability:.0%}  {rate:.1f} frames/s"
        print(text, flush=True)
        image = labelled(picture, text)
        if options.save:
            options.save.mkdir(parents=True, exist_ok=True)
            image.save(options.save / f"{count:06}.jpg")
        if (options.show and not show(image)) or count == options.frames:
            break
    return count


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    return tuple(float(number) for number in text.split(","))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a .tflite that classifies images")
    parser.add_argument("--camera", help="number of a camera, or a video or folder of pictures")
    parser.add_argument("--threads", type=int, default=4, help="number of threads (4)")
    parser.add_argument("--frames", type=int, help="stop after so many pictures")
    parser.add_argument("--save", type=Path, help="folder for the pictures with their labels")
    parser.add_argument("--show", action="store_true", help="show them in a window, by OpenCV")
    parser.add_argument("--mean", type=numbers, default=(), help="if the file does not say it")
    parser.add_argument("--std", type=numbers, default=(), help="see --mean")
    parser.add_argument(
        "--size",
        type=lambda text: tuple(map(int, text.split(","))),
        help="height,width, for a file that takes images of any size",
    )
    try:
        if not main(parser.parse_args()):
            sys.exit("The camera gives no pictures.")
    except KeyboardInterrupt:
        pass
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(str(error))
