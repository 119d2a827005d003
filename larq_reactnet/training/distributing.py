"""Training on several processors or machines, which is `tf.distribute`'s work.

What `tf.distribute` does not say is here: who writes files, whether all workers mean the same
training, and what happened when one of them is gone.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any

from larq_reactnet._workers import has_several_workers
from larq_reactnet.profiling import flat_layers
from larq_reactnet.training.clusters import addresses_of, cluster_of_environment
from larq_reactnet.training.provenance import versions

import numpy as np
import tensorflow as tf

__all__ = [
    "check_divisible",
    "check_same",
    "is_loss",
    "lost_workers",
    "strategy_of",
    "synchronize_batch_normalization",
    "together",
    "told",
    "wait_for_all",
]

STRATEGIES = ("mirrored", "multi_worker")
# With fewer threads, an operation that waits for other workers keeps those from running that they
# wait for: two workers of one such thread each are slower than one worker alone.
INTER_OP_THREADS = 4
_OF_FILES = (
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.DataLossError,
)
# What Python raised where it decodes images.
_PYTHON_ERROR = re.compile(r"^(\{\{.*?\}\} ?)*\w+Error: ", re.MULTILINE)
_TASK = re.compile(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)")


def strategy_of(name: str | tf.distribute.Strategy | None) -> tf.distribute.Strategy:
    """A strategy from its name: `"mirrored"` or `"multi_worker"`.

    `"mirrored"`: all GPUs of this machine, or what there is of logical CPUs. `"multi_worker"`: all
    processes that the environment variable `TF_CONFIG` lists, or the tasks of a SLURM step; it
    waits until all of them have been started. `None`: the strategy whose scope this is in, which is
    one replica where there is none.

    Raises:
        ValueError: If the name is not known, or `TF_CONFIG` does not say who takes part.
        OSError: If this worker cannot be reached at the address that it was given.
        RuntimeError: If TensorFlow has computed something before: `"multi_worker"` comes first.
    """
    if name is None:
        return tf.distribute.get_strategy()
    if isinstance(name, tf.distribute.ParameterServerStrategy):
        raise ValueError(
            "`train` makes its batches in the process that calls it, but workers of a "
            "ParameterServerStrategy make their own: take MultiWorkerMirroredStrategy, or call "
            "`fit` yourself with a `tf.keras.utils.experimental.DatasetCreator`."
        )
    if isinstance(name, tf.distribute.Strategy):
        return name
    if name == "mirrored":
        kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
        return tf.distribute.MirroredStrategy(
            [device.name for device in tf.config.list_logical_devices(kind)]
        )
    if name != "multi_worker":
        raise ValueError(f"`strategy` must be one of {STRATEGIES} or an instance, got {name!r}.")
    resolver = cluster_of_environment()
    threads = tf.config.threading.get_inter_op_parallelism_threads()
    if 0 < (threads or _default_inter_op_threads()) < INTER_OP_THREADS:
        tf.config.threading.set_inter_op_parallelism_threads(INTER_OP_THREADS)
    workers = addresses_of(resolver)
    print(f"Waiting for all {len(workers)} workers: {', '.join(workers)}", flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)
    except tf.errors.OpError as error:
        own = resolver.cluster_spec().task_address(resolver.task_type, resolver.task_id)
        raise OSError(
            f"This worker, {resolver.task_type} {resolver.task_id}, cannot take part at {own}: "
            f"{str(error).splitlines()[0]}. Is the port free, and is it this machine's address?"
        ) from error


def synchronize_batch_normalization(network: tf.keras.Model) -> None:
    """Have batch normalization take mean and variance of the global batch, not of each replica.

    Then many replicas compute what one would, up to rounding. One thing remains: the moving
    variances are those of the images that were seen, where Keras's fused layer estimates that of
    all images, which is n / (n - 1) times as much for n values of a channel.

    Args:
        network: A network that was not called yet by `fit`. Its configuration changes only in this.
    """
    for layer in flat_layers(network):
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.synchronized = True
            layer.fused = False  # there is no fused form of it


def check_same(strategy: tf.distribute.Strategy, facts: dict[str, Any]) -> None:
    """Refuse to train if workers differ in `facts` or in the versions of packages.

    Raises:
        ValueError: On all workers alike; the message names worker, fact, and both values.
    """
    if not has_several_workers(strategy):
        return
    chief, *others = told(strategy, {**versions(), **facts})
    for number, other in enumerate(others, 1):
        for name in {**chief, **other}:  # a value that only one of them was given is not in both
            its, chiefs = other.get(name, "not set"), chief.get(name, "not set")
            if its != chiefs:
                raise ValueError(
                    f"The workers do not mean the same training: {name} is {its!r} on worker "
                    f"{number} and {chiefs!r} on the chief, worker 0. Start all of them with the "
                    "same command, the same packages, and a run folder and data that all see."
                )


@contextlib.contextmanager
def together(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """What is done inside succeeds on all workers, or all of them stop.

    Else those that go on would wait for one that has left, and blame it for that. Nothing inside
    may need other workers.

    Raises:
        ValueError: If it failed on another worker; the message names it and says why.
    """
    if not has_several_workers(strategy):
        yield
        return
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        told(strategy, str(error))
        raise
    for number, reason in enumerate(told(strategy, None)):
        if reason is not None:
            raise ValueError(f"Worker {number} cannot take part: {reason}")


def check_divisible(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raise ValueError if a batch cannot be dealt out evenly to the replicas."""
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` is that of all replicas together: {batch_size} images cannot be dealt "
            f"out evenly to {replicas} replicas. {batch_size + replicas - batch_size % replicas} "
            "can (--batch-size)."
        )


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Wait until all workers have come here."""
    if has_several_workers(strategy):
        told(strategy, None)


@contextlib.contextmanager
def lost_workers(strategy: tf.distribute.Strategy, what: str) -> Iterator[None]:
    """Say in one sentence that another worker is gone.

    Args:
        strategy: The strategy.
        what: What was stopped by that, as the start of a sentence.

    Raises:
        ConnectionError: In place of what TensorFlow raises.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if not is_loss(strategy, error):
            raise
        tasks = [task for task in _TASK.findall(error.message) if not _is_own(strategy, *task)]
        name = " ".join(tasks[-1]) if tasks else "another worker"
        raise ConnectionError(
            f"{what} was stopped, because {name} does not answer any more. Start the same command "
            "again on all workers: it goes on from the last checkpoint."
        ) from error


def is_loss(strategy: tf.distribute.Strategy, error: tf.errors.OpError) -> bool:
    """Whether an error says that another worker is gone."""
    is_of_files = isinstance(error, _OF_FILES) or _PYTHON_ERROR.search(error.message)
    if is_of_files or not has_several_workers(strategy):
        return False  # whatever words are in the names of files
    words = ("ollective", "ealth", "eartbeat", "/task:", "Connection", "Socket")
    return any(word in error.message for word in words)


def told(strategy: tf.distribute.Strategy, own: Any) -> list[Any]:
    """What each worker tells the others, the chief first. `own` can be anything that JSON can."""
    text = (json.dumps(own, default=str) + "\n").encode()
    line = tf.constant(np.frombuffer(text, np.uint8).astype(np.int32))  # bytes cannot be gathered
    with strategy.scope():
        lines = _gathered(line).numpy().astype(np.uint8).tobytes().splitlines()
    replicas = [json.loads(each) for each in lines]
    return replicas[:: len(replicas) // len(addresses_of(strategy.cluster_resolver))]


@tf.function(input_signature=[tf.TensorSpec((None,), tf.int32)], autograph=False)
def _gathered(line: tf.Tensor) -> tf.Tensor:
    """The numbers of all replicas, one after the other."""
    strategy = tf.distribute.get_strategy()
    return strategy.gather(strategy.run(tf.identity, (line,)), axis=0)


def _is_own(strategy: tf.distribute.Strategy, job: str, task: str) -> bool:
    resolver = strategy.cluster_resolver
    return (job, int(task)) == (resolver.task_type, resolver.task_id)


def _default_inter_op_threads() -> int:
    return int(os.environ.get("TF_NUM_INTEROP_THREADS") or os.cpu_count() or 1)
