"""Runs code that might crash in another process.

Libraries in C trust their files. HDF5 and Larq Compute Engine's interpreter crash on some corrupt
files, and the process that called them ends too.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["start"]

# The script is not started as `python script`, which would look for modules beside it first.
_RUN = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); sys.argv[:] = sys.argv[2:]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def start(script: str, arguments: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Run a Python file in a process that finds the same modules as this one.

    Args:
        script: Path of the file. It should not import TensorFlow, which takes seconds.
        arguments: Its `sys.argv[1:]`.
        **options: Arguments of `subprocess.Popen`.
    """
    command = [sys.executable, "-c", _RUN, json.dumps(sys.path), script, *arguments]
    return subprocess.Popen(command, **options)
