"""Teacher and student as one Keras model, trained by `model.fit`."""

from typing import Any

from larq_reactnet.losses import DistributionLoss

import tensorflow as tf

__all__ = ["Distiller"]


def ends_in_softmax(model: tf.keras.Model) -> bool:
    """Whether the outputs of `model` are probabilities and not logits."""
    last = model.layers[-1]
    if isinstance(last, tf.keras.Model):
        return ends_in_softmax(last)
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    return activation == "softmax" or isinstance(last, tf.keras.layers.Softmax)


def _full_precision(x: tf.Tensor) -> tf.Tensor:
    return tf.cast(x, tf.float32) if x.dtype.size < tf.float32.size else x


class Distiller(tf.keras.Model):
    r"""Trains `student` to give the distribution that `teacher` gives.

    The loss is \\(\mathcal{L}_\text{distribution} + \lambda \mathcal{L}_\text{label}\\) plus the
    student's regularizers. As a Keras model the distiller *is* the student: `evaluate`, `predict`,
    validation, metrics and what is saved concern the student alone, and the teacher is frozen and
    runs in inference mode.

    Where the teacher's logits are known, batches `(x, (y, logits))` save computing them.

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
        ValueError: If a model is not built or ends in a softmax, or their shapes differ.
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
            if not model.built or not hasattr(model, "output_shape"):
                raise ValueError(f"The {role} {model.name!r} must be a built Keras model.")
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
        # Behind a function, so that Keras does not count it as part of the model.
        self._teacher = lambda: teacher
        self._means = [tf.keras.metrics.Mean(name) for name in ("mean_loss", "mean_distribution")]
        self.build(student.input_shape)

    @property
    def teacher(self) -> tf.keras.Model:
        """The frozen model that is imitated."""
        return self._teacher()

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        """The means of the losses of training, and the compiled metrics."""
        return [*self._means, *super().metrics]

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """Configure the training; see `tf.keras.Model.compile`.

        Args:
            optimizer: Of the student.
            loss: Loss of (labels, student logits). It is what `evaluate` and validation report,
                and is part of the training with the weight `label_loss_weight`.
            **kwargs: Other arguments of `tf.keras.Model.compile`.

        Raises:
            ValueError: If there is a `label_loss_weight` but no `loss`.
        """
        if self.label_loss_weight and loss is None:
            raise ValueError(
                f"`label_loss_weight` is {self.label_loss_weight}, but `loss` is missing."
            )
        self._has_label_loss = loss is not None
        super().compile(optimizer, loss, **kwargs)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """The logits of the student."""
        return self.student(inputs, training=training)

    def teacher_logits(self, x: tf.Tensor) -> tf.Tensor:
        """What the teacher gives for the inputs `x`, in inference mode."""
        return _full_precision(self.teacher(x, training=False))

    def distillation_loss(
        self, teacher_logits: tf.Tensor, y: Any, logits: tf.Tensor, sample_weight: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss without the student's regularizers, and its part that imitates the teacher."""
        per_sample = self.distribution_loss.call(tf.stop_gradient(teacher_logits), logits)
        distribution_loss = tf.nn.compute_average_loss(per_sample, sample_weight)
        loss = distribution_loss
        if self.label_loss_weight:
            loss += self.label_loss_weight * self.compiled_loss(y, logits, sample_weight)
        return loss, distribution_loss

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of `fit`: the student learns from one batch."""
        x, y, sample_weight = tf.keras.utils.unpack_x_y_sample_weight(data)
        if isinstance(y, tuple):
            y, teacher_logits = y
        else:
            teacher_logits = self.teacher_logits(x)
        with tf.GradientTape() as tape:
            logits = _full_precision(self.student(x, training=True))
            loss, distribution_loss = self.distillation_loss(
                teacher_logits, y, logits, sample_weight
            )
            if self.student.losses:
                penalties = [tf.cast(penalty, logits.dtype) for penalty in self.student.losses]
                loss += tf.nn.scale_regularization_loss(tf.add_n(penalties))
        self.optimizer.minimize(loss, self.student.trainable_variables, tape=tape)
        for mean, value in zip(self._means, (loss, distribution_loss), strict=True):
            mean.update_state(value * tf.distribute.get_strategy().num_replicas_in_sync)
        logs = self._without_means(self.compute_metrics(x, y, logits, sample_weight))
        loss, distribution_loss = (mean.result() for mean in self._means)
        return {**logs, "loss": loss, "distribution_loss": distribution_loss}

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of `evaluate`: the compiled loss, if there is one, and metrics."""
        logs = self._without_means(super().test_step(data))
        if not self._has_label_loss:
            logs.pop("loss", None)
        return logs

    def _without_means(self, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {key: logs[key] for key in logs if key not in [m.name for m in self._means]}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the student; see `tf.keras.Model.save`."""
        self.student.save(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """Save the weights of the student; see `tf.keras.Model.save_weights`."""
        self.student.save_weights(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> Any:
        """Load weights into the student; see `tf.keras.Model.load_weights`."""
        return self.student.load_weights(*args, **kwargs)
