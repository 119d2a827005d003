"""Every order of imports, each in another process."""

import os
import subprocess
import sys
import types

import larq_reactnet as lr

import pytest
import tensorflow as tf
from helpers import some

needs_keras_3 = pytest.mark.skipif(
    tuple(map(int, tf.__version__.split(".")[:2])) < (2, 16),
    reason="this TensorFlow has no Keras 3",
)

WORKS = """
assert not hasattr(tf.keras, "ops"), "Keras 3"
import larq as lq
model = tf.keras.Sequential([
    tf.keras.layers.Input((4, 4, 3)),
    lq.layers.QuantConv2D(2, 3, input_quantizer="rsign", kernel_quantizer="react_sign",
                          kernel_constraint="weight_clip"),
    lr.layers.RPReLU(),
])
model.compile("adam", "mse")
from tensorflow.keras.layers import Dense
assert Dense is tf.keras.layers.Dense
print("works")
"""

GOOD_ORDERS = {
    "larq_reactnet first": (
        "from larq_reactnet import converters; import larq_reactnet as lr, tensorflow as tf"
    ),
    "tensorflow first": (
        "import tensorflow as tf; import larq_reactnet.quantizers; lr = larq_reactnet;"
        "import larq_reactnet.zoo"
    ),
    "from tensorflow import keras": (
        "import tensorflow as tf; from tensorflow import keras; import larq_reactnet as lr;"
        "assert keras.layers.Dense is tf.keras.layers.Dense"
    ),
    "keras first": "import keras; import larq_reactnet as lr; import tensorflow as tf",
    "tf_keras first": (
        "import tf_keras; import larq_reactnet as lr; import tensorflow as tf;"
        "assert tf.__version__ < '2.16' or tf_keras.layers.Dense is tf.keras.layers.Dense"
    ),
    "variable set": (
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1';"
        "import tensorflow as tf; tf.keras.layers; import larq, larq_reactnet as lr"
    ),
    "variable set, submodule of keras": (
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '1';"
        "from tensorflow.keras import layers; import larq_reactnet as lr, tensorflow as tf"
    ),
}
KERAS_3_IN_USE = {
    "tf.keras used": "import tensorflow as tf; tf.keras.layers.Dense; import larq_reactnet",
    "keras.layers used": "from tensorflow import keras; keras.layers; import larq_reactnet",
    "import tensorflow.keras": "import tensorflow.keras; import larq_reactnet",
}
# As if no module of this name could be found.
WITHOUT_TF_KERAS = "import sys; sys.modules['tf_keras'] = None; import larq_reactnet"


def run(code):
    # This process has the variable, because it has imported larq_reactnet.
    env = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "order", some(GOOD_ORDERS, "tensorflow first", "keras first", "variable set")
)
def test_order_that_works(order):
    done = run(GOOD_ORDERS[order] + WORKS)
    assert done.stdout.strip().endswith("works"), done.stderr


@pytest.mark.slow
@needs_keras_3
@pytest.mark.parametrize("order", some(KERAS_3_IN_USE, "tf.keras used"))
def test_keras_3_in_use(order):
    done = run(KERAS_3_IN_USE[order])
    last = done.stderr.strip().split("\n")[-1]
    assert last.startswith("ImportError: larq_reactnet needs Keras 2, but `tf.keras` is already")
    assert "TF_USE_LEGACY_KERAS=1" in last
    assert "move `import larq_reactnet` above" in last
    assert last.endswith("In a notebook, restart the kernel first.")


@pytest.mark.slow
@needs_keras_3
@pytest.mark.parametrize("first", some(["", "import tensorflow;"], ""))
def test_without_tf_keras(first):
    last = run(first + WITHOUT_TF_KERAS).stderr.strip().split("\n")[-1]
    assert last.startswith("ImportError: larq_reactnet needs Keras 2")
    assert "pip install tf-keras~=" in last


@pytest.mark.slow
def test_import_loads_nothing_that_is_not_needed_and_knows_its_names():
    heavy = ["larq_zoo", "tensorflow_datasets", "larq_compute_engine", "sklearn", "matplotlib"]
    lazy = ["larq_reactnet.zoo", "larq_reactnet.converters"]
    code = f"import sys, larq_reactnet; print([m for m in {heavy + lazy} if m in sys.modules]);"
    done = run(code + "larq_reactnet.nothing")
    assert done.stdout.strip() == "[]"
    last = done.stderr.strip().split("\n")[-1]
    assert last == "AttributeError: module 'larq_reactnet' has no attribute 'nothing'"


def public_modules(module=lr):
    """The module and all that can be reached from it by public names."""
    found = [module]
    for name in module.__all__:
        if isinstance(value := getattr(module, name), types.ModuleType):
            found += public_modules(value)
    return found


def test_dir_shows_what_is_public():
    modules = public_modules()
    names = {module.__name__.removeprefix("larq_reactnet.") for module in modules}
    assert {"quantizers", "zoo", "zoo.datasets", "converters", "training"} < names
    for module in modules:
        assert dir(module) == sorted(module.__all__), module.__name__


@needs_keras_3
def test_models_of_keras_3_are_refused(tmp_path):
    import keras

    model = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    for function in (lr.converters.check, lr.converters.cure, lr.profiling.ops):
        with pytest.raises(TypeError, match=r"`import keras` gives.*build .* `tf\.keras`"):
            function(model)
    with pytest.raises(lr.converters.ExportError, match="not that of `import keras`"):
        lr.converters.export(model, tmp_path / "model.tflite")
