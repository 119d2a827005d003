"""Which processes take part in a training, as the environment says."""

import json
import os
import re
import shutil
from typing import Any

import tensorflow as tf

__all__ = ["addresses_of", "cluster_of_environment"]

_SLURM_WITHOUT_GPUS = {"gpus_per_node": 1024, "gpus_per_task": 1, "auto_set_gpu": False}
_EXAMPLE = (
    'TF_CONFIG=\'{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}\''
)
_JOBS = ("chief", "worker")
_ADDRESS = re.compile(r"[^\s/]+:(\d+)")


def cluster_of_environment() -> tf.distribute.cluster_resolver.ClusterResolver:
    """Who takes part, as `TF_CONFIG` says or, without it, the variables of a SLURM step.

    Raises:
        ValueError: If they do not say it, or nobody could be reached by what they say.
    """
    text = os.environ.get("TF_CONFIG")
    if text is None and "SLURM_PROCID" in os.environ and "SLURM_STEP_NUM_TASKS" in os.environ:
        return _slurm_resolver()
    if text is None:
        raise ValueError(
            "The environment variable TF_CONFIG must say which workers there are and which one "
            f"this is. On the first of two machines: {_EXAMPLE}"
        )
    try:
        config = json.loads(text)
        jobs, task = dict(config["cluster"]), config["task"]
        kind, number = str(task["type"]), int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"TF_CONFIG does not say which workers there are and which one this is: {text!r}. "
            f"It should look like {_EXAMPLE}"
        ) from error
    reason = _reason_against(jobs, kind, number) or _reason_against_addresses(jobs)
    if reason:
        raise ValueError(f"TF_CONFIG {reason}, got {text!r}. It should look like {_EXAMPLE}")
    return tf.distribute.cluster_resolver.TFConfigClusterResolver()


def addresses_of(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> list[str]:
    """The addresses of all workers, the chief first."""
    jobs = resolver.cluster_spec().as_dict()
    return [address for job in _JOBS for address in jobs.get(job, [])]


def _reason_against(jobs: dict[str, Any], kind: str, number: int) -> str | None:
    """What is wrong with the jobs of a cluster, or with which one of them this process is."""
    for job, addresses in jobs.items():
        if job not in _JOBS:
            return f"has {job!r} in its cluster, and only {' and '.join(map(repr, _JOBS))} train"
        if not isinstance(addresses, list):
            return f"must have a list of addresses for {job!r}"
    count = len(jobs.get(kind, []))
    if not 0 <= number < count:
        return f"says that this is {kind} {number}, and its cluster has {count} of this type"
    if len(jobs.get("chief", [])) > 1:
        return "has more than one chief"
    return None


def _reason_against_addresses(jobs: dict[str, list[Any]]) -> str | None:
    """What is wrong with the addresses. TensorFlow waits for workers that no address leads to."""
    addresses = [address for job in jobs.values() for address in job]
    for address in addresses:
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if not found or not 0 < int(found[1]) < 2**16:
            return f"has {address!r} where host:port should be, with a port from 1 to 65535"
        if addresses.count(address) > 1:
            return f"has {address} twice, and each worker needs a port of its own"
    return None


def _slurm_resolver() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The tasks of a job step."""
    # Without options, the resolver asks nvidia-smi for GPUs, and gives each task one of them.
    options = {} if shutil.which("nvidia-smi") else _SLURM_WITHOUT_GPUS
    try:
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(**options)
        if resolver.cluster_spec() and resolver.task_type is None:
            raise ValueError(f"this is task {os.environ['SLURM_PROCID']}, which is none of them.")
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"The variables SLURM_... of the environment do not say which workers there are: "
            f"{error} Start the command with srun, or set TF_CONFIG: {_EXAMPLE}"
        ) from error
    return resolver
