"""Trainings that end at chosen moments: a script, which test_interruptions.py starts.

    python interrupted.py '[["FOLDER", [["KILL", 7], ["TERM", 3], [null, 0]], {"ema": 0.9}], ...]'

It trains in each FOLDER once for each pair, in processes that it forks, so that TensorFlow is
imported only once, and whatever else a training needs. In each of them something happens at the
given moment, counted from the start of the process. Moments are before and after everything that is
written or removed in the folder, in the midst of it, between steps and after batches. A moment may
also be the name of one of these functions: it is that of its first call, and of a write the midst.
What happens is a signal, or that no file can become longer (FULL), or that a folder is gone (the
path of it). Exit codes and what was printed are the output, as JSON. It runs on one thread, and
operations are deterministic.
"""

import json
import os
import resource
import shutil
import signal
import sys
import threading
from pathlib import Path

import larq_reactnet as lr
from larq_reactnet.training import keeping, loop
from larq_reactnet.zoo import registry
from larq_reactnet.zoo.recipes import two_step

import larq as lq
import matplotlib.figure  # noqa: F401
import sklearn.datasets  # noqa: F401
import tensorflow as tf
from matplotlib.backends import backend_agg  # noqa: F401

MIDST = 0.002  # seconds after the start of a write


@registry.register("toy", paper="none", year=2026, url="none")
def toy(
    *,
    input_shape=None,
    input_tensor=None,
    weights=None,
    include_top=True,
    num_classes=10,
    classifier_activation="softmax",
    binary_weights=True,
):
    """A network that is quickly traced."""
    kernel = {"kernel_quantizer": "react_sign", "kernel_constraint": "weight_clip"}
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Conv2D(4, 3, strides=4, use_bias=False, input_shape=(32, 32, 3)),
            tf.keras.layers.BatchNormalization(momentum=0.5),
            lq.layers.QuantConv2D(
                8, 3, use_bias=False, input_quantizer="rsign", **(kernel if binary_weights else {})
            ),
            tf.keras.layers.BatchNormalization(momentum=0.5),
            tf.keras.layers.GlobalAveragePooling2D(),
            tf.keras.layers.Dense(num_classes),
            tf.keras.layers.Activation(classifier_activation),
        ],
        name="toy",
    )
    return lr.zoo.pretrained.load(model, weights, "toy") if weights is not None else model


def happen(name):
    if name == "FULL":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
    elif os.path.isdir(name):
        shutil.rmtree(name)
    else:
        os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


def train(folder, name, moment, values):
    """In the forked process."""
    seen = 0

    def pass_moment(called="", is_write=False):
        nonlocal seen
        seen += 1
        if name and moment in (seen, called):
            if is_write:
                threading.Timer(MIDST, happen, (name,)).start()
            else:
                happen(name)

    def watch(owner, attribute, is_write=False):
        call = getattr(owner, attribute)

        def watched(*args, **kwargs):
            pass_moment("" if is_write else attribute)
            if is_write:
                pass_moment(attribute, is_write)
            result = call(*args, **kwargs)
            pass_moment()
            return result

        setattr(owner, attribute, watched)

    watch(tf.train.CheckpointManager, "save", is_write=True)
    watch(tf.keras.Model, "save_weights", is_write=True)
    watch(Path, "replace")
    watch(shutil, "rmtree")
    watch(loop, "carry_over")
    watch(keeping.Keeping, "on_train_batch_end")
    keeping.SAVE_EVERY = -1  # after each batch
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    recipe = two_step("toy", **{"step1_epochs": 2, "epochs": 2, "batch_size": 480, **values})
    lr.training.train(recipe, folder, verbose=0)
    return seen


def attempt(folder, name, moment, values):
    """The exit code of a forked process, and what it printed."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        code = 1
        try:
            print(f"\nmoments: {train(folder, name, moment, values)}")
            code = 0
        except KeyboardInterrupt:
            code = 130
        except SystemExit as error:
            code = error.code
        except (OSError, ValueError) as error:
            print(f"\nError: {error}")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as output:
        text = output.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), text


if __name__ == "__main__":
    found = [
        [attempt(folder, *pair, values) for pair in attempts]
        for folder, attempts, values in json.loads(sys.argv[1])
    ]
    print(json.dumps(found))
