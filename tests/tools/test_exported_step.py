"""The exported training step against the one that `model.fit` runs, in float64.

XLA runs what is exported as a function of values only, without the model.
"""

import json

import larq_reactnet as lr
from larq_reactnet._graph.calls import rebuild
from larq_reactnet.training.compiling import compiled
from larq_reactnet.zoo.recipes import Recipe, Step

import larq as lq
import numpy as np
import pytest
import tensorflow as tf
from exported_step import export_step, programs_of

# Private, in this test only: TensorFlow has no public way to run a program of XLA.
from tensorflow.compiler.tf2xla.python.xla import call_module

layers = tf.keras.layers

BATCH, STEPS, CLASSES = 8, 4, 4
# Learning rates are NumPy numbers, so that the schedules are in float64 too.
ADAM = Step(epochs=3, warmup=1, learning_rate=np.float64(1e-2), weight_decay=1e-3)
SGD = Step(epochs=3, schedule="cosine", learning_rate=np.float64(0.1), optimizer="sgd")


@pytest.fixture(autouse=True)
def _float64():
    tf.keras.backend.set_floatx("float64")
    tf.keras.mixed_precision.set_global_policy("float64")
    yield
    tf.keras.backend.set_floatx("float32")


def alexnet():
    """A network of the zoo, with BNN+'s trainable scales and regularizers."""
    model = lr.zoo.create(
        "bnn_plus_alexnet",
        width=0.05,
        input_shape=(32, 32, 3),
        num_classes=CLASSES,
        strength=1e-3,
    )
    return rebuild(model, dtype="float64")  # the softmax of the zoo is in float32


def block(activation=None):
    """A small network of the layers of ReActNet."""
    conv = lq.layers.QuantConv2D(
        8,
        3,
        padding="same",
        use_bias=False,
        input_quantizer=lr.quantizers.RSign(),
        kernel_quantizer="react_sign",
        kernel_constraint="weight_clip",
    )
    stem = layers.Conv2D(8, 3, strides=2, use_bias=False)
    top = layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, activation=activation)
    norm = layers.BatchNormalization
    return tf.keras.Sequential(
        [layers.Input((12, 12, 3)), stem, norm(), conv, norm(), lr.layers.RPReLU(), *top]
    )


def teacher():
    stack = layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()
    top = layers.GlobalAveragePooling2D(), layers.Dense(CLASSES)
    return tf.keras.Sequential([layers.Input((12, 12, 3)), *stack, *top])


def model_of(network, step, teacher=None, label_loss_weight=0.0):
    """A compiled model, as a recipe gives it, for two batches per epoch."""
    recipe = Recipe(model="any", steps=(step,), label_loss_weight=label_loss_weight)
    return compiled(network, recipe, step, 2, teacher)


def batches(shape, rng, count=STEPS):
    for _ in range(count):
        yield rng.normal(size=(BATCH, *shape)), rng.integers(0, CLASSES, BATCH, np.int32)


def function_of(program, *shapes):
    """The program, compiled by XLA: a function of inputs and values to results and new values."""
    module = program.ir(stage="stablehlo_serialized")
    types = [tf.float64 for _ in shapes] + [variable.dtype for variable in program.updated]
    shapes = [*shapes, *[variable.shape for variable in program.updated]]
    count = len(shapes) - len(program.updated)

    @tf.function
    def call(*arguments):
        return call_module(
            arguments, version=5, module=module, Tout=types, Sout=shapes, platforms=["CPU"]
        )

    def run(inputs, values):
        results = [np.asarray(result) for result in call(*inputs, *values)]
        new = dict(zip(map(id, program.updated), results[count:], strict=True))
        pairs = zip(program.state, values, strict=True)
        return results[:count], [new.get(id(variable), value) for variable, value in pairs]

    return run


def values_of(program):
    return [variable.numpy() for variable in program.state]


def compare(program, run, model, batch, values, compared=None):
    """Check that both make the same step from `values`, and return the new values."""
    for variable, value in zip(program.state, values, strict=True):
        variable.assign(value)
    (loss, accuracy), after = run(batch, values)
    for variable, value in zip(program.state, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)  # because it ran without the model
    logs = model.fit(*batch, batch_size=BATCH, epochs=1, shuffle=False, verbose=0).history
    close = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose([loss, accuracy], [logs["loss"][0], logs["accuracy"][0]], **close)
    for variable, value in zip(program.state, after, strict=True):
        if compared is None or id(variable) in compared:
            np.testing.assert_allclose(value, variable.numpy(), err_msg=variable.name, **close)
    return after


def own(network):
    return {id(getattr(variable, "latent_variable", variable)) for variable in network.variables}


@pytest.mark.slow
@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: model_of(alexnet(), ADAM), id="adam"),
        pytest.param(lambda: model_of(block("softmax"), SGD), id="sgd"),
        pytest.param(lambda: model_of(block(), ADAM, teacher(), 0.3), id="distiller"),
    ],
)
def test_is_the_step_of_fit(build, rng):
    model = build()
    network = getattr(model, "student", model)
    program, inference = programs_of(model, BATCH)
    known = {id(variable) for variable in program.state}
    assert own(network) | {id(slot) for slot in model.optimizer.variables} <= known

    values = first = values_of(program)
    run = function_of(program, (), ())
    rates = set()
    for batch in batches(network.input_shape[1:], rng):
        values = compare(program, run, model, batch, values)
        rates.add(float(model.optimizer.learning_rate))
    assert len(rates) > 2
    triples = zip(program.state, first, values, strict=True)
    assert own(network) <= {id(variable) for variable, a, b in triples if (a != b).any()}
    if network is not model:
        teacher_variables = {id(variable) for variable in model.teacher.variables}
        assert teacher_variables <= known
        assert not teacher_variables & {id(variable) for variable in program.updated}

    (found,), _ = function_of(inference, (BATCH, CLASSES))(batch[:1], values_of(inference))
    np.testing.assert_allclose(found, network.predict(batch[0], verbose=0), rtol=1e-9)


RATE = np.float64(1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "same"),
    [
        (Step(epochs=3, learning_rate=RATE), True),
        (Step(epochs=3, learning_rate=RATE * (1 + 1e-5)), False),
        (Step(epochs=3, learning_rate=RATE, weight_decay=1e-7), False),
    ],
    ids=["same", "rate", "decay"],
)
def test_comparison_finds_another_step(other, same, rng):
    """The model that `fit` trains is compiled again, with the same step or with another one."""
    network = block("softmax")
    program, _ = programs_of(model_of(network, Step(epochs=3, learning_rate=RATE)), BATCH)
    model = model_of(network, other)
    batch = next(batches((12, 12, 3), rng))
    arguments = program, function_of(program, (), ()), model, batch, values_of(program)
    if same:
        compare(*arguments, own(network))
    else:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            compare(*arguments, own(network))


@pytest.mark.slow
def test_files(tmp_path, rng):
    model = model_of(block(), ADAM, teacher(), 0.3)
    model.fit(*next(batches((12, 12, 3), rng)), verbose=0)
    before = model.student.get_weights()
    folder = tmp_path / "step"
    meta = export_step(model, BATCH, folder, mean=(1, 2, 3), std=np.ones(3))
    for a, b in zip(before, model.student.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)

    names = {"train.hlo", "eval.hlo", "meta.json", "weights.npz.00"}
    assert {path.name for path in tmp_path.rglob("*")} == {"step", *names}
    assert meta == json.loads((folder / "meta.json").read_text())
    assert (meta["mean"], meta["std"], meta["batch"]) == ([1, 2, 3], [1, 1, 1], BATCH)
    assert meta["image"] == {"shape": [12, 12, 3], "dtype": "float64"}

    program, inference = programs_of(model, BATCH)
    with np.load(folder / "weights.npz.00") as archive:
        state = [
            archive.get(f"s{index}", np.zeros(entry["shape"], entry["dtype"]))
            for index, entry in enumerate(meta["state"])
        ]
    for part, name in ((program, "train"), (inference, "eval")):
        for index, variable in zip(meta[name]["state"], part.state, strict=True):
            entry = meta["state"][index]
            assert (entry["name"], entry["dtype"]) == (variable.name, variable.dtype.name)
            np.testing.assert_array_equal(state[index], variable.numpy())
            assert list(state[index].shape) == entry["shape"]
    updated = [meta["state"][index]["name"] for index in meta["train"]["updated"]]
    assert updated == [variable.name for variable in program.updated]
    unread = meta["learning_rate_state"]
    assert unread not in {*meta["train"]["state"], *meta["eval"]["state"]}
    indices = [entry["model_index"] for entry in meta["state"]]
    for number, variable in enumerate(model.student.variables):
        np.testing.assert_array_equal(state[indices.index(number)], variable.numpy())

    with pytest.raises(ValueError, match="exists: give another folder"):
        export_step(model, BATCH, folder, mean=(0,), std=(1,))


def test_no_files_if_it_fails(tmp_path):
    model = model_of(block("softmax"), SGD)
    with pytest.raises(ValueError, match="could not convert"):
        export_step(model, BATCH, tmp_path / "step", mean="?", std=(1,))
    with pytest.raises(FileNotFoundError):
        export_step(model, BATCH, tmp_path / "none" / "step", mean=(0,), std=(1,))
    assert not [*tmp_path.iterdir()]


def test_refusals():
    network = block("softmax")
    with pytest.raises(ValueError, match="is not compiled: call"):
        programs_of(network, BATCH)
    network.compile(tf.keras.optimizers.legacy.SGD(), "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="The optimizer SGD is a legacy one"):
        programs_of(network, BATCH)
    network.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="metrics="):
        programs_of(network, BATCH)


def test_refuses_tensors_that_are_no_variables():
    numbers = tf.random.normal((12, 12, 3))
    shift = layers.Lambda(lambda x: x + tf.cast(numbers, x.dtype))
    top = layers.Flatten(), layers.Dense(CLASSES)
    model = tf.keras.Sequential([layers.Input((12, 12, 3)), shift, *top])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with pytest.raises(
        ValueError, match=r"a float32 tensor of shape \(12, 12, 3\) that is not a v"
    ):
        programs_of(model, BATCH)


def test_warns_of_random_numbers():
    top = layers.Flatten(), layers.Dropout(0.5), layers.Dense(CLASSES)
    model = tf.keras.Sequential([layers.Input((12, 12, 3)), *top])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with pytest.warns(UserWarning, match="draws random numbers"):
        programs_of(model, BATCH)
