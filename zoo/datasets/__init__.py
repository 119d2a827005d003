"""Data for training and evaluation: tensorflow-datasets, image folders, and digits by default.

    data = datasets.load("digits", batch_size=64)
    model.fit(data.train, validation_data=data.test)

`load` takes

- `"digits"`: the 1,797 handwritten digits that scikit-learn carries; needs no network;
- the name of an image classification set of tensorflow-datasets, like `"cifar10"`;
- the path of a folder with `CLASS/*.jpg`, which is split by a hash of the paths, or with
  `train/CLASS/*.jpg` and `test/CLASS/*.jpg`.

`overview` tells what is in it.

Images come out as float32 `(height, width, 3)`, normalized per channel, labels as integers. A
picture becomes such an image in the way in which `predict` prepares it: turned upright as its EXIF
data say, cropped around its center, and resized with antialiasing.
"""

from larq_reactnet.zoo.datasets.loading import (
    STATISTICS,
    Dataset,
    absolute,
    class_names,
    load,
    statistics,
)
from larq_reactnet.zoo.datasets.surveying import Overview, overview

__all__ = [
    "STATISTICS",
    "Dataset",
    "Overview",
    "absolute",
    "class_names",
    "load",
    "overview",
    "statistics",
]
