"""How the checker does on mistakes that somebody else wrote, in functions that it has not seen.

`python tests/score_elsewhere.py [DISAGREEMENTS.json]` checks every wrong rule of `elsewhere.ALL` and prints counts by
kind. Where a name that was given is not one that the author of the rule accepts, the report goes to the file: a person
has to judge whether its sentence is true of the rule.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import elsewhere
import numpy as np
from elsewhere.form import Function, Wrong

from tinygrad2.verify import check_double_vjp, check_jacobian, check_vjp
from tinygrad2.verify.report import Report

CHECKS = {"vjp": check_vjp, "jacobian": check_jacobian, "double_vjp": check_double_vjp}

# The names of the checker, and the kinds of mistakes for which each is a true word.
AGREES: dict[str, set[str]] = {
    "sign": {"sign", "sign-in-term"},
    "factor": {"factor", "factor-in-term", "mean-for-sum", "sum-for-mean", "wrong-constant"},
    "missing-term": {"missing-term", "detached", "elementwise", "only-part", "extra-term"},
    "extra-term": {"extra-term"},
    "missing-factor": {"missing-factor", "missing-inner-derivative", "wrong-derivative", "wrong-power", "extra-factor"},
    "extra-factor": {"extra-factor", "wrong-power", "wrong-derivative"},
    "wrong-derivative": {"wrong-derivative", "wrong-power", "missing-inner-derivative", "wrong-point"},
    "wrong-operand": {"wrong-variable", "wrong-point", "wrong-index"},
    "wrong-constant": {"wrong-constant", "epsilon", "factor", "wrong-power"},
    "wrong-axis": {"wrong-axis", "missing-sum"},
    "elementwise": {"elementwise"},
    "transpose": {"transpose", "wrong-axis", "wrong-variable"},
    "flip": {"wrong-order", "shift", "transpose"},
    "shift": {"shift", "wrong-index", "wrong-order"},
    "swap": {"swapped", "wrong-variable"},
    "unsummed": {"missing-sum", "wrong-axis", "only-part"},
    "broadcast": {"missing-sum", "wrong-axis"},
    "mask": {"mask"},
    "only-part": {"only-part", "missing-term", "shift"},
    "inverse": {"inverse"},
}


class Score(NamedTuple):
    """One wrong rule and what the checker said of it. agrees: None where it gave no name."""

    function: Function
    wrong: Wrong
    report: Report
    agrees: bool | None


def scores() -> Iterator[Score]:
    """Every wrong rule, checked."""
    for function in elsewhere.ALL:
        for wrong in function.wrong:
            with np.errstate(all="ignore"):
                report = CHECKS[function.check](function.forward, wrong.rule, *function.inputs)
            yield Score(function, wrong, report, _agrees(wrong, report))


def _agrees(wrong: Wrong, report: Report) -> bool | None:
    named = set(report.mistakes) - {"second-order"}
    if not named or report.diagnosis is None:
        return None
    accepted = {wrong.kind, *wrong.accepts}
    return all(name in accepted or bool(AGREES.get(name, set()) & accepted) for name in named)


def summary(rows: list[Score]) -> dict[str, Any]:
    """The counts of a run."""
    unnamed = [s for s in rows if s.agrees is None]
    seconds = [s.report.seconds for s in rows]
    return {
        "wrong rules": len(rows),
        "functions": len({s.function.name for s in rows}),
        "rejected": sum(not s.report.ok for s in rows),
        "named": len(rows) - len(unnamed),
        "agreeing with their author": sum(s.agrees is True for s in rows),
        "to be judged": sum(s.agrees is False for s in rows),
        "unnamed by kind": dict(Counter(s.wrong.kind for s in unnamed).most_common()),
        "named otherwise": {
            f"{kind} as {name}": n
            for (kind, name), n in Counter(
                (s.wrong.kind, ", ".join(s.report.mistakes)) for s in rows if s.agrees is False
            ).most_common()
        },
        "all by kind": dict(Counter(s.wrong.kind for s in rows).most_common()),
        "median seconds": round(float(np.median(seconds)), 3),
        "slowest seconds": round(max(seconds), 2),
    }


def main() -> None:
    start = time.perf_counter()
    rows = list(scores())
    for name, value in summary(rows).items():
        print(f"{name}: {value}")
    print(f"{time.perf_counter() - start:.0f} s")
    if len(sys.argv) > 1:
        doubtful = [
            {
                "function": s.function.name,
                "rule": s.wrong.name,
                "kind": s.wrong.kind,
                "truth": s.wrong.truth,
                "named": s.report.mistakes,
                "said": s.report.diagnosis,
            }
            for s in rows
            if s.agrees is False
        ]
        Path(sys.argv[1]).write_text(json.dumps(doubtful, indent=1))


if __name__ == "__main__":
    main()
