"""`tinygrad2 check FOLDER --csv OUT.csv`: the files of a class, a line for every derivation, and what is often wrong.

Each derivation runs in a process of its own with limits, as for one file. What is done is in the table at once, so
Ctrl-C loses nothing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tinygrad2.experiments.checking import WORDS, Checked, Options, Unusable, checks
from tinygrad2.experiments.interrupts import Interrupted
from tinygrad2.experiments.progress import Track

NOT_NAMED = "not named"  # a mistake to which the checker gives no name


class Row(NamedTuple):
    """One line of the table: a derivation of a learner. verdict: "right", "wrong", "uncertified" or "unusable"."""

    file: str
    derivation: str
    of: str
    where: str
    verdict: str
    mistakes: str
    step: str
    sentence: str
    seconds: float

    @property
    def kinds(self) -> list[str]:
        """The mistakes, each by name; NOT_NAMED where there is one without a name."""
        return (self.mistakes.split("; ") if self.mistakes else [NOT_NAMED]) if self.verdict == "wrong" else []


def main(path: str, options: Options, out: str | None = None) -> int:
    """Check all files of a folder (or one file), print, and write the table. Result: 0 all right, 1 not all are.

    Raises Unusable where there is nothing to check, Interrupted after Ctrl-C.
    """
    root = Path(path)
    files = learner_files(root)
    rows: list[Row] = []
    done = 0
    stopped = False
    with _table(out) as write:
        try:
            for file in Track(files, len(files), "check"):
                for row in rows_of(file, str(file.relative_to(root)) if root.is_dir() else file.name, options):
                    rows.append(row)
                    write(row)
                done += 1
        except KeyboardInterrupt:
            stopped = True
    if rows:
        print(as_text(rows))
    if stopped:
        kept = f"; they are in {out}" if out else ""
        raise Interrupted(f"{done} of {len(files)} files are checked{kept}")
    return 0 if all(row.verdict == "right" for row in rows) else 1


def learner_files(root: Path) -> list[Path]:
    """The Python files in a folder and below, in order; hidden ones are left out. Raises Unusable if there are none."""
    if root.is_file():
        return [root]
    found = [p for p in root.rglob("*.py") if not any(part[0] in "._" for part in p.relative_to(root).parts)]
    if not found:
        raise Unusable(f"there is no Python file in {root}" if root.is_dir() else f"there is no folder {root}")
    return sorted(found)


def rows_of(file: Path, name: str, options: Options) -> Iterator[Row]:
    """The lines of one file, as they come; one line where it cannot be used."""
    try:
        for checked in checks(file, options):
            yield _row(name, checked)
    except Unusable as error:
        yield Row(name, "", "", "", "unusable", "", "", str(error), 0.0)


def as_text(rows: Sequence[Row]) -> str:
    """A line for every derivation, then every exercise, then every mistake of the class."""
    lines = [(r.file, r.derivation, WORDS.get(r.verdict, r.verdict.upper()), r.sentence[:90]) for r in rows]
    mistakes = by_mistake(rows)
    unusable = sum(r.verdict == "unusable" for r in rows)
    return "\n\n".join(
        [
            _columns(lines),
            _columns(by_exercise(rows)),
            *([_columns(mistakes)] if mistakes else []),
            *([f"{unusable} of {len({r.file for r in rows})} files cannot be used"] if unusable else []),
        ]
    )


def by_exercise(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """How the class did in every exercise, with the mistakes, the most frequent first."""
    table: list[tuple[str, ...]] = [("exercise", "right", "wrong", "uncertified", "mistakes")]
    for of in dict.fromkeys(r.of for r in rows if r.of):
        here = [r for r in rows if r.of == of]
        verdicts = Counter(r.verdict for r in here)
        kinds = Counter(kind for r in here for kind in r.kinds)
        said = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
        table.append((of, *(str(verdicts[v]) for v in ("right", "wrong", "uncertified")), said))
    return table


def by_mistake(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Which mistakes the class makes: in how many files, and in which exercises."""
    files = Counter(kind for _, kind in {(r.file, kind) for r in rows for kind in r.kinds})
    table: list[tuple[str, ...]] = [("mistake", "files", "in")]
    for kind, n in sorted(files.items(), key=lambda item: (-item[1], item[0])):
        table.append((kind, str(n), ", ".join(dict.fromkeys(r.of for r in rows if kind in r.kinds))))
    return table if len(table) > 1 else []


def _row(name: str, checked: Checked) -> Row:
    report = checked.report
    return Row(
        file=name,
        derivation=checked.name,
        of=checked.of,
        where=checked.where or "",
        verdict=checked.verdict,
        mistakes="; ".join(checked.mistakes),
        step=report.get("failed") or "",
        sentence="" if checked.ok else checked.summary,
        seconds=report.get("seconds", 0.0),
    )


@contextmanager
def _table(out: str | None) -> Iterator[Callable[[Row], None]]:
    """A function that adds a row to the CSV file, and has it on the disk at once; without a file it does nothing."""
    if out is None:
        yield lambda row: None
        return
    with open(out, "w", newline="", encoding="utf-8-sig") as stream:  # the mark tells Excel that it is UTF-8
        writer = csv.writer(stream)
        writer.writerow(Row._fields)

        def write(row: Row) -> None:
            writer.writerow([_harmless(cell) for cell in row])
            stream.flush()

        yield write


def _harmless(cell: str | float) -> str | float:
    """The cell, kept from being a formula: a learner's text must not be run by the teacher's spreadsheet."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in tuple("=+-@\t\r") else cell


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
