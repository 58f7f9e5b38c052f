"""Tables in plain text: a printed reverse network, and the summary of a network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinygrad2.nn.reverse import Row

__all__ = ["Summary"]


def table(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def times(shape: tuple[int, ...]) -> str:
    """A shape as it is printed: 5×1×8×8."""
    return "×".join(map(str, shape))


@dataclass(frozen=True)
class Summary:
    """What `net.summary(x)` gives: it prints as a table.

    rows: those of the printed reverse network. parameters: how many numbers each parameter has, by its dotted name.

    >>> nn.Sequential(fc=nn.Linear(3, 2), relu=nn.ReLU()).summary(np.zeros((5, 3), np.float32))
    name   layer         output  parameters  reverse layer
    fc     Linear(3, 2)  5×2     8           ReverseLinear
    relu   ReLU()        5×2                 ReverseMask
    total  2 layers              8
    """

    rows: Sequence[Row]
    parameters: Mapping[str, int]

    def counts(self) -> list[int]:
        """How many numbers each row's layer learns. A shared parameter counts once, where it comes first."""
        counts = [0] * len(self.rows)
        for parameter, size in self.parameters.items():
            # A layer of your own may hide layers inside it: their parameters count for the row around them.
            around = [i for i, row in enumerate(self.rows) if f"{parameter}.".startswith(row.name and f"{row.name}.")]
            if around:
                counts[max(around, key=lambda i: len(self.rows[i].name))] += size
        return counts

    def __repr__(self) -> str:
        counts = self.counts()
        body = [
            (row.name, row.layer, times(row.shape), f"{count:,}" if count else "", row.reverse)
            for row, count in zip(self.rows, counts, strict=True)
        ]
        head = ("name", "layer", "output", "parameters", "reverse layer")
        total = ("total", f"{len(body)} layers", "", f"{sum(self.parameters.values()):,}", "")
        return table([head, *body, total])

    def _repr_html_(self) -> str:
        """The same for notebooks, escaped."""
        return f"<pre>{html.escape(repr(self))}</pre>"
