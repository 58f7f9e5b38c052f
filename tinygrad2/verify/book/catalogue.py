"""The table of all exercises: what `exercises()` and `tinygrad2 list exercises` print."""

from __future__ import annotations

import html
from collections.abc import Iterable

from tinygrad2.verify.book.base import Exercise

COLUMNS = ("name", "difficulty", "order", "what")


class Catalogue(list[str]):
    """The names of exercises, in a list that prints as a table: name, difficulty, orders that `check` takes, task."""

    def __init__(self, found: Iterable[Exercise]) -> None:
        found = list(found)
        super().__init__(ex.name for ex in found)
        self.rows = [(ex.name, ex.difficulty, ex.order, ex.task) for ex in found]

    def __repr__(self) -> str:
        rows = [COLUMNS, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        return "\n".join("  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows)

    def _repr_html_(self) -> str:
        """The same for notebooks."""
        head = "".join(f'<th style="text-align:left">{title}</th>' for title in COLUMNS)
        rows = ["".join(f'<td style="text-align:left">{html.escape(cell)}</td>' for cell in row) for row in self.rows]
        return f"<table><thead><tr>{head}</tr></thead><tbody><tr>{'</tr><tr>'.join(rows)}</tr></tbody></table>"
