"""Two pictures of a report: the ratio of every step, and how time grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks.rows import ratio
from tinygrad2.nn import atomic_write


def write(path: Path, report: dict[str, Any]) -> None:
    """The pictures that the report has numbers for, as SVG files beside `path`."""
    for name, draw in {"steps": ratios, "growth": growth}.items():
        if any(report[name].values()):
            figure = draw(report[name])
            with atomic_write(path.with_name(f"{path.stem}-{name}.svg"), "w") as file:
                figure.savefig(file, format="svg", metadata={"Date": None})
            plt.close(figure)


def ratios(rows: dict[str, dict[str, Any]]) -> Figure:
    """Best peer's time over ours, a group of bars for each network."""
    steps = list(dict.fromkeys(step for of_model in rows.values() for step in of_model))
    figure, axes = plt.subplots(figsize=(9, 3.5), layout="constrained")
    for i, step in enumerate(steps):
        heights = [ratio(of_model.get(step, {}).get("seconds", {})) or 0 for of_model in rows.values()]
        axes.bar(
            [m + (i + 0.5) / (len(steps) + 1) for m in range(len(rows))], heights, 1 / (len(steps) + 1), label=step
        )
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks([m + 0.5 for m in range(len(rows))], list(rows))
    axes.set_ylabel("best peer's time / ours")
    axes.legend(ncols=4, fontsize="small")
    return figure


def growth(curves: dict[str, dict[str, Any]]) -> Figure:
    """Milliseconds of the Jacobian penalty's step, a panel for each axis, a line for each side."""
    drawn = {axis: rows for axis, rows in curves.items() if rows}
    figure, panels = plt.subplots(1, len(drawn), figsize=(3 * len(drawn), 3), layout="constrained", squeeze=False)
    for axes, (axis, rows) in zip(panels[0], drawn.items(), strict=True):
        for name in dict.fromkeys(name for row in rows.values() for name in row["seconds"]):
            points = [(int(at), 1e3 * row["seconds"][name]) for at, row in rows.items() if name in row["seconds"]]
            axes.loglog(*zip(*points, strict=True), marker=".", label=name)
        axes.set_xlabel(axis)
    panels[0][0].set_ylabel("ms")
    panels[0][0].legend(fontsize="x-small")
    return figure
