"""Running a check: climb the ladder, look for the smallest failing case, name the mistake, and report.

The ladder says whether, shrinking says where, the diagnosis says what. Nothing that the learner's code does raises
here; only a wrong use of the checker does, or a forward function that cannot be evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.verify.counterexample import by_configuration, describe
from tinygrad2.verify.diagnosis import diagnose
from tinygrad2.verify.differences import Uncertified
from tinygrad2.verify.gradcheck import gradcheck
from tinygrad2.verify.ladder import AGAIN, STEPS, Finding, climb
from tinygrad2.verify.point import Point, Tally, make_point
from tinygrad2.verify.problem import Problem
from tinygrad2.verify.report import Report
from tinygrad2.verify.shrink import smallest
from tinygrad2.verify.space import Examples

POINTS = 12  # random cases; a diagnosis must repair all of them
SECOND = "order 2"


def run(problem: Problem, seed: int = 0, order: int = 1, exercise: str | None = None) -> Report:
    """Climb the ladder with one problem and report."""
    start = time.perf_counter()
    tally = Tally()
    rng = np.random.default_rng(seed)
    first = draw_point(problem, rng, tally)
    passed, finding = climb(first, STEPS)
    points = [first]
    steps = [*STEPS, AGAIN, *([SECOND] if order == 2 else [])]
    if finding is None:
        finding = _elsewhere(problem, points, rng, tally)
        passed += [] if finding else [AGAIN]
    if finding is None and order == 2:
        finding = _second_order(problem, first)
        passed += [] if finding else [SECOND]
    report = Report(problem.name, finding is None, passed, steps=len(steps))
    if finding is not None:
        report.failed = steps[len(passed)]
        report.finding = finding.sentence
        report.exercise = exercise
        report.hint = exercise and f"tg.exercise({exercise!r}).hint(1)"
        if "MemoryError" not in finding.sentence:  # such a rule had better not run a hundred times more
            _explain(report, finding, points, rng, tally)
    report.calls = tally.calls
    report.notes = [*tally.notes, *report.notes]
    report.seconds = round(time.perf_counter() - start, 3)
    return report


def draw_point(problem: Problem, rng: np.random.Generator, tally: Tally) -> Point:
    """A random point whose configuration f takes. Raises ValueError with f's own error where f takes none."""
    reason: Exception | None = None
    for _ in range(60):
        try:
            return make_point(problem, problem.space.draw(rng), tally)
        except Uncertified as error:
            reason = error
            tally.skipped += 1
        except (ValueError, IndexError) as error:  # this configuration does not fit together: take another
            reason = error
            if isinstance(problem.space, Examples):
                break
    raise ValueError(f"{problem.name}: the forward function cannot be evaluated anywhere: {reason}") from reason


def _elsewhere(problem: Problem, points: list[Point], rng: np.random.Generator, tally: Tally) -> Finding | None:
    """Climb again at other cases; they are added to `points`."""
    steps = {name: step for name, step in STEPS.items() if name != "dtype"}
    while len(points) < POINTS:
        points.append(draw_point(problem, rng, tally))
        passed, finding = climb(points[-1], steps)
        if finding:
            return Finding(f"{[*steps][len(passed)]}, at {points[-1].case}: {finding.sentence}", finding.mistake)
    return None


def _explain(report: Report, finding: Finding, points: list[Point], rng: np.random.Generator, tally: Tally) -> None:
    """Fill in the smallest case, the table and the diagnosis of a wrong derivation."""
    while len(points) < POINTS:
        points.append(draw_point(points[0].problem, rng, tally))
    report.failures_by_configuration = by_configuration(points)
    failing = [p for p in points if p.wrong()]
    report.case = str((failing or points)[0].case)
    if failing:
        lowest = smallest(min(failing, key=lambda p: sum(a.size for a in p.inputs)))
        report.case = str(lowest.case)
        report.counterexample = describe(lowest)
        report.ones_would_catch = any(_ones_catch(p) for p in failing[:4])
    _name_mistakes(report, finding, points, failing)


def _name_mistakes(report: Report, finding: Finding, points: Sequence[Point], failing: Sequence[Point]) -> None:
    """Per wrong result the mistake that explains every case; and what the ladder itself has found."""
    problem = points[0].problem
    wrong = sorted({k for p in failing for k in p.wrong()})
    with np.errstate(all="ignore"):
        found = {k: d for k in wrong if (d := diagnose(points, k)) is not None}
    report.repairs = [*found.items()]
    several = len(problem.wrt) > 1
    said = [f"{problem.result(k) + ': ' if several else ''}{d.sentence}" for k, d in found.items()]
    mistakes = [m for d in found.values() for m in d.mistakes]
    if finding.mistake:
        said.append(finding.sentence[:1].upper() + finding.sentence[1:] + ".")
        mistakes.append(finding.mistake)
    report.mistakes = list(dict.fromkeys(mistakes))
    said += [problem.remarks[m] for m in report.mistakes if m in problem.remarks]
    if said:
        report.diagnosis = f"({len(points)} of {len(points)} random cases) " + "\n  ".join(said)
    unnamed = [problem.result(k) for k in wrong if k not in found]
    if said and unnamed:
        report.notes.append(f"no single known mistake explains {', '.join(unnamed)}")
    if problem.cotangent_of and failing:
        _which_order(report, problem, failing)


def _which_order(report: Report, problem: Problem, failing: Sequence[Point]) -> None:
    """The part by g is Ju, which the first order settles; a mistake in the other parts alone is one of second order."""
    last = len(problem.wrt) - 1
    if all(last not in p.wrong() for p in failing):
        report.mistakes.append("second-order")
        report.notes.append("second order: the part by g (that is J·u) is right, so your first-order derivative is")


def tell_inherited(report: Report, first: Report) -> None:
    """Say whether the mistake of a double backward is there already in the first-order rule (report: `first`)."""
    if first.ok:
        report.mistakes = list(dict.fromkeys([*report.mistakes, "second-order"]))
        report.notes.append("your first-order rule is right: the mistake was made in differentiating it")
    else:
        report.mistakes = [m for m in first.mistakes if m != "second-order"]
        report.diagnosis = f"The mistake is of first order, in {first.name}: {first.diagnosis or first.finding}"


def _ones_catch(p: Point) -> bool:
    """True if the usual test with a cotangent of ones would have seen the mistake at this point."""
    ones = np.ones_like(p.g)
    try:
        got = p.claim(g=ones)
    except Exception:
        return True
    return any(a is not None and not p.close(a, e) for a, e in zip(got, p.expected_for(ones), strict=True))


def _second_order(problem: Problem, p: Point) -> Finding | None:
    """A rule in Tensors must let derivatives pass: its tape is compared with differences of its own, right, values."""

    def rule(*args: Any) -> Any:
        *inputs, g = args
        return problem.rule(g, *inputs, **p.case.params)

    g = p.g.reshape(p.truth.out_shapes[0])
    try:
        result = rule(*[Tensor(a) if a.dtype.kind == "f" else a for a in [*p.inputs, g]])
    except (TypeError, AttributeError):
        result = None
    leaves = list(result) if isinstance(result, tuple | list) else [result]
    if not any(isinstance(r, Tensor) for r in leaves):
        said = "order 2: the rule is plain NumPy; it is right, so derive it again and use check_double_vjp"
        p.tally.notes[said] = None
        return None
    second = gradcheck(rule, *p.inputs, g)
    if second.ok:
        return None
    lost = "the rule is right, but its own derivative is not: a Tensor was detached, or made a constant, on the way"
    return Finding(f"{lost}. {second.lines[0] if second.lines else ''}", "second-order")
