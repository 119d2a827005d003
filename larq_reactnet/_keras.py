"""The one place that knows about TensorFlow and Keras versions: it makes `tf.keras` be Keras 2.

Larq is written for Keras 2. From TensorFlow 2.16 on, `tf.keras` is Keras 3 unless the environment
variable `TF_USE_LEGACY_KERAS` is set, and then it is the separate package `tf_keras`.
"""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from typing import Any


def select_keras_2() -> None:
    """Make `tf.keras` be Keras 2, or raise ImportError with the line to move.

    TensorFlow reads the variable twice: at its own import, for statements like
    `from tensorflow.keras import layers`, and at the first use of the attribute `tf.keras`. So it
    is not too late if TensorFlow has been imported but no Keras has been used yet. In that case the
    statements are led to Keras 2 by putting `tf_keras` on TensorFlow's `__path__`.
    """
    tf_keras = importlib.util.find_spec("tf_keras")
    imported = sys.modules.get("tensorflow")
    if tf_keras is not None and (imported is None or _has_keras_3(imported.__version__)):
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        if imported is not None:
            package = os.path.dirname(tf_keras.origin or "")
            imported.__path__.insert(0, os.path.join(package, "api", "_v2"))

    with _without_device_notes():
        import tensorflow as tf

    if not hasattr(tf.keras, "ops"):  # only Keras 3 has it
        return
    if tf_keras is None:
        minor = tf.__version__.rsplit(".", 1)[0]
        raise ImportError(
            f"larq_reactnet needs Keras 2, which TensorFlow {tf.__version__} does not carry: "
            f"run `pip install tf-keras~={minor}.0`."
        )
    raise ImportError(
        "larq_reactnet needs Keras 2, but `tf.keras` is already in use as Keras 3: move "
        "`import larq_reactnet` above the first use of `tf.keras` or `tensorflow.keras`, or set "
        "the environment variable TF_USE_LEGACY_KERAS=1 before Python starts. In a notebook, "
        "restart the kernel first."
    )


def refuse_keras_3(model: Any) -> None:
    """Raise TypeError if `model` is of Keras 3, as `import keras` makes them beside `tf.keras`."""
    import tensorflow as tf

    bases = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if "keras" in bases and not isinstance(model, tf.keras.layers.Layer):
        raise TypeError(
            f"This {type(model).__name__} is of Keras 3, which `import keras` gives. Larq is "
            "written for Keras 2: build the model with `tf.keras`, after `import larq_reactnet`."
        )


@contextlib.contextmanager
def _without_device_notes() -> Iterator[None]:
    """Hide what TensorFlow's import says about GPUs, in the command `larq-reactnet` only.

    No setting hides its first lines, so standard error itself is turned off during the import.
    """
    if not os.path.basename("".join(sys.argv[:1])).startswith("larq-reactnet"):
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _has_keras_3(tensorflow_version: str) -> bool:
    return tuple(int(part) for part in tensorflow_version.split(".")[:2]) >= (2, 16)
