"""Running a check: climb the ladder, look for the smallest failing case, name the mistake, and report.

The ladder says whether, shrinking says where, the diagnosis says what. Nothing that the learner's code does raises
here; only a wrong use of the checker does, or a forward function that cannot be evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.verify.counterexample import by_configuration, describe
from tinygrad2.verify.diagnosis import diagnose
from tinygrad2.verify.differences import Uncertified, Unsteady
from tinygrad2.verify.gradcheck import gradcheck
from tinygrad2.verify.ladder import AGAIN, DTYPE, STEPS, Finding, climb, dtype
from tinygrad2.verify.mistakes.hypothesis import Diagnosis
from tinygrad2.verify.point import Broken, Point, Tally, make_point
from tinygrad2.verify.problem import Problem
from tinygrad2.verify.report import Report
from tinygrad2.verify.shrink import smallest
from tinygrad2.verify.space import Examples
from tinygrad2.verify.still import still

NEAR = 3  # points near the given values, where there are any
TRIES = 30  # draws before a check gives up
POINTS = 12  # random cases; a diagnosis must repair all of them
SECOND = "order 2"
BROKEN = "the search for a name has broken"


def run(problem: Problem, seed: int = 0, order: int = 1, exercise: str | None = None) -> Report:
    """Climb the ladder with one problem and report. Nothing that f or the rule holds is changed."""
    start = time.perf_counter()
    tally = Tally()
    with still(problem.f, problem.rule, problem.cotangent_of) as (f, rule, forward):
        try:
            report = _climbed(replace(problem, f=f, rule=rule, cotangent_of=forward), seed, order, exercise, tally)
        except Uncertified as error:
            report = Report(problem.name, False, reason=str(error))
    report.calls = tally.calls
    report.notes = [*tally.notes, *report.notes]
    report.seconds = round(time.perf_counter() - start, 3)
    return report


def _climbed(problem: Problem, seed: int, order: int, exercise: str | None, tally: Tally) -> Report:
    """The whole ladder at one point after another."""
    rng = np.random.default_rng(seed)
    points: list[Point] = []
    steps = [*STEPS, AGAIN, DTYPE, *([SECOND] if order == 2 else [])]
    passed, finding = _everywhere(problem, points, rng, tally)
    if finding is None:
        passed, finding = _then(passed, DTYPE, dtype(points[0], problem.space.dtypes))
    if finding is None or finding.mistake != DTYPE:
        tally.notes |= _remark(points[0])
    if finding is None and order == 2:
        passed, finding = _then(passed, SECOND, _second_order(problem, points[0]))
    report = Report(problem.name, finding is None, passed, steps=len(steps))
    if finding is not None:
        report.failed = steps[len(passed)]
        report.finding = finding.sentence
        report.exercise = exercise
        report.hint = exercise and f"tg.exercise({exercise!r}).hint(1)"
        if "MemoryError" not in finding.sentence:  # such a rule had better not run a hundred times more
            _explain(report, finding, points, rng, tally)
    elif tally.unsure:
        report.ok = False
        report.reason = tally.unsure
    report.checked = what_was_checked(points)
    return report


def _then(passed: list[str], name: str, finding: Finding | None) -> tuple[list[str], Finding | None]:
    """The steps passed with one more step, or without it where it found something."""
    return (passed if finding else [*passed, name]), finding


def _remark(p: Point) -> dict[str, None]:
    """What there is to say about the dtype beside the verdict."""
    try:
        finding = dtype(p)
    except Broken:
        return {}
    return {f"besides, {finding.sentence}": None} if finding else {}


def draw_point(problem: Problem, rng: np.random.Generator, tally: Tally, number: int = NEAR + 1) -> Point:
    """A point whose configuration f takes; of examples the first is the given one, and the next are near it.

    Raises ValueError with f's own error where f takes none, Uncertified where none has a certain derivative.
    """
    reason: Exception | None = None
    examples = isinstance(problem.space, Examples)
    for _ in range(TRIES):
        case = problem.space.draw(rng)
        if examples and number <= NEAR:
            case = replace(case, where="near" if number else "given")
        try:
            return make_point(problem, case, tally)
        except Unsteady:
            raise
        except Uncertified as error:
            reason = error
            tally.skipped += 1
            if examples and not number:
                tally.notes[f"the given values cannot be checked, {error}: points beside them were taken"] = None
            number += 1
        except (ValueError, IndexError) as error:  # this configuration does not fit together: take another
            reason = error
            if examples:
                break
    if isinstance(reason, Uncertified):
        raise reason
    raise ValueError(f"{problem.name}: the forward function cannot be evaluated anywhere: {reason}") from reason


def _everywhere(
    problem: Problem, points: list[Point], rng: np.random.Generator, tally: Tally
) -> tuple[list[str], Finding | None]:
    """Climb at one point after another, which are added to `points`; where nobody can tell, at another in its place."""
    unsure: list[str] = []
    number = 0
    while len(points) < POINTS:
        p = draw_point(problem, rng, tally, number)
        number = NEAR if len(unsure) >= POINTS // 2 else number + 1  # then rather near the given values
        passed, finding = climb(p, STEPS)
        if finding:
            first = not points
            points.append(p)
            if first:
                return passed, finding
            said = f"{[*STEPS][len(passed)]}, at {p.case}: {finding.sentence}"
            return [*STEPS], Finding(said, finding.mistake)
        reason = p.unsure()
        if reason is None or p.case.where == "given" or len(unsure) >= POINTS:
            points.append(p)
        if reason is not None:
            unsure.append(reason)
            if p.case.where == "given" or len(unsure) > POINTS:
                tally.unsure = reason
            if len(unsure) > POINTS:
                break
    if unsure and not tally.unsure:
        tally.notes[f"{len(unsure)} of {number} points could not be told and were replaced: {unsure[0]}"] = None
    return [*STEPS, AGAIN], None


def what_was_checked(points: Sequence[Point]) -> str:
    """At how many points, in which ranges, and for which results."""
    problem = points[0].problem
    given = sum(p.case.where == "given" for p in points)
    near = sum(p.case.where == "near" for p in points)
    drawn = len(points) - given - near
    places = [*["the given values"] * bool(given), *[f"{near} points within 10 % of them"] * bool(near)]
    places += [f"{drawn} drawn points"] * bool(drawn)
    ranges = []
    for i, name in enumerate(problem.names[: len(points[0].inputs)]):
        values = np.concatenate([p.inputs[i].ravel() for p in points])
        if values.size and i in points[0].slices:
            ranges.append(f"{name} from {values.min():.3g} to {values.max():.3g}")
    results = ", ".join(problem.result(k) for k in range(len(problem.wrt)))
    left = [f"d{problem.names[i]}" for i in points[0].slices if i not in problem.wrt and problem.names[i:]]
    said = f"{results} at {', '.join(places)} ({'; '.join(ranges)})"
    return said + (f"; not checked: {', '.join(left)}" if left else "")


def _explain(report: Report, finding: Finding, points: list[Point], rng: np.random.Generator, tally: Tally) -> None:
    """Fill in the smallest case, the table and the diagnosis of a wrong derivation."""
    try:
        while len(points) < POINTS:
            points.append(draw_point(points[0].problem, rng, tally, len(points)))
    except Uncertified:
        pass  # there are hardly any other points
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
        found = {k: d for k in wrong if (d := _named(report, points, k)) is not None}
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


def _named(report: Report, points: Sequence[Point], k: int) -> Diagnosis | None:
    """The mistake in the k-th result. Where the search itself breaks, the verdict stands, and a note says so."""
    try:
        return diagnose(points, k)
    except Exception as error:
        report.notes.append(f"{BROKEN} ({type(error).__name__}: {error}); please report it with your f")
        return None


def _which_order(report: Report, problem: Problem, failing: Sequence[Point]) -> None:
    """The part by g is Ju, which the first order settles; a mistake in the other parts alone is one of second order."""
    last = len(problem.wrt) - 1
    if all(last not in p.wrong() for p in failing):
        report.mistakes.append("second-order")
        report.notes.append("second order: the part by g (that is J·u) is right, so your first-order derivative is")


def tell_inherited(report: Report, first: Report) -> None:
    """Say whether the mistake of a double backward is there already in the first-order rule (report: `first`)."""
    if first.verdict == "uncertified":
        return
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
    return any(not p.close(a, e) for a, e in zip(got, p.expected_for(ones), strict=True))


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
    if second.reason is not None:
        p.tally.unsure = f"order 2: {second.reason}"
        return None
    lost = "the rule is right, but its own derivative is not: a Tensor was detached, or made a constant, on the way"
    return Finding(f"{lost}. {second.lines[0] if second.lines else ''}", "second-order")
