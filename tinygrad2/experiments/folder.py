"""The folder of one run: who may write in it, and files that are whole at every moment.

config.toml, metrics.jsonl, checkpoint.npz (latest state), reference.npz and final.npz (networks), result.json, figures.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinygrad2 import nn
from tinygrad2.experiments import jsonfile
from tinygrad2.experiments.config import difference, resolve, to_toml, to_values
from tinygrad2.experiments.jsonfile import NUMBER
from tinygrad2.experiments.progress import say
from tinygrad2.experiments.settings import Config
from tinygrad2.nn.io import writing

ELSEWHERE = "choose another folder with --out"
AFRESH = f"start the run again, and {ELSEWHERE}"
STATE: jsonfile.Keys = {"phase": int, "made_of": dict}  # of the scalars of a checkpoint
# What a line of metrics.jsonl must hold, by its kind.
LINES: dict[str, jsonfile.Keys] = {
    "epoch": {"phase": str, "epoch": int, "accuracy": NUMBER},
    "steps": {"phase": str, "epoch": int, "step": int},
}


class Folder:
    """The folder of a run: its paths and files. `folder / name` is the path of a file in it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def config(self, sets: Iterable[str] = ()) -> Config:
        """The configuration of the run in the folder, with assignments such as "eval.mode=corrected" made in it.

        Raises FileNotFoundError if there is no run in it.
        """
        if not (self / "config.toml").is_file():
            raise FileNotFoundError(f"{self.path} holds no run: there is no config.toml in it")
        return resolve(file=self / "config.toml", sets=sets)

    def check(self, config: Config, resume: bool) -> None:
        """Raise unless a run with this configuration may start (or resume) here; nothing is written."""
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self.path} is a file, expected the folder of a run")
        if resume and (other := difference(to_values(self.config()), to_values(config))):
            raise ValueError(f"{self.path} holds a run with another configuration: {other}; {ELSEWHERE}")
        if not resume and (self / "config.toml").exists():
            raise FileExistsError(
                f"{self.path} holds a run already; go on with it by --resume (in Python: resume=True), or {ELSEWHERE}"
            )

    @contextmanager
    def opened(self, config: Config, resume: bool) -> Iterator[None]:
        """This process alone works in the folder, which is made if need be."""
        self.check(config, resume)
        with alone(self.path):
            self.check(config, resume)  # again: another process may have been faster
            if not resume:
                write_text(self / "config.toml", to_toml(config))
            yield

    def save_state(self, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any]) -> None:
        """Replace the checkpoint. arrays: of any shapes; scalars: written as JSON, where a float keeps all its bits."""
        nn.save(self / "checkpoint.npz", {**arrays, "scalars": np.asarray(json.dumps(scalars))})

    def load_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The latest checkpoint's arrays and scalars; None if the run was stopped before its first."""
        if not (self / "checkpoint.npz").exists():
            return None
        arrays = nn.load(self / "checkpoint.npz")
        if "scalars" not in arrays:
            raise ValueError(f"{self / 'checkpoint.npz'} is not a checkpoint of a run: it has no entry 'scalars'")
        return arrays, jsonfile.parse(str(arrays.pop("scalars")), self / "checkpoint.npz", STATE, AFRESH)

    def result(self) -> dict[str, Any]:
        """What result.json holds. Raises FileNotFoundError for an unfinished run, ValueError for a damaged file."""
        path = self / "result.json"
        again = f"tinygrad2 train --out {self.path} --resume"
        if not path.is_file():
            raise FileNotFoundError(f"{self.path} holds no result.json: go on with it: {again}")
        advice = f"write it anew: {again}"
        found = jsonfile.read(path, {"rows": dict}, advice)
        for title, row in found["rows"].items():
            jsonfile.check(row, f"{path}, row {title!r}", {"accuracy": NUMBER, "rho2": NUMBER, "under": dict}, advice)
        return found

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line that a kill cut short is left out.

        Raises ValueError for a damaged line, with its number.
        """
        path = self / "metrics.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [_entry(line, f"{path}, line {i}") for i, line in enumerate(lines, 1)]


def _entry(line: bytes, where: str) -> dict[str, Any]:
    """One line of metrics.jsonl."""
    advice = "remove the line"
    text = line.decode(errors="replace")
    kind = jsonfile.parse(text, where, {"kind": str}, advice)["kind"]
    return jsonfile.parse(text, where, LINES.get(kind, {}), advice)


class Journal:
    """metrics.jsonl: one JSON object a line. Checkpoints have its size; opening at a size forgets what came after."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        with writing(path):
            self.file = path.open("a+b")
            self.file.truncate(self._whole_lines(size))
            self.file.seek(0, os.SEEK_END)

    def _whole_lines(self, size: int) -> int:
        """The size, or where the last whole line ends in a file that somebody made shorter."""
        self.file.seek(0)
        content = self.file.read(size)
        if len(content) == size:
            return size
        kept = content.rfind(b"\n") + 1
        say(f"{self.path} has lost {size - kept:,} of {size:,} bytes; the curves will lack these lines")
        return kept

    @property
    def size(self) -> int:
        return self.file.tell()

    def write(self, **entry: Any) -> None:
        """Append one line and hand it to the operating system."""
        with writing(self.path):
            self.file.write(json.dumps(entry).encode() + b"\n")
            self.file.flush()

    def settle(self) -> None:
        """Put all lines on the disk. A checkpoint that counts them comes after."""
        with writing(self.path):
            os.fsync(self.file.fileno())

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        with writing(self.path):
            self.file.close()


def write_text(path: Path, text: str) -> None:
    """Write the file, whole or not at all."""
    with nn.atomic_write(path, "w") as file:
        file.write(text)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """No other process works in the folder, which is made if need be; what a killed one was writing is removed."""
    make_folder(path)
    with _open_lock(path / ".lock") as lock:
        if not _locked(lock):
            raise BlockingIOError(f"{path} is in use by another process; wait for it, or {ELSEWHERE}")
        for left in path.glob(".*.*.*"):
            left.unlink()
        yield


def make_folder(path: Path) -> None:
    """Make the folder and those above it, where they are not there yet."""
    try:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        raise PermissionError(f"cannot make the folder {path}: no permission to write there; {ELSEWHERE}") from None


def _open_lock(path: Path) -> IO[bytes]:
    try:
        with writing(path):
            return path.open("ab")
    except PermissionError:
        raise PermissionError(f"cannot write in {path.parent}: the folder is read-only; {ELSEWHERE}") from None


def _locked(file: IO[bytes]) -> bool:
    """Take the lock that the system releases when the process ends, however it ends. False: another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
