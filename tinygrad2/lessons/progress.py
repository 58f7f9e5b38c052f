"""Which exercises a reader has solved: a small file beside the notebooks. Nothing is sent anywhere."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE = "progress.json"


@dataclass
class Progress:
    """The exercises solved in a folder. It is read from the file each time, so several notebooks can share it.

    folder: where the notebooks are; by itself the current folder.

    >>> import tempfile
    >>> from tinygrad2.lessons import Progress
    >>> progress = Progress(tempfile.mkdtemp())
    >>> progress.note("01_tape", "square", right=False)
    >>> progress.note("01_tape", "square", right=True)
    >>> progress.note("01_tape", "square", right=False)  # once solved stays solved
    >>> progress.read()
    {'01_tape': {'square': {'solved': True, 'checks': 3}}}
    """

    folder: str | os.PathLike[str] = "."

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.folder, FILE)

    def read(self) -> dict[str, dict[str, dict[str, int]]]:
        """Lesson -> exercise -> whether it is solved, and how often it was checked. A file that is missing is empty."""
        if not self.path.is_file():
            return {}
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError:
            raise ValueError(f"{self.path} cannot be read as JSON; delete it to begin anew") from None
        return dict(found)

    def note(self, lesson: str, exercise: str, right: bool) -> None:
        """Remember that an answer was checked. The file is replaced as a whole, so a crash never leaves half of it."""
        found = self.read()
        entry = found.setdefault(lesson, {}).setdefault(exercise, {"solved": False, "checks": 0})
        entry["solved"] = bool(entry["solved"] or right)
        entry["checks"] += 1
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        os.replace(new, self.path)

    def solved(self, lesson: str) -> list[str]:
        """The exercises of a lesson that have been solved, in the order in which they were first checked."""
        return [name for name, entry in self.read().get(lesson, {}).items() if entry["solved"]]
