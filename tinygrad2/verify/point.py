"""What both sides say at one point: the rule's claim and the measured truth."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.verify.differences import Uncertified
from tinygrad2.verify.problem import Problem, Rule
from tinygrad2.verify.space import REGIONS, Case, Examples, grid
from tinygrad2.verify.truth import Measured, SecondOrder, split

RTOL = 1e-7  # of the largest entry: far above the rounding of a formula, far below any mistake
LARGEST = 5000  # entries of all inputs together


class Broken(Exception):
    """The rule raised, or returned something that is no cotangent."""


@dataclass
class Tally:
    """What a check has cost, and what had to be moved."""

    calls: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    skipped: int = 0


class Point:
    """One case with its arrays and a cotangent: what is claimed there, and what is true."""

    def __init__(
        self, problem: Problem, case: Case, inputs: Sequence[Array], tally: Tally, g: Array | None = None
    ) -> None:
        self.problem = problem
        self.case = case
        self.tally = tally
        self.inputs = [a.copy() for a in inputs]
        f = lambda *xs: problem.f(*xs, **case.params)
        with np.errstate(all="ignore"):
            self.truth: Measured | SecondOrder = (SecondOrder if problem.second_order else Measured)(f, self.inputs)
        size = sum(int(np.prod(s)) for s in self.truth.shapes)
        if size > LARGEST:
            raise TypeError(
                f"{problem.name}: the inputs have {size} entries, and each derivative is measured: at most {LARGEST}. "
                "Give smaller examples (the formula is the same), or axes= for sizes; gradcheck takes large inputs"
            )
        if not np.isfinite(self.truth.y).all():
            raise Uncertified("f is not finite here")
        rng = np.random.default_rng([case.seed, 1])
        self.g = g if g is not None else grid(rng, (self.truth.y.size,), {})
        edges = np.cumsum([0, *[int(np.prod(s)) for s in self.truth.shapes]])
        self.slices = {p: slice(*edges[i : i + 2]) for i, p in enumerate(self.truth.places)}

    @property
    def cotangents(self) -> Any:
        """g as the rule gets it: an array, or a tuple where f has several outputs."""
        parts = split(self.g, self.truth.out_shapes)
        return parts[0] if len(parts) == 1 else tuple(parts)

    @property
    def y(self) -> list[Array]:
        """f's outputs."""
        return split(self.truth.y, self.truth.out_shapes)

    @cached_property
    def expected(self) -> list[Array]:
        """The true cotangent of every claimed input."""
        return self.expected_for(self.g)

    def expected_for(self, g: Array) -> list[Array]:
        """The same for another cotangent of the output."""
        estimate = self.truth.vjp(g)
        if not np.isfinite(estimate.value).all():
            raise Uncertified("the derivative is not finite here")
        self.budget = float(estimate.budget.max(initial=0.0))
        self.scheme = estimate.scheme
        return [estimate.value[self.slices[p]].reshape(self.inputs[p].shape) for p in self.problem.wrt]

    def claim(
        self,
        g: Array | None = None,
        inputs: Sequence[Any] | None = None,
        rule: Rule | None = None,
        dtype: Any = np.float64,
    ) -> list[Array | None]:
        """What the rule returns, per claimed input; None where it claims nothing. Raises Broken."""
        given = [np.array(a) for a in (self.inputs if inputs is None else inputs)]
        given = [a.astype(dtype) if a.dtype.kind == "f" else a for a in given]
        parts = [a.astype(dtype) for a in split(self.g if g is None else g, self.truth.out_shapes)]
        self.tally.calls += 1
        with np.errstate(all="ignore"):
            result = _run(rule or self.problem.rule, parts[0] if len(parts) == 1 else tuple(parts), given, self.case)
        self.after = given
        return self._sorted(result)

    def part(self, g: Array, inputs: Sequence[Array], k: int) -> Array:
        """The k-th result of the rule for a part of the problem, of another size. Raises Broken."""
        self.tally.calls += 1
        result = _run(self.problem.rule, g.copy(), [a.copy() for a in inputs], self.case)
        parts = result if isinstance(result, tuple) else (result,)
        return _as_array(parts[k] if len(parts) == len(self.problem.wrt) else parts[self.problem.wrt[k]], "the result")

    def _sorted(self, result: Any) -> list[Array | None]:
        """One entry per claimed input, whichever of the allowed forms the rule returned."""
        wanted = len(self.problem.wrt)
        parts = list(result) if isinstance(result, tuple | list) and not _is_number_list(result) else [result]
        if len(parts) == len(self.inputs) != wanted:
            parts = [parts[p] for p in self.problem.wrt]
        if len(parts) != wanted:
            names = ", ".join(self.problem.result(k) for k in range(wanted))
            raise Broken(f"expected {wanted} cotangent{'s' * (wanted > 1)} ({names}), got {len(parts)}")
        return [None if p is None else _as_array(p, self.problem.result(k)) for k, p in enumerate(parts)]

    def claimed(self) -> list[Array | None] | None:
        """The claim, or None where the rule breaks; `why` then says how."""
        if not hasattr(self, "_claimed"):
            self.why: str | None = None
            try:
                self._claimed: list[Array | None] | None = self.claim()
            except Broken as error:
                self._claimed = None
                self.why = str(error)
        return self._claimed

    def close(self, got: Array | None, expected: Array) -> bool:
        """True if two results agree: in shape, and within the error budget."""
        if got is None or got.shape != expected.shape:
            return False
        size = max(np.abs(expected).max(initial=0.0), 1e-2 * np.abs(self.g).max(initial=0.0), 1e-9)
        return bool(np.all(np.abs(got - expected) <= 4 * self.budget + RTOL * size))

    def wrong(self) -> list[int]:
        """The numbers of the claimed inputs whose cotangent is wrong; all where the rule breaks."""
        expected = self.expected
        got = self.claimed()
        if got is None:
            return list(range(len(expected)))
        return [k for k, (a, e) in enumerate(zip(got, expected, strict=True)) if a is not None and not self.close(a, e)]


def _run(rule: Rule, g: Any, inputs: Sequence[Array], case: Case) -> Any:
    """Call the rule with arrays; if it was written for Tensors, with Tensors."""
    try:
        try:
            return rule(g, *inputs, **case.params)
        except (TypeError, AttributeError) as error:
            as_tensors = [Tensor(a) if a.dtype.kind == "f" else a for a in inputs]
            try:
                return rule(tuple(map(Tensor, g)) if isinstance(g, tuple) else Tensor(g), *as_tensors, **case.params)
            except Exception:
                raise error from None
    except (Exception, SystemExit) as error:
        said = _located(error)
        traceback.clear_frames(error.__traceback__)  # what the rule has piled up must not outlive it
        raise Broken(said) from None


def _located(error: BaseException) -> str:
    """The error, with the last line of the rule's own code on its way."""
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if "tinygrad2" not in f.filename.replace("\\", "/").split("/")
    ]
    own = [f for f in frames if not f.filename.startswith("<__array_function__")]
    where = f" (line {own[-1].lineno}: {own[-1].line})" if own and own[-1].line else ""
    return f"{type(error).__name__}: {error}{where}"


def _is_number_list(result: Any) -> bool:
    return isinstance(result, list) and all(isinstance(v, int | float) for v in result)


def _as_array(value: Any, name: str) -> Array:
    try:
        a = to_numpy(value.array) if isinstance(value, Tensor) else np.asarray(value)
    except (ValueError, TypeError) as error:
        raise Broken(f"{name} cannot be read as an array: {error}") from None
    if a.dtype.kind not in "fiub":
        raise Broken(f"{name} must be an array of real numbers, got {a.dtype} ({type(value).__name__})")
    return a


def make_point(problem: Problem, case: Case, tally: Tally) -> Point:
    """The point of a case, moved to another region or seed where f has no certain derivative; the tally notes why.

    Raises what f raises where the configuration does not fit, Uncertified where no point can be had.
    """
    reason: Exception = Uncertified("nothing was tried")
    regions = [*REGIONS, *(["near the examples"] if isinstance(problem.space, Examples) else [])]
    for region in regions:
        for shift in range(3):
            moved = Case(case.sizes, case.params, case.seed + 1000 * shift)
            inputs = problem.space.inputs(moved, region)
            try:
                point = Point(problem, moved, with_cotangent(problem, moved, inputs), tally)
                point.expected  # noqa: B018  (measures the truth now)
            except Uncertified as error:
                reason = error
                continue
            if region != regions[0] or shift:
                tally.notes[f"moved the point ({region} values): {reason}"] = None
            return point
    raise Uncertified(f"f has no certain derivative at any point tried for {case}: {reason}")


def with_cotangent(problem: Problem, case: Case, inputs: Sequence[Array]) -> Sequence[Array]:
    """The inputs; for a double backward also a cotangent g of the output that they give."""
    forward = problem.cotangent_of
    if forward is None:
        return inputs
    with np.errstate(all="ignore"):
        shape = Measured(lambda *xs: forward(*xs, **case.params), inputs).out_shapes[0]
    return [*inputs, grid(np.random.default_rng([case.seed, 2]), shape, {})]
