"""Checking derivations made by hand: of a vector-Jacobian product, a Jacobian, or a double backward.

The ladder says whether, shrinking says where, the diagnosis says what. Nothing that the learner's code does raises
here; only a wrong use of the checker does, or a forward function that cannot be evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.verify.diagnosis import diagnose
from tinygrad2.verify.gradcheck import gradcheck
from tinygrad2.verify.ladder import AGAIN, RUNGS, Finding, climb
from tinygrad2.verify.mistakes.hypothesis import Diagnosis
from tinygrad2.verify.problem import Point, Problem, Tally, make_point
from tinygrad2.verify.report import Report, by_configuration, describe
from tinygrad2.verify.shrink import smallest
from tinygrad2.verify.space import AnySpace, Draw, Examples, Space, WithCotangent
from tinygrad2.verify.truth import Uncertified, arrays_of, names_of

POINTS = 12  # random cases; a diagnosis must repair all of them
SECOND = "order 2"


def check_vjp(
    f: Callable[..., Any],
    vjp: Callable[..., Any],
    *inputs: Any,
    axes: str | None = None,
    params: Mapping[str, Sequence[Any]] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    draws: Mapping[int, Draw] | None = None,
    valid: Callable[..., bool] | None = None,
    order: int = 1,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check a vector-Jacobian product derived by hand; the report says whether, where and what is wrong.

    f(*inputs, **params) -> one array, in NumPy or in Tensors. vjp(g, *inputs, **params) -> one cotangent per floating
    input (a tuple; bare for one; None for "not claimed").
    inputs: examples that fix the shapes; or axes="n c h w, o c kh kw": sizes are drawn, equal names stay equal.
    params: the values to try of f's parameters, the simplest first. sizes, draws, valid: see Space.
    order=2: a vjp written in Tensors is differentiated too.
    """
    space = _space(inputs, axes, params, sizes, draws, valid)
    problem = _problem(f, vjp, space, name)
    return run(problem, seed=seed, order=order)


def check_jacobian(
    f: Callable[..., Any],
    jacobian: Callable[..., Any],
    *inputs: Any,
    axes: str | None = None,
    params: Mapping[str, Sequence[Any]] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    draws: Mapping[int, Draw] | None = None,
    valid: Callable[..., bool] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check a Jacobian derived by hand: jacobian(x, **params) -> shape (out.size, x.size), or out.shape + x.shape.

    Where f has several inputs, jacobian is by the first. Everything else is as in check_vjp.
    """
    space = _space(inputs, axes, params, sizes, draws, valid)
    return run(jacobian_problem(f, jacobian, space, name), seed=seed)


def check_double_vjp(
    f: Callable[..., Any],
    double_vjp: Callable[..., Any],
    *inputs: Any,
    vjp: Callable[..., Any] | None = None,
    axes: str | None = None,
    params: Mapping[str, Sequence[Any]] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    draws: Mapping[int, Draw] | None = None,
    valid: Callable[..., bool] | None = None,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Check a double backward: double_vjp(g, u, *inputs, **params) -> one cotangent per floating input, then one for g.

    It is the vector-Jacobian product of (inputs, g) ↦ vjp(f)(g, *inputs); u is that function's cotangent (a tuple for
    several inputs). vjp: your own first-order rule: a mistake inherited from it is then told from a new one.
    """
    space = _space(inputs, axes, params, sizes, draws, valid)
    names = [*_names(f, space), "g"]
    base = _problem(f, lambda g, *xs: None, space, name)
    problem = replace(
        base,
        name=name or str(getattr(double_vjp, "__name__", "double backward")),
        rule=turned(double_vjp),
        names=names,
        wrt=(*base.wrt, len(names) - 1),
        cotangent="u",
        second_order=True,
        double=True,
    )
    report = run(problem, seed=seed)
    if not report.ok and vjp is not None:
        _inherited(report, replace(base, rule=vjp), problem, vjp, seed)
    return report


def turned(double_vjp: Callable[..., Any]) -> Callable[..., Any]:
    """A double backward (g, u, *inputs) as the rule (u, *inputs, g) of the function (inputs, g) ↦ Jᵀg."""

    def rule(u: Any, *rest: Any, **params: Any) -> Any:
        *inputs, g = rest
        return double_vjp(g, u, *inputs, **params)

    return rule


def jacobian_problem(f: Callable[..., Any], jacobian: Callable[..., Any], space: AnySpace, name: str | None) -> Problem:
    """A claimed Jacobian as a rule: Jᵀg. Read as its transpose, if that is right, it names the mistake."""
    names = _names(f, space)

    def rule_of(transposed: bool) -> Callable[..., Any]:
        def rule(g: Any, *inputs: Any, **params: Any) -> Any:
            x = arrays_of(inputs[0])[0]
            g = arrays_of(g)[0]
            j = arrays_of(jacobian(*inputs, **params))[0]
            rows, columns = (x, g) if transposed else (g, x)
            if j.shape not in ((rows.size, columns.size), rows.shape + columns.shape):
                raise ValueError(
                    f"the Jacobian must have shape {(g.size, x.size)}, one row per output, or {g.shape + x.shape}; "
                    f"got {j.shape}"
                )
            j = j.reshape(rows.size, columns.size)
            product = (j if transposed else j.T) @ g.ravel()
            return product.reshape(x.shape).astype(x.dtype, copy=False)  # np.eye(n) in a Jacobian is no mistake

        return rule

    said = "Right after transposing J: its rows belong to the outputs, its columns to the inputs."
    label = name or str(getattr(jacobian, "__name__", "jacobian"))
    return Problem(label, f, rule_of(False), space, names, (0,), variants={"transpose": (said, rule_of(True))})


def run(problem: Problem, seed: int = 0, order: int = 1, exercise: str | None = None) -> Report:
    """Climb the ladder with one problem and report."""
    start, tally = time.perf_counter(), Tally()
    rng = np.random.default_rng(seed)
    first = draw_point(problem, rng, tally)
    passed, finding = climb(first, RUNGS)
    points, failed = [first], None if finding is None else [*RUNGS][len(passed)]
    if finding is None:
        finding, failed = _elsewhere(problem, points, rng, tally), AGAIN
        passed += [] if finding else [AGAIN]
    if finding is None and order == 2:
        finding, failed = _second_order(problem, first), SECOND
        passed += [] if finding else [SECOND]
    report = Report(problem.name, finding is None, passed, finding and failed, rungs=len(RUNGS) + 1 + (order == 2))
    if finding is not None:
        report.finding = finding.sentence
        if exercise:
            report.exercise, report.hint = exercise, f"tg.exercise({exercise!r}).hint(1)"
        if "MemoryError" not in finding.sentence:  # such a rule had better not run a hundred times more
            _explain(report, finding, points, rng, tally)
    report.calls, report.notes = tally.calls, [*tally.notes]
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
    rungs = {name: rung for name, rung in RUNGS.items() if name != "dtype"}
    while len(points) < POINTS:
        points.append(draw_point(problem, rng, tally))
        passed, finding = climb(points[-1], rungs)
        if finding:
            return Finding(f"{[*rungs][len(passed)]}, at {points[-1].case}: {finding.sentence}", finding.mistake)
    return None


def _explain(report: Report, finding: Finding, points: list[Point], rng: np.random.Generator, tally: Tally) -> None:
    """Fill in the case, the table and the diagnosis of a wrong derivation."""
    problem = points[0].problem
    while len(points) < POINTS:
        points.append(draw_point(problem, rng, tally))
    failing = [p for p in points if p.wrong()]
    report.case = str((failing or points)[0].case)
    report.failures_by_configuration = by_configuration(points)
    found: dict[str, Diagnosis] = {}
    if failing:
        for k in sorted({k for p in failing for k in p.wrong()}):
            with np.errstate(all="ignore"):
                d = diagnose(points, k)
            if d is not None:
                found[problem.result(k)] = d
                report.repairs.append((k, d))
        lowest = smallest(min(failing, key=lambda p: sum(a.size for a in p.inputs)))
        report.case, report.example = str(lowest.case), describe(lowest)
        report.ones_would_catch = any(_ones_catch(p) for p in failing[:4])
    if finding.mistake:
        found[""] = Diagnosis((finding.mistake,), finding.sentence[:1].upper() + finding.sentence[1:] + ".")
    report.mistakes = list(dict.fromkeys(m for d in found.values() for m in d.mistakes))
    several = len(problem.wrt) > 1
    said = [f"{name + ': ' if several and name else ''}{d.sentence}" for name, d in found.items()]
    said += [problem.remarks[m] for m in report.mistakes if m in problem.remarks]
    if said:
        report.diagnosis = f"({len(points)} of {len(points)} random cases) " + "\n  ".join(said)
    unnamed = sorted(
        {k for p in failing for k in p.wrong()} - {k for k in range(len(problem.wrt)) if problem.result(k) in found}
    )
    if said and unnamed:
        report.notes.append("")
        tally.notes[f"no single known mistake explains {', '.join(problem.result(k) for k in unnamed)}"] = None
    if problem.double and failing:
        _which_order(report, problem, failing)


def _which_order(report: Report, problem: Problem, failing: Sequence[Point]) -> None:
    """The part by g is Ju, which the first order settles; a mistake in the other parts alone is one of second order."""
    last = len(problem.wrt) - 1
    if all(last not in p.wrong() for p in failing):
        report.mistakes.append("second-order")
        report.notes.append("second order: the part by g (that is J·u) is right, so your first-order derivative is")


def _inherited(report: Report, base: Problem, double: Problem, vjp: Callable[..., Any], seed: int) -> None:
    """Tell a mistake of first order, differentiated correctly, from one of second order."""
    first = run(base, seed=seed)
    if first.ok:
        if "second-order" not in report.mistakes:
            report.mistakes.append("second-order")
        report.notes.append("your first-order rule is right: the mistake was made in differentiating it")
        return
    own = replace(
        double, f=lambda *a, **p: vjp(a[-1], *a[:-1], **p), second_order=False, space=WithCotangent(base.space, base.f)
    )
    report.diagnosis = f"The mistake is of first order, in {base.name}: {first.diagnosis or first.finding}"
    report.mistakes = [m for m in first.mistakes if m != "second-order"]
    if run(own, seed=seed).ok:
        report.notes.append("your double backward is the right derivative of your own, wrong, first-order rule")


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
        wraps = [Tensor(a) if a.dtype.kind == "f" else a for a in [*p.inputs, g]]
        result = rule(*wraps)
    except (TypeError, AttributeError):
        result = None
    leaves = list(result) if isinstance(result, tuple | list) else [result]
    if not any(isinstance(r, Tensor) for r in leaves):
        p.tally.notes["order 2: the rule is plain NumPy; it is right, so derive it again and use check_double_vjp"] = (
            None
        )
        return None
    outcome = gradcheck(rule, *p.inputs, g)
    if outcome.ok:
        return None
    lost = "the rule is right, but its own derivative is not: a Tensor was detached, or made a constant, on the way"
    return Finding(f"{lost}. {outcome.lines[0] if outcome.lines else ''}", "second-order")


def _space(inputs: Sequence[Any], axes: str | None, params: Any, sizes: Any, draws: Any, valid: Any) -> AnySpace:
    if (axes is None) == (not inputs):
        raise ValueError("give either example inputs, or axes such as axes='n c h w, o c kh kw'")
    if axes is None:
        return Examples(
            [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays_of(list(inputs))], params or {}
        )
    return Space(axes, params or {}, sizes or {}, draws or {}, *([valid] if valid else []))


def _names(f: Callable[..., Any], space: AnySpace) -> list[str]:
    """What f calls its inputs."""
    return names_of(f, len(space.inputs(space.draw(np.random.default_rng(0)))))


def _problem(f: Callable[..., Any], vjp: Callable[..., Any], space: AnySpace, name: str | None) -> Problem:
    if not callable(f):
        raise TypeError(f"the first argument must be the function that was differentiated, got {type(f).__name__}")
    names = _names(f, space)
    inputs = space.inputs(space.draw(np.random.default_rng(0)))
    floats = [a.dtype.kind == "f" for a in inputs]
    wrt = tuple(i for i, is_float in enumerate(floats) if is_float)
    return Problem(name or str(getattr(vjp, "__name__", "vjp")), f, vjp, space, names, wrt)
