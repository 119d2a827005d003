"""SIGINT (Ctrl-C) and SIGTERM (machines that are taken away) stop a training once it is saved."""

import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

__all__ = ["Interruption"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes that the process was asked to stop, while it is used in a `with` statement.

    The second request stops it at once, as Python does by itself.

    Attributes:
        wanted: The signal that came, or `None`.
    """

    def __init__(self) -> None:
        self.wanted: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # others cannot take signals
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.__exit__()  # the next one stops the process
        self.wanted = signal.Signals(number)
        print(
            f"\n{self.wanted.name}: the training stops as soon as it is saved.",
            file=sys.stderr,
            flush=True,
        )

    @staticmethod
    def leave(number: int) -> NoReturn:
        """End as Python ends by a signal: SIGINT is a KeyboardInterrupt, others an exit code."""
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)
