"""Finished runs side by side: runs that differ in their seed alone are one row, mean ± standard deviation.

Where two rows have seeds in common, the Wilcoxon signed-rank test on these pairs says whether the difference could be
chance (smooth gradient method, section 5).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad2.experiments import figures
from tinygrad2.experiments.config import difference, to_values
from tinygrad2.experiments.folder import Folder, make_folder, write_text
from tinygrad2.experiments.trained import title_of
from tinygrad2.robust.metrics.statistics import mean_sd, wilcoxon

Measured = dict[str, float]  # column → value, accuracies in per cent
# What does not change what is measured, so that runs which differ in it alone can share a row.
INCIDENTAL = ("run.seed", "run.device", "run.log_every", "run.checkpoint_every", "eval.n_curve")
UNDER = re.compile(r"(.+) (\S+) %")  # a column: the accuracy under an attack of that size
MEASURING = ("data.name", "data.pixels", "data.n_test", "data.upsample")
UNTIL_REFERENCE = ("run", "data", "model", "reference")  # the sections that a reference network depends on


@dataclass(frozen=True)
class Result:
    """One network of one run: its settings by dotted key, its seed, and what was measured."""

    title: str
    settings: dict[str, Any]
    seed: int
    measured: Measured
    path: str


@dataclass(frozen=True)
class Comparison:
    """Networks side by side. Print it.

    rows: title → seed → what was measured; the first row is what the others are tested against
    """

    rows: dict[str, dict[int, Measured]]

    @property
    def columns(self) -> list[str]:
        """The titles of the columns, each once, in the order of the runs."""
        return list(dict.fromkeys(c for seeds in self.rows.values() for m in seeds.values() for c in m))

    def values(self, row: str, column: str) -> list[float]:
        """What was measured, over the seeds that have it."""
        return [m[column] for m in self.rows[row].values() if column in m]

    def under(self) -> dict[str, dict[str, dict[float, list[float]]]]:
        """Attack → row → ε → accuracies in % over the seeds; ε = 0 is without an attack."""
        found: dict[str, dict[str, dict[float, list[float]]]] = {}
        for column in self.columns:
            if parts := UNDER.fullmatch(column):
                for row in self.rows:
                    if values := self.values(row, column):
                        clean = {0.0: self.values(row, "accuracy %")}
                        found.setdefault(parts[1], {}).setdefault(row, clean)[float(parts[2])] = values
        return found

    def cells(self) -> list[list[str]]:
        """Header and rows: title, number of seeds, and the mean ± standard deviation of each column."""
        head = ["", "seeds", *self.columns]
        return [head, *([row, str(len(self.rows[row])), *self._means(row)] for row in self.rows)]

    def markdown(self) -> str:
        """The table in Markdown, the tests under it."""
        head, *rows = self.cells()
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", *self.tests()])

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]
        lines.insert(1, "─" * len(lines[0]))
        return "\n".join([*lines, *self.tests()])

    def tests(self) -> list[str]:
        """Wilcoxon's p of every other row against the first, where they have at least two seeds in common."""
        first, *others = self.rows
        lines = []
        for row in others:
            seeds = sorted(self.rows[first].keys() & self.rows[row].keys())
            if len(seeds) > 1:
                tested = ", ".join(filter(None, (self._test(first, row, c, seeds) for c in self.columns)))
                least = f"{len(seeds)} pairs: p cannot be below {2.0 ** (1 - len(seeds)):.2g}"
                lines.append(f"{row} against {first}, Wilcoxon, {least}: {tested}")
        return lines

    def _means(self, row: str) -> Iterable[str]:
        for column in self.columns:
            values = self.values(row, column)
            digits = 2 if column.endswith("%") else 4
            if not values:
                yield "—"
            elif len(values) == 1:
                yield f"{values[0]:.{digits}f}"
            else:
                yield " ± ".join(f"{v:.{digits}f}" for v in mean_sd(values))

    def _test(self, first: str, row: str, column: str, seeds: Sequence[int]) -> str:
        pairs = [(self.rows[first][s].get(column), self.rows[row][s].get(column)) for s in seeds]
        if any(None in pair for pair in pairs):
            return ""
        a, b = np.array(pairs, dtype=float).T
        return f"{column} p = {wilcoxon(b, a):.2g}" if (a != b).any() else f"{column} equal"


def compare(paths: Iterable[str | os.PathLike[str]]) -> Comparison:
    """The networks of finished runs, grouped: runs that differ in their seed alone are one row.

    A reference network that several runs share counts once. Raises ValueError where runs were measured in different
    ways, FileNotFoundError for a run that is not finished.
    """
    results = [result for path in paths for result in read(path)]
    _check_measured_alike(results)
    groups: dict[tuple[str, str], dict[int, Result]] = {}
    for result in results:
        settings = {k: v for k, v in result.settings.items() if k not in INCIDENTAL}
        group = groups.setdefault((result.title, json.dumps(settings, sort_keys=True)), {})
        twin = group.setdefault(result.seed, result)
        if twin is not result and not (result.title == "Reference" and twin.measured == result.measured):
            raise ValueError(f"{twin.path} and {result.path} are the same run: same settings, same seed {result.seed}")
    titles = _titles([next(iter(group.values())) for group in groups.values()])
    rows = {t: {s: r.measured for s, r in g.items()} for t, g in zip(titles, groups.values(), strict=True)}
    return Comparison(dict(sorted(rows.items(), key=lambda row: not row[0].startswith(("Reference", "no defense")))))


def save(comparison: Comparison, out: str | os.PathLike[str]) -> list[Path]:
    """Write the table in Markdown, out.md, and as a picture, out.png. Result: both paths."""
    figures.require()
    path = Path(out)
    make_folder(path.parent)
    text, picture = (path.with_name(f"{path.name}.{suffix}") for suffix in ("md", "png"))
    write_text(text, comparison.markdown() + "\n")
    under = comparison.under()
    alone = [c for c in comparison.columns if UNDER.fullmatch(c) is None]
    columns = {c: {row: comparison.values(row, c) for row in comparison.rows} for c in alone}
    figures.comparison(columns, under, picture)
    return [text, picture]


def read(path: str | os.PathLike[str]) -> list[Result]:
    """The networks of one run. Raises FileNotFoundError unless the run is finished."""
    folder = Folder(path)
    config = folder.config()
    rows = folder.result()["rows"]
    settings = to_values(config)
    if "reference.weights" in settings:
        settings["reference.weights"] = "a file"  # of another run, another one for each seed
    before = {k: v for k, v in settings.items() if k.partition(".")[0] in (*UNTIL_REFERENCE, "eval")}
    return [
        Result("Reference", before, config.run.seed, _measured(row), str(path))
        if title == "Reference"
        else Result(title_of(config), settings, config.run.seed, _measured(row), str(path))
        for title, row in rows.items()
    ]


def _measured(row: Mapping[str, Any]) -> Measured:
    """One row of result.json. Acc@s is left out: each run has an ε_ref of its own."""
    found = {"accuracy %": 100 * row["accuracy"], "ρ₂": row["rho2"]}
    return found | {f"{a} {e} %": 100 * v for a, at in row.get("under", {}).items() for e, v in at.items()}


def _check_measured_alike(results: Sequence[Result]) -> None:
    first, *others = results
    keys = [k for k in first.settings if k in MEASURING or (k.startswith("eval.") and k not in INCIDENTAL)]
    for other in others:
        if unlike := difference(*({key: result.settings.get(key) for key in keys} for result in (first, other))):
            raise ValueError(f"{first.path} and {other.path} were measured in different ways: {unlike}")


def _titles(results: Sequence[Result]) -> list[str]:
    """One title for each group: the defense, and the settings in which groups with the same defense differ."""
    titles = []
    for result in results:
        same = [other for other in results if other.title == result.title]
        keys = dict.fromkeys(key for other in same for key in other.settings if key not in INCIDENTAL)
        differing = [k for k in keys if any(o.settings.get(k) != result.settings.get(k) for o in same)]
        titles.append(" ".join([result.title, *(f"{k}={result.settings.get(k)}" for k in differing)]))
    return titles
