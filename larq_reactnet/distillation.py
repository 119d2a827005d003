"""Teacher and student as one Keras model, trained by `model.fit`."""

from typing import Any

from larq_reactnet.losses import DistributionLoss

import tensorflow as tf

__all__ = ["Distiller"]


def ends_in_softmax(model: tf.keras.Model) -> bool:
    """Whether the outputs of `model` are probabilities and not logits."""
    last = model.layers[-1]
    is_softmax = getattr(last, "activation", None) is tf.keras.activations.softmax
    return is_softmax or isinstance(last, tf.keras.layers.Softmax)


class Distiller(tf.keras.Model):
    r"""Trains `student` to give the distribution that `teacher` gives.

    The loss is \\(\mathcal{L}_\text{distribution} + \lambda \mathcal{L}_\text{label}\\) plus the
    student's regularizers. As a Keras model the distiller *is* the student: `evaluate`, `predict`,
    validation, metrics and what is saved concern the student alone, and the teacher is frozen and
    runs in inference mode.

    !!! example
        ```python
        distiller = lr.Distiller(student, teacher)
        distiller.compile("adam", metrics=["accuracy"])
        distiller.fit(train, validation_data=test, epochs=10)
        distiller.save("student.h5")
        ```

    Args:
        student: Built model that ends in logits (`classifier_activation=None`).
        teacher: Built model of the same input and output shape that ends in logits.
        distribution_loss: Loss of (teacher logits, student logits).
        label_loss_weight: \\(\lambda\\) of the loss given to `compile`, which is a loss of
            (labels, student logits). ReActNet uses none, the default.
        **kwargs: Arguments of `tf.keras.Model`.

    Raises:
        ValueError: If a model ends in a softmax, or the shapes of the two differ.
    """

    def __init__(
        self,
        student: tf.keras.Model,
        teacher: tf.keras.Model,
        distribution_loss: tf.keras.losses.Loss | None = None,
        label_loss_weight: float = 0.0,
        **kwargs: Any,
    ):
        for role, model in (("student", student), ("teacher", teacher)):
            if ends_in_softmax(model):
                raise ValueError(
                    f"The {role} {model.name!r} ends in a softmax, but distillation is from logits "
                    "to logits: build it with `classifier_activation=None`."
                )
        if student.output_shape[1:] != teacher.output_shape[1:]:
            raise ValueError(
                f"The student gives {student.output_shape[1:]} and the teacher "
                f"{teacher.output_shape[1:]}: both must have the same classes."
            )
        super().__init__(**{"name": f"distilled_{student.name}", **kwargs})
        self.student = student
        self.label_loss_weight = label_loss_weight
        self.distribution_loss = distribution_loss or DistributionLoss()
        # In a tuple and behind a lambda, so that Keras does not count it as part of the model.
        self._teacher = lambda: teacher

    @property
    def teacher(self) -> tf.keras.Model:
        """The frozen model that is imitated."""
        return self._teacher()

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """The logits of the student."""
        return self.student(inputs, training=training)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of `fit`: the student learns from one batch."""
        x, y, sample_weight = tf.keras.utils.unpack_x_y_sample_weight(data)
        teacher_logits = tf.stop_gradient(self.teacher(x, training=False))
        with tf.GradientTape() as tape:
            logits = self.student(x, training=True)
            distribution_loss = self.distribution_loss(teacher_logits, logits, sample_weight)
            loss = tf.add_n([distribution_loss, *self.student.losses])
            if self.label_loss_weight:
                label_loss = self.compiled_loss(y, logits, sample_weight)
                loss += self.label_loss_weight * label_loss
        self.optimizer.minimize(loss, self.student.trainable_variables, tape=tape)
        metrics = self.compute_metrics(x, y, logits, sample_weight)
        return {**metrics, "loss": loss, "distribution_loss": distribution_loss}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the student; see `tf.keras.Model.save`."""
        self.student.save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Save the weights of the student; see `tf.keras.Model.save_weights`."""
        self.student.save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights into the student; see `tf.keras.Model.load_weights`."""
        return self.student.load_weights(*args, **kwargs)
