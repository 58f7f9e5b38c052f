"""Ctrl-C as a request: the loop finishes its step, saves, and stops."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad2.experiments.progress import say


class Interrupted(Exception):
    """The run was asked to stop; its state is saved."""


@contextmanager
def stop_requests() -> Iterator[list[int]]:
    """A list that Ctrl-C or SIGTERM puts its number into; a second one acts at once, as usual.

    Only the main thread may watch for signals; elsewhere the list stays empty. A signal that the process was told to
    ignore, as a shell does for Ctrl-C and a job in the background, stays ignored.
    """
    received: list[int] = []
    usual: dict[int, Any] = {}

    def note(number: int, frame: Any) -> None:
        received.append(number)
        signal.signal(number, usual[number])
        say("stopping after this step ...")

    try:
        watched = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
        for asked in (number for number in watched if signal.getsignal(number) != signal.SIG_IGN):
            usual[asked] = signal.signal(asked, note)
        yield received
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
