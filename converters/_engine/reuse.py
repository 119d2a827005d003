"""Processes of engines that serve one interpreter after another.

A process starts in a third of a second, which is most of what a small model takes. But whatever a
hostile file does to its process, the next file in it must not suffer from. So processes are used
again only where somebody says so, for files of the same origin.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from larq_reactnet.converters._engine.process import EngineProcess

__all__ = ["reused_processes", "take", "take_back"]

# By engine and the paths of modules, which say which package an engine is.
_Key = tuple[str, tuple[str, ...]]
_idle: ContextVar[dict[_Key, EngineProcess] | None] = ContextVar("_idle", default=None)


@contextmanager
def reused_processes() -> Iterator[None]:
    """Let interpreters that are closed inside leave their process to the next one."""
    if _idle.get() is not None:
        yield
        return
    idle: dict[_Key, EngineProcess] = {}
    token = _idle.set(idle)
    try:
        yield
    finally:
        _idle.reset(token)
        for process in idle.values():
            process.end()


def take(engine: str) -> EngineProcess:
    """A process of `engine`: one that nobody uses, or a new one.

    Raises:
        ImportError: If the engine is not installed.
    """
    process = (_idle.get() or {}).pop(_key(engine), None)
    if process is not None and process.answers():
        return process
    return EngineProcess(engine)


def take_back(process: EngineProcess) -> None:
    """End a process, or keep it for the next interpreter."""
    idle, key = _idle.get(), _key(process.engine)
    if idle is None or key in idle:
        process.end()
    else:
        idle[key] = process


def _key(engine: str) -> _Key:
    return engine, tuple(sys.path)
