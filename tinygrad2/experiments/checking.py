"""`tinygrad2 check FILE.py`: every derivation of a file in a fresh process with a time limit, and a table of verdicts.

A crash, an endless loop or exit() in the learner's code is that derivation's failure, and no other's.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIMIT = 60.0  # seconds per derivation
SHOWN = 2000  # characters of what a crashed process has printed


class Unusable(ValueError):
    """The file cannot be checked: it is missing, breaks while it is read, or declares nothing."""


@dataclass
class Checked:
    """One derivation of the file, and the verdict about it."""

    name: str
    ok: bool
    text: str
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line about it."""
        if self.ok:
            return f"{self.report.get('calls', 0)} calls, {self.report.get('seconds', 0.0):.2f} s"
        return str(
            (self.report.get("diagnosis") or "").partition("random cases) ")[2]
            or self.report.get("finding")
            or self.text
        ).split("\n")[0][:90]


def check_file(
    path: str | os.PathLike[str],
    select: str | None = None,
    order: int | None = None,
    seed: int | None = None,
    limit: float = LIMIT,
) -> list[Checked]:
    """Check every derivation that the file declares and whose name contains `select`. Raises Unusable."""
    source = Path(path)
    if not source.is_file():
        raise Unusable(f"there is no file {source}")
    given = {"order": order, "seed": seed}
    options = {name: value for name, value in given.items() if value is not None}
    listed = _run(source, -1, options, limit)
    if "error" in listed:
        raise Unusable(f"{source} cannot be run: {listed['error']}")
    names = listed["names"]
    if not names:
        raise Unusable(f"{source} declares no derivation: write @tinygrad2.derivation(of=...) above a rule")
    wanted = [i for i, name in enumerate(names) if not select or select in name]
    if not wanted:
        raise Unusable(f"no derivation in {source} has a name with {select!r} in it; there are: {', '.join(names)}")
    return [_checked(names[i], _run(source, i, options, limit)) for i in wanted]


def _run(path: Path, index: int, options: dict[str, int], limit: float) -> dict[str, Any]:
    """What the child for one derivation has written; an "error" where it has written nothing."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "report.json")
        printed = Path(folder, "printed.txt")
        child = f"{__package__}.checking_child"
        command = [sys.executable, "-m", child, str(path), str(out), str(index), json.dumps(options)]
        with printed.open("wb") as stream:
            ended = _wait(command, stream, limit)
        if out.is_file():
            result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            return result
        said = printed.read_bytes()[-SHOWN:].decode(errors="replace").strip()
    how = f"it did not end within {limit:.0f} s" if ended is None else f"the process ended with code {ended}"
    return {"error": how + (f"; last words: {said.splitlines()[-1][:300]}" if said else "")}


def _wait(command: Sequence[str], stream: Any, limit: float) -> int | None:
    """Run a process and all it starts, for `limit` seconds at most. Result: its code, or None if it was stopped."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    environment = {**threads, **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stream,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=os.name != "nt",
    )
    try:
        return process.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and everything in its session."""
    try:
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait()


def _checked(name: str, result: dict[str, Any]) -> Checked:
    report = result.get("report")
    if report is None:
        why = result.get("error", "the file ended before it came to this derivation")
        return Checked(name, False, f"{name}   WRONG: {why}", {"name": name, "ok": False, "finding": why})
    return Checked(name, report["ok"], report["text"], report)


def as_text(results: Sequence[Checked]) -> str:
    """The reports of what is wrong, then the table."""
    width = max(len(r.name) for r in results)
    table = [f"{r.name:{width}}  {'right' if r.ok else 'WRONG'}  {r.summary}" for r in results]
    right = sum(r.ok for r in results)
    reports = [r.text + "\n" for r in results if not r.ok]
    return "\n".join([*reports, *table, f"{right} of {len(results)} right"])


def as_json(results: Sequence[Checked]) -> str:
    """The same for machines: a list of reports."""
    return json.dumps([{**r.report, "name": r.name} for r in results], indent=2, ensure_ascii=False)
