"""The report as files: JSON, and made from it a Markdown table and pictures, each written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.rows import best_peer, ratio
from tinygrad2.nn import atomic_write

HEAD = (
    "| network | step | tinygrad2 ms | best peer ms | ratio | tinygrad2 MB | leanest peer MB | ratio |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|"
)


def line(name: str, step: str, row: dict[str, dict[str, Any]]) -> str:
    """One row of the table: ratios above 1 are in this project's favour."""
    cells = [f"{name} | {step}"]
    for unit, values in ((1e-3, row["seconds"]), (1e6, row["bytes"])):
        peer = best_peer(values)
        times = ratio(values)
        ours = values.get("tinygrad2")
        cells.append("–" if ours is None else f"{ours / unit:.1f}")
        cells.append(f"{values[peer] / unit:.1f} ({peer})" if peer else "–")
        cells.append("–" if times is None else f"{times:.2f}")
    return f"| {' | '.join(cells)} |"


def markdown(report: dict[str, Any]) -> str:
    """The whole report: setting, the table of best peers, every side's times, growth, overhead."""
    setting = report["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in setting["packages"].items() if number)
    absent = ", ".join(f"{name} ({why})" for name, why in report["missing"].items()) or "none"
    variables = ", ".join(f"{name}={value}" for name, value in setting["variables"].items()) or "none"
    lines = [
        "# Benchmark results",
        "",
        f"{setting['date']}, {setting['cpu']}, {setting['threads']} threads a side, Python {setting['python']}, "
        f"{versions}.",
        f"Variables that change speed: {variables}.",
        f"Load {setting['load']} before, {report.get('load_after')} after. Missing peers: {absent}.",
        f"Batches: {', '.join(f'{model} {n}' for model, n in report['batch'].items())}; "
        f"DeepFool attacks {report['attacked']} images.",
        "",
        HEAD,
        *(line(model, step, row) for model, rows in report["steps"].items() for step, row in rows.items()),
        *_sides("Milliseconds of every side", report["steps"], "seconds", 1e-3),
        *_sides(
            "Peak megabytes of every side, beyond what was held before its first step", report["steps"], "bytes", 1e6
        ),
        *_sides("Growth: milliseconds of the Jacobian penalty's step", report["growth"], "seconds", 1e-3),
    ]
    reasons = [f"- {model}, {step}: {name}: {reason}" for model, step, name, reason in left_out(report)]
    lines += ["", "## Left out", "", *reasons] if reasons else []
    if report["overhead"]:
        lines += ["", "## Overhead", ""]
        for name, values in report["overhead"].get("microseconds", {}).items():
            lines.append(f"- {name}: " + ", ".join(f"{what} {us:.2f} µs an addition" for what, us in values.items()))
        for name, values in report["overhead"].get("microseconds of NumPy's functions", {}).items():
            lines.append(f"- {name}: " + ", ".join(f"{call} {us:.2f} µs" for call, us in values.items()))
        for kind, ratios in report["overhead"].get("penalty / plain step", {}).items():
            times = ", ".join(f"{name} {times:.1f}" for name, times in ratios.items())
            lines.append(f"- penalty / plain step {kind} batch normalisation: {times}")
    return "\n".join(lines) + "\n"


def left_out(report: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Network or axis, step or point, side, and the reason why it has no time there."""
    for model, rows in {**report["steps"], **report["growth"]}.items():
        for step, row in rows.items():
            for name, reason in row["left_out"].items():
                yield model, step, name, reason


def _sides(title: str, table: dict[str, Any], what: str, unit: float) -> list[str]:
    """A table with a column for each side; none where nothing was measured."""
    rows = [(model, step, row[what]) for model, rows in table.items() for step, row in rows.items() if row[what]]
    names = list(dict.fromkeys(name for *_, values in rows for name in values))
    if not rows:
        return []
    head = f"| | | {' | '.join(names)} |\n|---|---|{'---:|' * len(names)}"
    number = lambda value: "–" if value is None else f"{value / unit:.2f}"
    body = (f"| {m} | {s} | {' | '.join(number(values.get(name)) for name in names)} |" for m, s, values in rows)
    return ["", f"## {title}", "", head, *body]


def write(path: Path, report: dict[str, Any]) -> None:
    """JSON, Markdown and, where matplotlib is installed, pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as file:
        file.write(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    with atomic_write(path.with_suffix(".md"), "w") as file:
        file.write(markdown(report))
    if find_spec("matplotlib"):
        from benchmarks import pictures

        pictures.write(path, report)
