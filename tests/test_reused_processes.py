"""Processes of engines that one interpreter leaves to the next."""

import os
import signal

from larq_reactnet.converters import Interpreter, convert
from larq_reactnet.converters._engine import reuse

import numpy as np
import pytest
from helpers import binary_model


@pytest.fixture(scope="module", autouse=True)
def _processes():
    """Only the tests themselves say when processes are used again."""


@pytest.fixture(scope="module")
def good():
    """A small file of LCE."""
    return convert(binary_model())


@pytest.fixture
def images(rng):
    return rng.normal(size=(3, 8, 8, 3)).astype(np.float32)


def test_interpreters_of_the_same_origin_may_share_a_process(good, images):
    children = []
    with reuse.reused_processes():
        for _ in range(4):
            with Interpreter(good) as interpreter:
                interpreter.run(images[:1])
                children.append(interpreter._process.pid)
                if len(children) == 2:
                    os.kill(children[-1], signal.SIGKILL)
        with Interpreter(good) as first, Interpreter(good) as second:
            assert first._process.pid != second._process.pid
            np.testing.assert_array_equal(first.predict(images), second.predict(images))
    assert children[0] == children[1] != children[2] == children[3]
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_process_killed_a_moment_ago_is_not_used_again():
    """On one core the system still calls it alive, as it had no turn yet to end."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with reuse.reused_processes():
            for _ in range(5):
                process = reuse.take("lce")
                assert process.answers()
                os.kill(process.pid, signal.SIGKILL)
                reuse.take_back(process)
                another = reuse.take("lce")
                assert another.pid != process.pid
                reuse.take_back(another)
    finally:
        os.sched_setaffinity(0, cores)
