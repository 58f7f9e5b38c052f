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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinygrad2.experiments.interrupts import Interrupted

LIMIT = 60.0  # seconds per derivation
WORDS = {"right": "right", "wrong": "WRONG", "uncertified": "UNCERTIFIED"}
SHOWN = 2000  # characters of what a crashed process has printed


class Unusable(ValueError):
    """The file cannot be checked: it is missing, breaks while it is read, or declares nothing."""


@dataclass
class Checked:
    """One derivation of the file, and the verdict about it: "right", "wrong" or "uncertified".

    name: the rule, with its exercise. of: the exercise, or the rule where it has none. where: file and line.
    """

    name: str
    of: str
    where: str | None
    verdict: str
    text: str
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True if it is right."""
        return self.verdict == "right"

    @property
    def mistakes(self) -> list[str]:
        """The names of the mistakes that were found."""
        return list(self.report.get("mistakes") or [])

    @property
    def summary(self) -> str:
        """One line about it: the cost of what is right, else what is wrong."""
        if self.ok:
            return f"{self.report.get('calls', 0)} calls, {self.report.get('seconds', 0.0):.2f} s"
        return str(
            (self.report.get("diagnosis") or "").partition("random cases) ")[2]
            or self.report.get("reason")
            or self.report.get("finding")
            or self.text
        ).split("\n")[0]


@dataclass(frozen=True)
class Options:
    """What to check, and how. select: only names with this in them. order, seed: over those that the file gives.

    limit: seconds for each derivation, and for reading the file.
    """

    select: str | None = None
    order: int | None = None
    seed: int | None = None
    limit: float = LIMIT

    def __post_init__(self) -> None:
        if not self.limit > 0:
            raise ValueError(f"--timeout must be a positive number of seconds, got {self.limit:g}")

    @property
    def given(self) -> dict[str, int]:
        """What `Derivation.check` is told."""
        return {name: value for name in ("order", "seed") if (value := getattr(self, name)) is not None}


def check_file(path: str | os.PathLike[str], select: str | None = None, limit: float = LIMIT) -> list[Checked]:
    """Check every derivation that the file declares and whose name contains `select`. Raises Unusable."""
    return list(checks(Path(path), Options(select, limit=limit)))


def checks(source: Path, options: Options) -> Iterator[Checked]:
    """The derivations of a file, checked one after another. Raises Unusable before the first."""
    if not source.is_file():
        raise Unusable(f"there is no file {source}")
    listed = _run(source, -1, options)
    if "error" in listed:
        raise Unusable(f"{source} cannot be run: {listed['error']}")
    found = listed["found"]
    if not found:
        raise Unusable(f"{source} declares no derivation: write @tinygrad2.derivation(of=...) above a rule")
    wanted = [i for i, d in enumerate(found) if not options.select or options.select in d["name"]]
    if not wanted:
        names = ", ".join(d["name"] for d in found)
        raise Unusable(f"no derivation in {source} has a name with {options.select!r} in it; there are: {names}")
    for i in wanted:
        yield _checked(found[i], _run(source, i, options))


def _run(path: Path, index: int, options: Options) -> dict[str, Any]:
    """What the child for one derivation has written; an "error" where it has written nothing."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "report.json")
        printed = Path(folder, "printed.txt")
        child = f"{__package__}.checking_child"
        command = [sys.executable, "-m", child, str(path), str(out), str(index), json.dumps(options.given)]
        with printed.open("wb") as stream:
            ended = _wait(command, stream, options.limit)
        if out.is_file():
            result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            return result
        said = printed.read_bytes()[-SHOWN:].decode(errors="replace").strip()
    how = f"it did not end within {options.limit:g} s" if ended is None else f"the process ended with code {ended}"
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


def _checked(found: dict[str, Any], result: dict[str, Any]) -> Checked:
    report = result.get("report")
    if report is None:
        why = result.get("error", "the file ended before it came to this derivation")
        title = f"{found['name']}, {found['where']}" if found["where"] else found["name"]
        text = f"{title}   WRONG: {why}"
        report = {"name": found["name"], "ok": False, "verdict": "wrong", "finding": why, "text": text}
    return Checked(**found, verdict=report["verdict"], text=report["text"], report=report)


def as_text(results: Sequence[Checked]) -> str:
    """The reports of what is not right, then the table."""
    width = max(len(r.name) for r in results)
    table = [f"{r.name:{width}}  {WORDS[r.verdict]}  {r.summary[:90]}" for r in results]
    reports = [r.text + "\n" for r in results if not r.ok]
    return "\n".join([*reports, *table, count(results)])


def count(results: Sequence[Checked]) -> str:
    """How many are right, and how many are uncertified where there are any."""
    unsure = sum(r.verdict == "uncertified" for r in results)
    more = f", {unsure} uncertified" if unsure else ""
    return f"{sum(r.ok for r in results)} of {len(results)} right{more}"


def as_json(results: Sequence[Checked]) -> str:
    """The same for machines: a list of reports."""
    return json.dumps([{**r.report, "name": r.name} for r in results], indent=2, ensure_ascii=False)


def main(path: str, options: Options, as_machine: bool = False) -> int:
    """Check a file and print. Result: 0 all right, 1 not all are. Raises Unusable, or Interrupted after Ctrl-C."""
    results: list[Checked] = []
    stopped = False
    try:
        for checked in checks(Path(path), options):
            results.append(checked)
    except KeyboardInterrupt:
        stopped = True
    if results:
        print(as_json(results) if as_machine else as_text(results))
    if stopped:
        raise Interrupted(f"{len(results)} derivations are checked")
    return 0 if all(r.ok for r in results) else 1
