"""Runs the commands of README, documentation and help texts."""

import runpy
import subprocess
import sys
import traceback

from larq_reactnet_cli import main

import pytest
from click.testing import CliRunner
from doc_pages import ROOT


def run_command(words, folder):
    """Run one command in the folder, which must exit with 0."""
    program, *arguments = words
    if program == "larq-reactnet":
        # In this process: the import of TensorFlow takes longer than most commands.
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            result = CliRunner().invoke(main, arguments)
        if result.exit_code:
            trace = "".join(traceback.format_exception(*result.exc_info))
            raise AssertionError(f"{' '.join(words)}: {result.output}\n{trace}")
        return
    if program == "python":
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.setattr(sys, "argv", arguments)
            runpy.run_path(str(ROOT / arguments[0]), run_name="__main__")
        return
    assert program == "larq-reactnet-runtime", f"{program} is not run by tests: mark its block"
    done = subprocess.run(
        [sys.executable, "-m", "larq_reactnet_runtime", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
