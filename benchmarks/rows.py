"""One row of the comparison: all sides do the same work, agree, and take turns.

The ratio is that of the shortest times, the best peer's over this project's: more than 1 is faster.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from benchmarks.setting import Problem
from benchmarks.worker import SIDES, Unanswered, Worker, missing

CLOSE = (1e-4, 1e-2)  # relative difference in float32 that still counts as agreement of a step's value and gradient
ATTACK_CLOSE = 0.03  # of an attack's mean norm: foolbox linearises at the overshot point
PATIENCE = {"ready": 120.0, "first": 20.0, "compiled": 60.0, "deepfool": 120.0}  # seconds; then a side is left out
SLOW = 5.0  # seconds of a step, from which on one call must do
SETTLE = 0.005  # seconds before each turn, in which idle threads stop spinning

DISAGREES = "does not do the same work"  # so its time cannot be compared

Row = dict[str, dict[str, Any]]  # "seconds", "bytes", "left_out", each by side


def start(problem: Problem, names: Iterable[str] = SIDES) -> list[Worker]:
    """The sides that are installed, each ready in a process of its own; this project is the first."""
    absent = missing()
    workers = [Worker(name, problem) for name in names if name not in absent]
    for worker in workers:
        try:
            worker.steps = worker.ask("ready", limit=PATIENCE["ready"])
        except Unanswered as reason:
            if worker.name == "tinygrad2":
                raise
            worker.ended = worker.ended or str(reason)
    return workers


def row(workers: list[Worker], step: str, repeats: int, budget: float) -> Row:
    """Times and peak memory of those who can take the step: `repeats` turns, fewer of a side that spent its budget."""
    result: Row = {"seconds": {}, "bytes": {}, "left_out": {}}
    able = [w for w in workers if step in w.steps]
    first = agree(able, step, result["left_out"])
    slow = {w.name: t for w, t in first if t > SLOW and not SIDES[w.name].compiles}  # one call must do
    result["seconds"] |= slow
    agreeing = [w for w, _ in first if w.name not in slow]
    spent = dict.fromkeys((w.name for w in agreeing), 0.0)
    patience = PATIENCE["deepfool" if step == "deepfool" else "first"]
    for turn in range(repeats):
        for worker in agreeing[:: -1 if turn % 2 else 1]:
            if spent[worker.name] > budget or worker.ended:
                continue
            time.sleep(SETTLE)
            begin = time.perf_counter()
            try:
                best = worker.ask("seconds", step, limit=patience)
            except Unanswered as reason:
                result["left_out"][worker.name] = str(reason)
                continue
            spent[worker.name] += time.perf_counter() - begin
            result["seconds"][worker.name] = min(best, result["seconds"].get(worker.name, best))
    for worker in agreeing:
        if step != "deepfool" and worker.name in result["seconds"]:
            with suppress(Unanswered):
                result["bytes"][worker.name] = worker.ask("memory", step, limit=patience)
    result["left_out"] |= {w.name: w.ended for w in workers if w.ended and (step in w.steps or not w.steps)}
    return result


def agree(workers: list[Worker], step: str, left_out: dict[str, str]) -> list[tuple[Worker, float]]:
    """Who answered with this project's value and gradient, and the seconds; the others are left out with the reason."""
    agreeing: list[tuple[Worker, float]] = []
    ours: Any = None
    for worker in workers:
        patience = PATIENCE["compiled" if SIDES[worker.name].compiles else "first"]
        try:
            value, gradient, seconds = worker.ask("first", step, limit=patience)
        except Unanswered as reason:
            if worker.name == "tinygrad2":
                raise
            left_out[worker.name] = str(reason)
            continue
        ours = ours or (value, gradient)
        if off := difference(*ours, value, gradient):
            left_out[worker.name] = f"{DISAGREES}: {off}"
        else:
            agreeing.append((worker, seconds))
    return agreeing


def difference(ours: float, our_gradient: Any, value: float, gradient: Any) -> str:
    """In words, and empty where value and gradient agree; nan agrees with nothing."""
    import numpy as np

    close = CLOSE[0]
    off = 0.0
    if gradient is None:
        close = ATTACK_CLOSE
    else:
        off = float(np.linalg.norm(gradient - our_gradient) / max(np.linalg.norm(our_gradient), np.finfo("f").tiny))
    if abs(value - ours) <= close * abs(ours) and off <= CLOSE[1]:
        return ""
    return f"its value is {value:.6g}, ours {ours:.6g}; gradients differ by {off:.1e}"


def best_peer(values: dict[str, Any]) -> str | None:
    """The name of the smallest value that is not this project's; None where there is none."""
    peers = {name: value for name, value in values.items() if name != "tinygrad2" and value is not None}
    return min(peers, key=peers.__getitem__) if peers else None


def ratio(values: dict[str, Any]) -> float | None:
    """The best peer's over ours; None where either is not there."""
    peer = best_peer(values)
    return values[peer] / values["tinygrad2"] if peer and values.get("tinygrad2") else None
