"""Time of the Jacobian penalty's step against batch, classes K, depth and image size."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from benchmarks import tables
from benchmarks.rows import row, start
from benchmarks.setting import problem

# axis -> points: what is drawn, the network, its options and the batch. A cross-entropy needs two classes.
AXES: dict[str, list[tuple[int, str, dict[str, Any], int]]] = {
    "batch": [(n, "lenet", {}, n) for n in (10, 30, 100, 300, 1000)],
    "classes": [(k, "lenet", {"classes": k}, 20) for k in (2, 5, 10, 30, 100)],
    "depth": [(d, "deep", {"depth": d}, 100) for d in (2, 5, 20, 50, 200)],
    "image side": [(s, "scaled", {"size": s}, 20) for s in (20, 28, 56, 112)],
}
SIDES = ("tinygrad2", "PyTorch eager", "PyTorch is_grads_batched", "torch.func", "JAX jit")


def growth(report: dict[str, Any], options: argparse.Namespace, save: Callable[[], None]) -> None:
    """A row for each point that the report does not have yet; untrained networks do here."""
    print(tables.HEAD, flush=True)
    for axis, points in AXES.items():
        curve = report["growth"].setdefault(axis, {})
        for at, net, settings, batch in points:
            if str(at) in curve:
                continue
            workers = start(problem(net, batch, 0, steps=0, **settings), SIDES)
            try:
                curve[str(at)] = row(workers, "jacobian", min(3, options.repeats), options.budget)
            finally:
                for worker in workers:
                    worker.close()
            save()
            print(tables.line(axis, str(at), curve[str(at)]), flush=True)
