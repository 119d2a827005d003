"""Who takes part in a training: what `TF_CONFIG` and the variables of a SLURM step may say."""

import json
import os

from larq_reactnet.training import clusters, distributing

import pytest
import tensorflow as tf


def config(cluster, kind="worker", index=0):
    """A TF_CONFIG."""
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


class TestStrategyOf:
    def test_names(self):
        assert distributing.strategy_of(None) is tf.distribute.get_strategy()
        own = tf.distribute.OneDeviceStrategy("CPU:0")
        assert distributing.strategy_of(own) is own
        assert distributing.strategy_of("mirrored").num_replicas_in_sync == 1

    def test_parameter_servers_are_for_fit(self):
        server = object.__new__(tf.distribute.ParameterServerStrategy)
        with pytest.raises(ValueError, match="take MultiWorkerMirroredStrategy, or call `fit`"):
            distributing.strategy_of(server)

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("horovod", None, r"`strategy` must be one of \('mirrored', 'multi_worker'\)"),
            ("multi_worker", None, "The environment variable TF_CONFIG must say which workers"),
            ("multi_worker", "{", "TF_CONFIG does not say which workers there are .* '{'"),
            ("multi_worker", '{"cluster": {"worker": ["a:1"]}}', "TF_CONFIG does not say"),
            ("multi_worker", config({"worker": ["a:1"]}, index=1), "this is worker 1, .* has 1 of"),
            ("multi_worker", config({"worker": ["a:1"]}, index=-1), "this is worker -1, "),
            (
                "multi_worker",
                config({"worker": ["a:1"]}, "chief"),
                "this is chief 0, .* has 0 of",
            ),
            (
                "multi_worker",
                config({"worker": "a:1"}),
                "a list of addresses for 'worker'",
            ),
            ("multi_worker", config({"worker": ["a:1"], "ps": ["b:1"]}), "has 'ps' in its cluster"),
            ("multi_worker", config({"chief": ["a:1", "b:1"]}, "chief"), "more than one chief"),
            ("multi_worker", config({"worker": ["a"]}), "has 'a' where host:port should be"),
            ("multi_worker", config({"worker": [2222]}), "has 2222 where host:port should be"),
            ("multi_worker", config({"worker": ["a:70000"]}), "with a port from 1 to 65535"),
            ("multi_worker", config({"worker": ["http://a:1"]}), "has 'http://a:1' where"),
            ("multi_worker", config({"worker": ["a:1", "a:1"]}), "has a:1 twice"),
        ],
    )
    def test_refused(self, monkeypatch, name, text, message):
        """TensorFlow itself ends the process, or waits for ever, at some of them."""
        monkeypatch.delenv("TF_CONFIG", raising=False)
        if text is not None:
            monkeypatch.setenv("TF_CONFIG", text)
        with pytest.raises(ValueError, match=message):
            distributing.strategy_of(name)


@pytest.mark.parametrize(("task", "own"), [(0, "node1:8888"), (2, "node2:8888")])
def test_tasks_of_a_slurm_step(monkeypatch, task, own):
    """On machines without GPUs, every task is a worker."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setattr(clusters.shutil, "which", lambda program: None)
    step = {"NUM_TASKS": "3", "TASKS_PER_NODE": "2,1", "NODELIST": "node[1-2]"}
    for name, value in {"PROCID": str(task), **{f"STEP_{k}": v for k, v in step.items()}}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = clusters.cluster_of_environment()
    addresses = ["node1:8888", "node1:8889", "node2:8888"]
    assert resolver.cluster_spec().as_dict() == {"worker": addresses}
    assert (resolver.task_type, resolver.task_id) == ("worker", task)
    assert resolver.cluster_spec().task_address("worker", task) == own


@pytest.mark.parametrize(
    ("task", "step"),
    [
        ("0", {}),
        ("x", {"TASKS_PER_NODE": "2", "NODELIST": "n1"}),
        ("5", {"TASKS_PER_NODE": "2", "NODELIST": "n1"}),
        ("0", {"TASKS_PER_NODE": "2", "NODELIST": "n[1-"}),
        ("0", {"TASKS_PER_NODE": "1", "NODELIST": "n1"}),
    ],
    ids=["no step", "no number", "not in the step", "bad list", "too few"],
)
def test_a_slurm_step_that_does_not_fit(monkeypatch, task, step):
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TF_CONFIG"))]:
        monkeypatch.delenv(name)
    for name, value in {"PROCID": task, "STEP_NUM_TASKS": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_STEP_{name}", value)
    with pytest.raises(ValueError, match=r"SLURM_.* do not say which workers .* with srun"):
        distributing.strategy_of("multi_worker")
