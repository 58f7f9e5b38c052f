"""How far the work is: a tqdm bar where a person watches (stderr is a terminal), otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from tinygrad2.robust.batches import Progress

T = TypeVar("T")
PLAIN_SECONDS = 10.0  # between two plain lines


class Track(Generic[T]):
    """Iterate over something of known length and tell how far it is. `note` is shown beside the count.

    The first `done` items were done earlier, before a run was resumed, and are not in the iterable.
    """

    def __init__(self, items: Iterable[T], total: int, what: str, done: int = 0) -> None:
        self.items = items
        self.total = total
        self.what = what
        self.done = done
        self.note = ""

    def __iter__(self) -> Iterator[T]:
        return self._bar() if sys.stderr.isatty() and _tqdm() else self._lines()

    def _bar(self) -> Iterator[T]:
        with _tqdm()(total=self.total, initial=self.done, desc=self.what, dynamic_ncols=True, leave=False) as bar:
            for item in self.items:
                yield item
                bar.set_postfix_str(self.note, refresh=False)
                bar.update()

    def _lines(self) -> Iterator[T]:
        start = last = time.monotonic()
        for i, item in enumerate(self.items, 1):
            yield item
            now = time.monotonic()
            if now - last >= PLAIN_SECONDS:
                last = now
                rate = i / (now - start)
                count = self.done + i
                left = clock((self.total - count) / rate)
                note = f", {self.note}" if self.note else ""
                say(f"{self.what}: {count}/{self.total}, {rate:.3g}/s, {left} left{note}")


def over_batches(what: str) -> Progress:
    """A `progress` argument for the functions of robust.metrics: wraps their list of batches."""
    return lambda slices: Track(slices, len(slices), what)


def say(line: str) -> None:
    """One line on stderr, at once."""
    print(line, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def _tqdm() -> Any:
    """The tqdm class, or None where it is not installed."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return None
    return tqdm
