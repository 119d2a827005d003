"""Every recipe, the compiled model that it becomes, and a training with a teacher."""

import importlib.util
import json
from dataclasses import fields

import larq_reactnet as lr
from larq_reactnet.training.compiling import compiled
from larq_reactnet.training.optimizers import FusedAdam, TorchAdam
from larq_reactnet.training.preparing import prepared
from larq_reactnet.training.runs import Run
from larq_reactnet.training.schedules import schedule_of
from larq_reactnet.zoo import pretrained, recipes
from larq_reactnet.zoo.recipes import Recipe, Step, two_step

import numpy as np
import pytest
import tensorflow as tf
from helpers import binary_model

NAMES = recipes.list_recipes()


def test_values_are_kept_as_json_gives_them_back(tmp_path):
    """Else a run would not go on with the recipe that began it."""
    step = Step(epochs=2, learning_rate=1.0, milestones=(1,), options={"sizes": ({"a": (1,)},)})
    recipe = Recipe(model="quicknet", steps=(step,), options={"blocks": (2, (3, 4))})
    strategy = tf.distribute.get_strategy()
    _, _, kept = prepared(recipe, Run(tmp_path), None, strategy, strict=False)
    assert kept == json.loads(json.dumps(kept))
    assert kept["options"]["blocks"] == [2, [3, 4]]


@pytest.mark.parametrize("name", NAMES)
def test_recipe(name):
    recipe, text = recipes.load(name), recipes.text_of(name)
    for mark in ("\nPaper: ", "\nMeasured: ", "Departures"):
        assert mark in text
    assert Recipe(**json.loads(json.dumps(recipe.as_dict()))) == recipe
    known = lr.zoo.get(recipe.model).arguments.keys()
    assert recipe.options.keys() <= known
    for step in recipe.steps:
        assert step.options.keys() <= known
        rate = schedule_of(step, 10)
        assert float(rate(10 * step.epochs)) < step.learning_rate / 5
        if "imagenet" in name and recipe.model.startswith("reactnet"):  # as in the official code
            assert step.optimizer == "torch_adam"
        if step.weight_decay:
            assert step.decay_classifier == recipe.model.startswith("resnet")
    if recipe.teacher:
        teacher = recipes.load(recipe.teacher)
        assert teacher.teacher is None
        assert (teacher.dataset, teacher.image_size) == (recipe.dataset, recipe.image_size)


@pytest.mark.parametrize("row", [row for row in pretrained.list_weights() if row.recipe])
def test_recipe_of_shipped_weights(row):
    """The recipe says of itself what the table of weights says."""
    recipe, text = recipes.load(row.recipe), recipes.text_of(row.recipe)
    assert (recipe.model, recipe.dataset, recipe.seed) == (row.model, row.dataset, row.seed)
    assert f"Measured: {row.top1:.2f} %" in text
    assert row.date in text
    assert len(row.commit) == 40


def test_unknown_recipe():
    with pytest.raises(ValueError, match=r"No recipe is called 'reactnet18_cifar'.*Did you mean"):
        recipes.load("reactnet18_cifar")
    with pytest.raises(ValueError, match="No recipe is called '_recipe'"):
        recipes.load("_recipe")


# Values.

TWO = two_step("reactnet_a", options={"width": 0.5}, seed=3)


def test_two_step():
    first, second = TWO.steps
    assert (first.options, second.options) == ({"binary_weights": False}, {})
    assert (first.epochs, second.epochs, TWO.seed) == (6, 8, 3)
    assert len(two_step("reactnet_a", step1_epochs=0).steps) == 1


def test_with_values():
    changed = TWO.with_values(
        {"batch_size": 7, "width": 1.0, "stem_strides": 1, "step2.epochs": 20, "step1.warmup": 1}
    )
    assert changed.batch_size == 7
    assert changed.options == {"width": 1.0, "stem_strides": 1}
    assert [step.epochs for step in changed.steps] == [6, 20]
    assert [step.warmup for step in changed.steps] == [1, 0]
    assert TWO.options == {"width": 0.5}
    assert TWO.with_values({"precision": "auto"}).precision == "auto"
    assert TWO.with_values({"ema": 0.9, "early_stopping": 3}).ema == 0.9
    checked = {"model", "steps", "options", "precision", "ema", "early_stopping"}
    for name in {field.name for field in fields(Recipe)} - checked:
        assert getattr(TWO.with_values({name: "new"}), name) == "new"


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"step3.epochs": 1}, "no 'step3'"),
        ({"step0.epochs": 1}, "no 'step0'"),
        ({"stepx.epochs": 1}, "no 'stepx'"),
        ({"step1.depth": 1}, "'step1.depth' is not a value of a step: there is epochs, learning"),
        ({"step1.epoch": 1}, "Did you mean 'epochs'"),
        (
            {"widht": 1},
            "'widht' is neither a value of a recipe nor an argument of reactnet_a",
        ),
        ({"widht": 1}, "Did you mean 'width'"),
        ({"batchsize": 1}, "Did you mean 'batch_size'"),
        ({"steps": []}, "not a value to change"),
        ({"model": "x"}, "not a value to change"),
        ({"step1.epochs": 0}, "Cannot train for 0 epochs"),
        ({"step1.warmup": 7}, "7 to warm up"),
        ({"step1.learning_rate": float("inf")}, "`learning_rate` must be"),
        ({"step1.weight_decay": -1.0}, "`weight_decay` must be"),
        ({"step1.optimizer": "lamb"}, "`optimizer` must be one of"),
        ({"step1.schedule": "poly"}, "`schedule` must be one of"),
        ({"label_smoothing": 0.1}, "is a value of a step: give 'step1.label_smoothing'"),
        ({"step1.label_smoothing": 1.0}, "`label_smoothing` must be"),
        ({"step1.label_smoothing": -0.1}, "`label_smoothing` must be"),
    ],
)
def test_bad_values(values, match):
    with pytest.raises(ValueError, match=match):
        TWO.with_values(values)


def test_no_steps():
    with pytest.raises(ValueError, match="at least one step"):
        Recipe(model="reactnet_a", steps=())


# What they become.


@pytest.mark.parametrize("warmup", [0, 0.5, 2])
@pytest.mark.parametrize("schedule", ["linear", "cosine", "tenths"])
def test_schedule(schedule, warmup):
    step = Step(epochs=6, learning_rate=0.5, schedule=schedule, warmup=warmup, milestones=(3, 5))
    rate = schedule_of(step, 10)
    for batch in range(60):
        progress = (batch - 10 * warmup) / (60 - 10 * warmup)
        factor = {
            "linear": 1 - progress,
            "cosine": (1 + np.cos(np.pi * progress)) / 2,
            "tenths": 0.1 ** ((batch >= 30) + (batch >= 50)),
        }[schedule]
        if batch < 10 * warmup:
            factor = batch / (10 * warmup)
        wanted = pytest.approx(0.5 * factor, rel=1e-5, abs=1e-7)
        assert float(rate(tf.constant(batch, tf.int64))) == wanted


@pytest.mark.parametrize(("warmup", "peak"), [(0, 18), (0.5, 5), (6, 60)])
def test_one_cycle(warmup, peak):
    """Two halves of a cosine: from a 25th to the rate, by default in 30 % of all, and to 0."""
    rate = schedule_of(Step(epochs=6, learning_rate=0.5, schedule="one_cycle", warmup=warmup), 10)
    for batch in range(61):
        if batch < peak:
            factor = 0.04 + 0.96 * np.sin(np.pi / 2 * batch / peak) ** 2
        else:
            factor = np.cos(np.pi / 2 * (batch - peak) / max(1, 60 - peak)) ** 2
        wanted = pytest.approx(0.5 * factor, rel=1e-5, abs=1e-7)
        assert float(rate(tf.constant(batch, tf.int64))) == wanted
    twin = type(rate).from_config(rate.get_config())
    assert float(twin(7)) == float(rate(7))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is missing")
def test_one_cycle_is_that_of_pytorch():
    """Which is at its highest rate one batch earlier, and at the end not quite at 0."""
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.5, total_steps=1000, cycle_momentum=False
    )
    ours = schedule_of(Step(epochs=10, learning_rate=0.5, schedule="one_cycle"), 100)
    for batch in range(1000):
        assert float(ours(batch)) == pytest.approx(theirs.get_last_lr()[0], abs=2e-3)
        optimizer.step()
        theirs.step() if batch < 999 else None


@pytest.mark.parametrize("values", [{}, {"mixup": 0.2}, {"cutmix": 1.0}])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss(smoothing, values):
    """Recipes with neither of these have the loss that they always had."""
    step = Step(epochs=1, learning_rate=0.1, label_smoothing=smoothing)
    model = compiled(binary_model(), TWO.with_values(values), step, 1)
    if smoothing or values:
        assert isinstance(model.loss, lr.losses.SoftCategoricalCrossentropy)
        assert model.loss.get_config()["label_smoothing"] == smoothing
        assert not model.loss.get_config()["from_logits"]
    else:
        assert isinstance(model.loss, tf.keras.losses.SparseCategoricalCrossentropy)
    if smoothing and values:
        teacher = binary_model()
        taught = compiled(binary_model(), TWO.with_values(values), step, 1, teacher)
        assert taught.loss.get_config()["from_logits"]


def test_weight_decay(rng):
    """Its gradient is `weight_decay` times the latent kernels, and 0 for all others."""
    model = binary_model(kernel_initializer="glorot_normal")
    step = Step(epochs=1, learning_rate=1.0, weight_decay=0.3)
    compiled(model, TWO, step, 1)
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.losses)
    variables = model.trainable_variables
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        if "kernel" in variable.name:
            np.testing.assert_allclose(gradient, 0.3 * variable, rtol=1e-5)
        else:
            assert gradient is None
    assert sum("kernel" in variable.name for variable in variables) == 3


def test_the_classifier_may_keep_its_weights():
    model = binary_model()
    step = Step(epochs=1, learning_rate=1.0, weight_decay=0.3, decay_classifier=False)
    compiled(model, TWO, step, 1)
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.losses)
    variables = model.trainable_variables
    pairs = zip(variables, tape.gradient(loss, variables), strict=True)
    names = [variable.name for variable, gradient in pairs if gradient is not None]
    assert names == ["stem/kernel:0", "binary/kernel:0"]


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        ({"optimizer": "adam"}, "FusedAdam", {"epsilon": 1e-7}),
        ({"optimizer": "torch_adam"}, "TorchAdam", {"epsilon": 1e-8}),
        ({"optimizer": "sgd"}, "SGD", {"momentum": 0.9, "nesterov": True}),
        ({"optimizer": "sgd", "nesterov": False}, "SGD", {"momentum": 0.9, "nesterov": False}),
    ],
)
def test_optimizer(values, kind, wanted):
    model = compiled(binary_model(), TWO, Step(epochs=1, learning_rate=0.1, **values), 1)
    assert type(model.optimizer).__name__ == kind
    assert model.optimizer.get_config().items() >= wanted.items()


@pytest.mark.parametrize("options", [{}, {"amsgrad": True}, {"weight_decay": 0.01}])
def test_fused_adam_is_keras_adam(options, rng):
    gradients = rng.normal(size=(20, 5)) * [1, 1e-4, 1e-7, 1e-8, 1e-9]
    weights = [tf.Variable(np.ones(5)) for _ in range(2)]
    optimizers = [kind(0.1, **options) for kind in (FusedAdam, tf.keras.optimizers.Adam)]
    for gradient in gradients:
        for optimizer, weight in zip(optimizers, weights, strict=True):
            optimizer.apply_gradients([(tf.constant(gradient), weight)])
    np.testing.assert_allclose(*weights, rtol=1e-12)
    for ours, theirs in zip(*(optimizer.variables for optimizer in optimizers), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_torch_adam(rng):
    """PyTorch's formula, in NumPy, with gradients that epsilon matters to."""
    gradients = rng.normal(size=(20, 5)) * [1, 1e-4, 1e-7, 1e-8, 1e-9]
    weight, m, v = np.ones(5), np.zeros(5), np.zeros(5)
    ours, keras = tf.Variable(weight), tf.Variable(weight)
    optimizers = [TorchAdam(0.1), tf.keras.optimizers.Adam(0.1)]
    for t, gradient in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weight -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        for optimizer, variable in zip(optimizers, (ours, keras), strict=True):
            optimizer.apply_gradients([(tf.constant(gradient), variable)])
    # Keras rounds beta_2 to float32, so that 1 - beta_2 has five digits.
    np.testing.assert_allclose(ours, weight, rtol=2e-5)
    assert np.abs(keras - weight)[2] > 0.1
    assert type(TorchAdam.from_config(optimizers[0].get_config())) is TorchAdam
    assert optimizers[0].get_config()["epsilon"] == 1e-8


def test_constant_learning_rate():
    rate = schedule_of(Step(epochs=2, learning_rate=0.5, schedule="tenths"), 10)
    assert [float(rate(tf.constant(batch, tf.int64))) for batch in (0, 1, 19, 1000)] == [0.5] * 4


# With a teacher.


@pytest.fixture
def taught(monkeypatch, few_digits):
    """A recipe whose teacher is a tiny network on digits."""
    teacher = Recipe(
        model="alexnet",
        options={"width": 0.05},
        batch_size=64,
        steps=(Step(epochs=1, learning_rate=0.05, optimizer="sgd", warmup=1),),
    )
    load = recipes.load
    monkeypatch.setattr(recipes, "load", lambda name: teacher if name == "tiny" else load(name))
    return two_step(
        "bnn_plus_alexnet",
        options={"width": 0.05},
        step1_epochs=0,
        epochs=1,
        batch_size=256,
        teacher="tiny",
        label_loss_weight=0.5,
        image_size=16,
        holdout=100,
    )


@pytest.mark.slow
def test_teacher_is_trained_first(taught, tmp_path, capsys):
    model = lr.training.train(taught, tmp_path / "run", verbose=0)
    teacher = Run(tmp_path / "run" / "teacher").read()["arguments"]
    assert (teacher["model"], teacher["image_size"], teacher["holdout"]) == ("alexnet", 16, 100)
    assert model.output_shape == (None, 10)
    assert model.layers[-1].activation.__name__ == "softmax"
    before = (tmp_path / "run" / "weights.h5").read_bytes()
    other = lr.training.train(
        taught, tmp_path / "other", teacher=tmp_path / "run" / "teacher", verbose=0
    )
    assert not (tmp_path / "other" / "teacher").exists()
    images = np.linspace(-1, 1, 16 * 16 * 3, dtype=np.float32).reshape(1, 16, 16, 3)
    assert np.isfinite(other(images)).all()
    lr.training.train(taught, tmp_path / "run")
    assert (tmp_path / "run" / "weights.h5").read_bytes() == before
    assert "Step" not in capsys.readouterr().out
