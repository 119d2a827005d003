"""Data for training and evaluation: tensorflow-datasets, image folders, and digits by default.

    data = datasets.load("digits", batch_size=64)
    model.fit(data.train, validation_data=data.test)

`load` takes

- `"digits"`: the 1,797 handwritten digits that scikit-learn carries; needs no network;
- the name of an image classification set of tensorflow-datasets, like `"cifar10"`;
- the path of a folder with `train/CLASS/*.jpg` and `test/CLASS/*.jpg`.

Images come out as float32 `(height, width, 3)`, normalized per channel, labels as integers.
"""

from larq_reactnet.zoo.datasets.loading import STATISTICS, Dataset, load

__all__ = ["STATISTICS", "Dataset", "load"]
