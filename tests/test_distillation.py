"""The distiller: what is trained, what is evaluated, what is saved."""

import larq_reactnet as lr
from larq_reactnet import Distiller
from larq_reactnet.losses import distribution_loss

import numpy as np
import pytest
import tensorflow as tf
from helpers import assert_same_outputs, binary_model

LABEL_LOSS = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def float_model():
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(8, 3),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )


@pytest.fixture
def batch(rng):
    return rng.normal(size=(16, 8, 8, 3)).astype(np.float32), rng.integers(0, 4, 16)


@pytest.mark.parametrize("are_soft", [False, True])
def test_step_is_a_gradient_step_of_the_loss(batch, are_soft, rng):
    """A step of SGD is the same as one that is written out here, also with smoothed soft labels."""
    images, labels = batch
    label_loss, metric, smoothed = LABEL_LOSS, "accuracy", tf.one_hot(labels, 4)
    if are_soft:
        labels = rng.dirichlet(np.ones(4), 16).astype(np.float32)
        label_loss = lr.losses.SoftCategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
        metric, smoothed = lr.metrics.SoftCategoricalAccuracy(), 0.8 * labels + 0.05
    student = binary_model(kernel_regularizer=lr.regularizers.R2(0.1, alpha=0.2))
    twin = tf.keras.models.clone_model(student)
    twin.set_weights(student.get_weights())
    teacher = float_model()
    with tf.GradientTape() as tape:
        logits = twin(images, training=True)
        loss = tf.reduce_mean(distribution_loss(teacher(images, training=False), logits, 2.0))
        by_labels = tf.nn.softmax_cross_entropy_with_logits(smoothed, logits)
        loss += 0.3 * tf.reduce_mean(by_labels) + tf.add_n(twin.losses)
    tf.keras.optimizers.SGD(0.1).minimize(loss, twin.trainable_variables, tape=tape)

    distiller = Distiller(student, teacher, lr.losses.DistributionLoss(2.0), label_loss_weight=0.3)
    distiller.compile(tf.keras.optimizers.SGD(0.1), label_loss, metrics=[metric])
    logs = distiller.train_on_batch(images, labels, return_dict=True)
    assert logs["loss"] == pytest.approx(float(loss), rel=1e-5)
    right = np.argmax(logits, -1) == (np.argmax(labels, -1) if are_soft else labels)
    assert logs["accuracy"] == pytest.approx(right.mean())
    for found, expected in zip(student.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_fit_imitates_the_teacher_and_leaves_it_alone(batch):
    images, labels = batch
    student, teacher = binary_model(), float_model()
    before = [np.copy(weight) for weight in teacher.get_weights()]
    distiller = Distiller(student, teacher)
    distiller.compile(tf.keras.optimizers.Adam(0.01), metrics=["accuracy"])
    seen = []
    record = tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    history = distiller.fit(
        images, labels, epochs=30, verbose=0, validation_data=batch, callbacks=[record]
    ).history
    assert len(seen) == 30
    assert set(history) == {
        "loss",
        "distribution_loss",
        "accuracy",
        "val_accuracy",
    }
    assert history["distribution_loss"][-1] < history["distribution_loss"][0]
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    trained = {id(w) for w in distiller.trainable_weights}
    assert trained == {id(w) for w in student.trainable_weights}


def test_evaluation_is_of_the_student_alone(batch):
    images, labels = batch
    student = binary_model()
    distiller = Distiller(student, float_model())
    distiller.compile("adam", LABEL_LOSS, metrics=["accuracy"])
    student.compile("adam", LABEL_LOSS, metrics=["accuracy"])
    assert distiller.evaluate(images, labels, verbose=0) == pytest.approx(
        student.evaluate(images, labels, verbose=0)
    )
    np.testing.assert_array_equal(
        distiller.predict(images, verbose=0), student.predict(images, verbose=0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["h5", "tf", "keras"])
def test_saving_saves_the_student(how, batch, tmp_path):
    student = binary_model()
    distiller = Distiller(student, float_model())
    distiller.compile("adam")
    path = str(tmp_path / ("model" if how == "tf" else f"model.{how}"))
    checkpoint = tf.keras.callbacks.ModelCheckpoint(path, save_format=how)
    distiller.fit(*batch, verbose=0, callbacks=[checkpoint])
    twin = tf.keras.models.load_model(path)
    assert_same_outputs(student, twin, batch[0])
    distiller.save_weights(str(tmp_path / "weights.h5"))
    fresh = binary_model()
    fresh.load_weights(str(tmp_path / "weights.h5"))
    assert_same_outputs(student, fresh, batch[0])
    Distiller(fresh, float_model()).load_weights(str(tmp_path / "weights.h5"))


def test_losses_are_means_over_the_epoch(batch):
    images, labels = batch
    distiller = Distiller(binary_model(), float_model())
    distiller.compile(tf.keras.optimizers.SGD(0.0), LABEL_LOSS)
    per_batch = [
        distiller.train_on_batch(images[i : i + 4], labels[i : i + 4], reset_metrics=True)[0]
        for i in range(0, 16, 4)
    ]
    history = distiller.fit(images, labels, batch_size=4, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(np.mean(per_batch), rel=1e-5)
    assert len(set(per_batch)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "float64", "mixed_float16"])
def test_in_a_distribution_strategy(policy, batch):
    tf.keras.mixed_precision.set_global_policy(policy)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        student = binary_model(kernel_regularizer="l2")
        distiller = Distiller(student, float_model())
        distiller.compile(tf.keras.optimizers.Adam(0.01), metrics=["accuracy"])
    before = student.get_weights()[0]
    history = distiller.fit(*batch, epochs=2, verbose=0, validation_data=batch).history
    assert np.isfinite(history["loss"]).all()
    assert (student.get_weights()[0] != before).any()


def test_label_loss_weight_needs_a_loss():
    distiller = Distiller(binary_model(), float_model(), label_loss_weight=0.5)
    with pytest.raises(ValueError, match="`loss` is missing"):
        distiller.compile("adam")


def test_sample_weights(batch):
    images, labels = batch
    distiller = Distiller(binary_model(), float_model())
    distiller.compile(tf.keras.optimizers.SGD(0.0))
    logs = distiller.train_on_batch(images, labels, np.zeros(16), return_dict=True)
    assert logs["distribution_loss"] == 0


def test_refuses_softmax_and_other_classes():
    softmax = tf.keras.Sequential([float_model(), tf.keras.layers.Softmax()])
    activation = tf.keras.Sequential([float_model(), tf.keras.layers.Activation("softmax")])
    with pytest.raises(ValueError, match="must be a built Keras model"):
        Distiller(softmax, float_model())
    softmax.build((None, 8, 8, 3))
    activation.build((None, 8, 8, 3))
    for student, teacher in ((activation, float_model()), (float_model(), softmax)):
        with pytest.raises(ValueError, match="ends in a softmax"):
            Distiller(student, teacher)
    layers = tf.keras.layers
    five = tf.keras.Sequential([layers.Input((8, 8, 3)), layers.Flatten(), layers.Dense(5)])
    with pytest.raises(ValueError, match="same classes"):
        Distiller(float_model(), five)
