"""`steps`: record a run and look at it as a text table, or as plain data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad2.autodiff import TensorLike
from tinygrad2.nn.summary import table
from tinygrad2.view.record import SCHEMA, Record, StepRecord, numbers_text, record_of, shape_text
from tinygrad2.view.run import run


class Steps:
    """A recorded run: it prints as a table. record: the run as plain data; `view/record.py` says what is in it."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def __repr__(self) -> str:
        shown = self.record["levels"][0]["steps"]
        leaves = ", ".join(s["symbol"] for s in shown if s["kind"] == "input")
        count = sum(s["number"] is not None for s in shown)
        head = f"{self.record['function']}({leaves}), orders 0 to {self.record['orders']}: {count} steps"
        names = ("step", "lane", "value", "operation", "shape", "numbers")
        return f"{head}\n{table([names, *(self._line(s) for s in shown)])}"

    def _line(self, s: StepRecord) -> tuple[str, ...]:
        lane = self.record["passes"][s["lane"]]
        name = lane["name"].partition(",")[0]
        value = self.record["values"][s["value"]]
        return (
            str(s["number"] or ""),
            f"{name} →" if lane["direction"] > 0 else f"← {name}",
            self.formula(s),
            s["operation"],
            shape_text(value),
            numbers_text(value),
        )

    def formula(self, step: StepRecord) -> str:
        """The last line of a step's formula with the symbols of the values in it; for a leaf its symbol."""
        if not step["formula"]:
            return step["symbol"]
        text = step["formula"][-1]
        symbols = {s["id"]: s["symbol"] for level in self.record["levels"] for s in level["steps"]}
        own = next(level["steps"] for level in self.record["levels"] if step in level["steps"])
        symbols |= {s["id"]: s["symbol"] for s in own} | step["letters"]
        for key, symbol in symbols.items():
            text = text.replace(f"{{{key}}}", symbol)
        return text

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(self.record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

    def save_json(self, path: str | Path) -> Path:
        """Save the record; `load` reads it."""
        path = Path(path)
        path.write_text(self.to_json(), encoding="utf-8")
        return path


def steps(
    fn: Callable[..., Any],
    *args: Any,
    orders: int = 2,
    by: Sequence[str] | None = None,
    cotangent: TensorLike | None = None,
    tangents: Any = None,
    title: str | None = None,
) -> Steps:
    """Record fn(*args), its backward pass, and the backward pass of that, as steps with values.

    fn: returns one Tensor of any shape; it may take gradients itself. args: arrays of any shapes, nested lists of
        them, and networks. Floating arrays are differentiated by, all others are constants.
    orders: how many times is differentiated. What fn differentiates itself counts: where it returns the penalty
        ‖∂L/∂x‖², one more backward pass is the second order.
    by: the names of the arguments and parameters whose gradients are wanted; all by default.
    cotangent: where the first missing backward pass starts, of the output's shape; it may be left out for a scalar.
    tangents: in which direction a gradient is differentiated again, one array of the gradient's shape for each of
        `by`. By default the gradient itself, which gives the gradient of ½‖gradient‖². The result is that of `tg.hvp`.
    title: of the record.

    Raises TypeError where fn returns no Tensor, ValueError for an unknown name in `by`.

    >>> run = tg.view.steps(lambda x: (x * x * x).sum(), np.array([1.0, 2.0]), tangents=np.array([1.0, 1.0]))
    >>> run.record["values"][run.record["gradients"][1]["x"]]["data"]  # as tg.hvp
    [6, 12]
    """
    if not callable(fn):
        raise TypeError(f"steps: expected a function and its arguments, got {type(fn).__name__}")
    if orders < 0:
        raise ValueError(f"steps: orders must be 0 or more, got {orders}")
    return Steps(record_of(run(fn, args, orders, by, cotangent, tangents), orders, title))


def load(source: str | Path | Mapping[str, Any]) -> Steps:
    """A recorded run from a file that `save_json` wrote, or from the record itself.

    Raises ValueError for a record of another schema.

    >>> run = tg.view.steps(lambda x: x * x, 3.0, orders=1)
    >>> tg.view.load(run.record).record == run.record
    True
    """
    record: Any = source if isinstance(source, Mapping) else json.loads(Path(source).read_text(encoding="utf-8"))
    if record.get("schema") != SCHEMA:
        raise ValueError(f"load: expected a record of the schema {SCHEMA!r}, got {record.get('schema')!r}")
    return Steps(record)
