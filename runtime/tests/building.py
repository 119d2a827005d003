"""Compilers for programs that tests build and run."""

import os
import platform
import shlex
import shutil
import subprocess
import sys


def compiler_of(language):
    """The command of a compiler for C or C++ that builds for this machine, or None.

    An emulated one sees the compiler of the machine that emulates it.
    """
    variable, default = {"c": ("CC", "cc"), "c++": ("CXX", "c++")}[language]
    command = shlex.split(os.environ.get(variable, default))
    if not sys.platform.startswith("linux") or not shutil.which(command[0]):
        return None
    done = subprocess.run([*command, "-dumpmachine"], capture_output=True, text=True, check=False)
    return command if done.stdout.startswith(platform.machine()) else None
