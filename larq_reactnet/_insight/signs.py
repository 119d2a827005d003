"""Signs and gradients of a model on held images: one pass forward and one back, not in a graph."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from larq_reactnet._insight.held import Held
from larq_reactnet._insight.places import Kernel, Sign
from larq_reactnet.distillation import Distiller

import numpy as np
import tensorflow as tf

__all__ = ["Pass", "look"]

_COPYING = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.ParameterServerStrategy,
    tf.distribute.TPUStrategy,
)


@dataclass
class Calls:
    """What a quantizer was given and gave, in each of its calls."""

    inputs: list[tf.Tensor] = field(default_factory=list)
    outputs: list[tf.Tensor] = field(default_factory=list)

    def of(self, quantizer: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
        """The quantizer, whose calls are kept."""

        def kept(inputs: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
            # Of a variable, which Keras casts in mixed precision, the tape sees what was read.
            inputs = tf.convert_to_tensor(inputs)
            outputs = quantizer(inputs, *args, **kwargs)
            # In a function that TensorFlow traces there are no values.
            if not tf.is_symbolic_tensor(outputs):
                self.inputs.append(inputs)
                self.outputs.append(outputs)
            return outputs

        return kept


@dataclass(frozen=True)
class Pass:
    """What was seen.

    Attributes:
        classes: Number of outputs of the model, if these are a list for each image.
        signs: What the file says of each binary activation that was called.
        kernels: The gradients of each binary kernel that was called.
        gradient_norm: Euclidean norm of the gradient of all trained weights, or `None`.
    """

    classes: int | None
    signs: dict[str, dict[str, Any]]
    kernels: dict[str, dict[str, Any]]
    gradient_norm: float | None


def look(model: tf.keras.Model, signs: list[Sign], kernels: list[Kernel], held: Held) -> Pass:
    """Run the model on held images as in inference. Nothing of the model is changed."""
    sign_calls, kernel_calls = [Calls() for _ in signs], [Calls() for _ in kernels]
    with ExitStack() as stack:
        for sign, calls in zip(signs, sign_calls, strict=True):
            stack.enter_context(_replaced(sign.layer, sign.attribute, calls.of))
        for kernel, calls in zip(kernels, kernel_calls, strict=True):
            stack.enter_context(_replaced(kernel.variable, "quantizer", calls.of))
        tape = stack.enter_context(tf.GradientTape())
        tape.watch([part for part in tf.nest.flatten(held.inputs) if part.dtype.is_floating])
        outputs, loss = _outputs_and_loss(model, held, tape)
        scaled, scale = _scaled(model, loss)
    every = [*sign_calls, *kernel_calls]
    weights = model.trainable_variables
    inputs, given = [calls.inputs for calls in every], [calls.outputs for calls in every]
    of_weights: list[Any] = []
    of_inputs: list[list[Any]] = [[None] * len(tensors) for tensors in inputs]
    of_given = of_inputs
    if scaled is not None:
        of_weights, of_inputs, of_given = tape.gradient(scaled, [weights, inputs, given])
    ways = [_through(one, other, scale) for one, other in zip(of_inputs, of_given, strict=True)]
    shape = tuple(getattr(outputs, "shape", ()))
    return Pass(
        classes=int(shape[-1]) if len(shape) == 2 else None,
        signs={
            sign.name: {**_shares(calls.outputs), **way}
            for sign, calls, way in zip(signs, sign_calls, ways, strict=False)
            if calls.outputs
        },
        kernels={
            kernel.name: way
            for kernel, calls, way in zip(kernels, kernel_calls, ways[len(signs) :], strict=True)
            if calls.outputs
        },
        gradient_norm=None if scaled is None else _norm(of_weights) / scale,
    )


@contextmanager
def _replaced(owner: Any, attribute: str, by: Callable[[Any], Any]) -> Iterator[None]:
    """Give `owner` another attribute, behind the back of Keras, which tracks what layers have."""
    before = vars(owner).get(attribute)
    vars(owner)[attribute] = by(getattr(owner, attribute))
    try:
        yield
    finally:
        if before is None:  # a method, which is that of the class again
            del vars(owner)[attribute]
        else:
            vars(owner)[attribute] = before


def _outputs_and_loss(
    model: tf.keras.Model, held: Held, tape: tf.GradientTape
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """The outputs, and the loss without penalties of weights; `None` where it is not known."""
    # Where variables are copied to replicas, also to a single one, only a step can add up losses.
    is_alone = not isinstance(model.distribute_strategy, _COPYING)
    if isinstance(model, Distiller) and is_alone:
        with tape.stop_recording():
            teacher_logits = model.teacher_logits(held.inputs)
        outputs = model(held.inputs, training=False)
        logits = tf.cast(outputs, teacher_logits.dtype)
        loss, _ = model.distillation_loss(teacher_logits, held.labels, logits, held.weights)
        return outputs, loss
    outputs = model(held.inputs, training=False)
    # A model with a step of its own may be trained for anything.
    has_own_step = type(model).train_step is not tf.keras.Model.train_step
    if held.labels is None or has_own_step or not is_alone or model.loss is None:
        return outputs, None
    return outputs, model.compiled_loss(held.labels, outputs, held.weights)


def _scaled(model: tf.keras.Model, loss: tf.Tensor | None) -> tuple[tf.Tensor | None, float]:
    """The loss times the factor that keeps gradients in float16 from vanishing, and the factor."""
    optimizer = model.optimizer
    is_scaled = isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer)
    if loss is not None and is_scaled:
        return optimizer.get_scaled_loss(loss), float(optimizer.loss_scale)
    return loss, 1.0


def _shares(outputs: list[tf.Tensor]) -> dict[str, Any]:
    """How often each channel, the last axis, was +1, over all calls."""
    positive: Any = 0.0
    positions = 0
    for output in outputs:
        flat = tf.reshape(output, (-1, output.shape[-1]))
        positive += tf.math.count_nonzero(flat > 0, axis=0).numpy()
        positions += int(flat.shape[0])
    return {"channels": positive / positions, "positions": positions}


def _through(
    inputs: list[tf.Tensor | None], outputs: list[tf.Tensor | None], scale: float
) -> dict[str, float | None]:
    """What becomes of a gradient on its way back through a quantizer."""
    pairs = [
        (tf.cast(i, tf.float32), tf.cast(o, tf.float32))
        for i, o in zip(inputs, outputs, strict=True)
        if i is not None and o is not None
    ]
    if not pairs:
        return {"gradient": None, "passed": None, "mismatch": None}
    before, after = _norm([o for _, o in pairs]), _norm([i for i, _ in pairs])
    product = float(tf.add_n([tf.reduce_sum(i * o) for i, o in pairs]))
    is_zero = not before or not after
    return {
        "gradient": after / scale,
        "passed": after / before if before else None,
        "mismatch": None if is_zero else 1 - product / (before * after),
    }


def _norm(gradients: list[Any]) -> float:
    """Euclidean norm of all of them together."""
    parts = [getattr(g, "values", g) for g in gradients if g is not None]
    total = np.sum([float(tf.reduce_sum(tf.square(tf.cast(p, tf.float32)))) for p in parts])
    return float(np.sqrt(total))
