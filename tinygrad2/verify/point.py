"""What both sides say at one point: the rule's claim and the measured truth."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.verify.differences import EPS, Uncertified, Unsteady
from tinygrad2.verify.judge import RTOL, Judged, Product, judge, lost
from tinygrad2.verify.problem import Problem, Rule
from tinygrad2.verify.space import Case, grid, simple_array
from tinygrad2.verify.truth import Measured, SecondOrder, arrays_of, beside, split

LARGEST = 5000  # entries of all inputs together


class Broken(Exception):
    """The rule raised, or returned something that is no cotangent."""


@dataclass
class Tally:
    """What a check has cost, and what had to be moved."""

    calls: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    skipped: int = 0
    unsure: str | None = None  # why neither right nor wrong can be told


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
        self.g = g if g is not None else cotangent_for(self.truth.y.size, case, problem.cotangent)
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
    def product(self) -> Product:
        """The true Jᵀg of all floating inputs. Raises Uncertified where it is not finite."""
        return self._product(self.g)

    @cached_property
    def expected(self) -> list[Array]:
        """The true cotangent of every claimed input."""
        return self._parts(self.product)

    def expected_for(self, g: Array) -> list[Array]:
        """The same for another cotangent of the output."""
        return self._parts(self._product(g))

    @property
    def scheme(self) -> str:
        """How the truth was measured."""
        return self.product.scheme

    def _product(self, g: Array) -> Product:
        with np.errstate(all="ignore"):
            product = self.truth.vjp(g)
        if not np.isfinite(product.value).all():
            raise Uncertified("the derivative is not finite here")
        return product

    def _parts(self, product: Product) -> list[Array]:
        return [product.value[self.slices[p]].reshape(self.inputs[p].shape) for p in self.problem.wrt]

    def claim(
        self,
        g: Array | None = None,
        inputs: Sequence[Any] | None = None,
        rule: Rule | None = None,
        dtype: Any = np.float64,
    ) -> list[Array]:
        """What the rule returns, per claimed input. Raises Broken."""
        given = [np.array(a) for a in (self.inputs if inputs is None else inputs)]
        given = [a.astype(dtype) if a.dtype.kind == "f" else a for a in given]
        parts = [a.astype(dtype) for a in split(self.g if g is None else g, self.truth.out_shapes)]
        self.tally.calls += 1
        with np.errstate(all="ignore"):
            result = _run(rule or self.problem.rule, parts[0] if len(parts) == 1 else tuple(parts), given, self.case)
        self.after = given
        self.cotangents_after = parts
        return self._sorted(result)

    def keeps(self, dtype: Any) -> bool:
        """True if f itself gives this dtype for inputs of this dtype."""
        given = [a.astype(dtype) if a.dtype.kind == "f" else a.copy() for a in self.inputs]
        if self.problem.second_order:
            given = given[:-1]
        if self.truth_tensors:
            given = [Tensor(a) if a.dtype.kind == "f" else a for a in given]
        try:
            with np.errstate(all="ignore"):
                outputs = arrays_of(self.problem.f(*given, **self.case.params))
        except Exception:  # f takes no such inputs, so a rule need not either
            return False
        return all(y.dtype == dtype for y in outputs)

    @property
    def truth_tensors(self) -> bool:
        """True if f is written in Tensors."""
        base = self.truth.base if isinstance(self.truth, SecondOrder) else self.truth
        return base.tensors

    def part(self, g: Array, inputs: Sequence[Array], k: int) -> Array:
        """The k-th result of the rule for a part of the problem, of another size. Raises Broken."""
        if self.claimed() is None:
            raise Broken("a rule that breaks on the whole says nothing about a part")
        self.tally.calls += 1
        result = _run(self.problem.rule, g.copy(), [a.copy() for a in inputs], self.case)
        parts = result if isinstance(result, tuple) else (result,)
        return _as_array(parts[k] if len(parts) == len(self.problem.wrt) else parts[self.problem.wrt[k]], "the result")

    def _sorted(self, result: Any) -> list[Array]:
        """One entry per claimed input, whichever of the allowed forms the rule returned."""
        wanted = len(self.problem.wrt)
        names = ", ".join(self.problem.result(k) for k in range(wanted))
        if result is None:
            raise Broken(f"it returned None, which is no claim: did you forget `return {names}`?")
        parts = list(result) if isinstance(result, tuple | list) and not self._is_nested_numbers(result) else [result]
        if len(parts) == len(self.inputs) != wanted:
            parts = [parts[p] for p in self.problem.wrt]
        if len(parts) != wanted:
            raise Broken(f"expected {wanted} cotangent{'s' * (wanted > 1)} ({names}), got {len(parts)}")
        for k, part in enumerate(parts):
            if part is None:
                only = [
                    self.problem.names[p] for p, other in zip(self.problem.wrt, parts, strict=True) if other is not None
                ]
                raise Broken(
                    f"{self.problem.result(k)} is None, which is no claim: return zeros if it is zero"
                    + (f", or check the others alone with wrt={only!r}" if only else "")
                )
        return [_as_array(p, self.problem.result(k)) for k, p in enumerate(parts)]

    def _is_nested_numbers(self, result: Any) -> bool:
        """True for a list of numbers, or of lists of them, that is one array and not one array per input."""
        if not isinstance(result, list):
            return False
        if all(isinstance(v, int | float) for v in result):
            return True
        if len(self.problem.wrt) > 1 or not all(isinstance(v, list) for v in result):
            return False
        try:
            return np.asarray(result).dtype.kind in "fiub"
        except ValueError:
            return False

    def claimed(self) -> list[Array] | None:
        """The claim, or None where the rule breaks; `why` then says how."""
        if not hasattr(self, "_claimed"):
            self.why: str | None = None
            try:
                self._claimed: list[Array] | None = self.claim()
            except Broken as error:
                self._claimed = None
                self.why = str(error)
        return self._claimed

    def close(self, got: Array | None, expected: Array) -> bool:
        """True if two results agree: in shape, and within the error of the measurement. Repairs are judged by it."""
        if got is None or got.shape != expected.shape:
            return False
        size = np.abs(expected) + 1e-2 * np.abs(expected).max(initial=0.0)
        doubt = float(self.product.doubt.max(initial=0.0))
        allowed = (
            4 * float(self.product.budget.max(initial=0.0))
            + RTOL * size
            + doubt
            + 1e-13 * np.abs(self.g).max(initial=0.0)
        )
        return bool(np.all(np.abs(got - expected) <= allowed))

    def judged(self) -> list[Judged | None]:
        """The verdict about every entry, per claimed input; None where the shape is wrong. The rule must not break."""
        if not hasattr(self, "_judged"):
            claims = self.claimed()
            assert claims is not None
            self._judged = [self._judge(k, a) for k, a in enumerate(claims)]
        return self._judged

    def _judge(self, k: int, got: Array) -> Judged | None:
        place = self.problem.wrt[k]
        if got.shape != self.inputs[place].shape:
            return None
        truth = self.product.part(self.slices[place])
        first = judge(got.ravel(), truth)
        if not (first.wrong | first.unsure).any():
            return first
        rounding = self.rounding
        return first if rounding is None else judge(got.ravel(), truth, rounding[k].ravel())

    @cached_property
    def rounding(self) -> list[Array] | None:
        """How far rounding moves the rule's own results: it is run a few units of the last place beside the point."""
        claims = self.claimed()
        moved = []
        for seed in (1, 2, 3):
            inputs = [beside(a, seed) if a.dtype.kind == "f" else a for a in self.inputs]
            try:
                again = self.claim(g=beside(self.g, seed + 3), inputs=inputs)
            except Broken:
                return None
            if claims is None or [a.shape for a in again] != [a.shape for a in claims]:
                return None
            with np.errstate(all="ignore"):
                moved.append([np.abs(b - a) for a, b in zip(claims, again, strict=True)])
        assert claims is not None
        tops = [np.max(parts, 0) for parts in zip(*moved, strict=True)]
        return [np.nan_to_num(16 * top + 4 * EPS * np.abs(a)) for a, top in zip(claims, tops, strict=True)]

    def wrong(self) -> list[int]:
        """The numbers of the claimed inputs whose cotangent is wrong; all where the rule breaks."""
        expected = self.expected
        if self.claimed() is None:
            return list(range(len(expected)))
        return [k for k, j in enumerate(self.judged()) if j is None or j.wrong.any()]

    def unsure(self) -> str | None:
        """Why some entry can be called neither right nor wrong; None where there is none."""
        for k, j in enumerate(self.judged()):
            if j is not None and j.unsure.any():
                return f"{self.problem.result(k)}: " + lost(self.product.part(self.slices[self.problem.wrt[k]]), j)
        return None


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

    A case that says where it is, or has simple arrays in it, is not moved. Raises what f raises where the configuration
    does not fit, Uncertified where no point can be had.
    """
    reason: Exception = Uncertified("nothing was tried")
    fixed = bool(case.where or case.simple)
    regions = [case.where or problem.space.regions[0]] if fixed else problem.space.regions
    for region in regions:
        for shift in range(1 if fixed else 3):
            where = region if fixed or region != regions[0] else ""
            moved = replace(case, seed=case.seed + 1000 * shift, where=where if case.where or not fixed else "")
            inputs = problem.space.inputs(moved, region)
            try:
                point = Point(problem, moved, simplified(problem, moved, with_cotangent(problem, moved, inputs)), tally)
                point.expected  # noqa: B018  (measures the truth now)
            except Unsteady:
                raise
            except Uncertified as error:
                reason = error
                continue
            if not fixed and (region != regions[0] or shift):
                tally.notes[f"moved the point ({region} values): {reason}"] = None
            return point
    if case.where == "given":
        raise Uncertified(str(reason))
    raise Uncertified(f"f has no certain derivative at any point tried for {case}: {reason}")


def cotangent_for(size: int, case: Case, name: str) -> Array:
    """The cotangent of a case: drawn, or the simple one that the case names."""
    g = grid(np.random.default_rng([case.seed, 1]), (size,), {})
    return simple_array(case.simple[name], g) if name in case.simple else g


def simplified(problem: Problem, case: Case, inputs: Sequence[Array]) -> list[Array]:
    """The inputs, with the simple arrays that the case names in their places."""
    names = [*problem.names, *[""] * len(inputs)]
    return [simple_array(case.simple[n], a) if n in case.simple else a for n, a in zip(names, inputs, strict=False)]


def with_cotangent(problem: Problem, case: Case, inputs: Sequence[Array]) -> Sequence[Array]:
    """The inputs; for a double backward also a cotangent g of the output that they give."""
    forward = problem.cotangent_of
    if forward is None:
        return inputs
    with np.errstate(all="ignore"):
        shape = Measured(lambda *xs: forward(*xs, **case.params), inputs).out_shapes[0]
    return [*inputs, grid(np.random.default_rng([case.seed, 2]), shape, {})]
