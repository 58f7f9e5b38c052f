"""What the derivative of a function truly is, measured from outside: by the function's values, never by its rules.

Two sources must agree. The complex step is exact to rounding, but blind where f drops the imaginary part: it counts
where carried.py proves that nothing was dropped, or where the certified differences of differences.py agree with it,
entry by entry. Where f can be traced, its tape is a third source. Without the complex step, differences stand alone.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.autodiff.node import recording
from tinygrad2.autodiff.tree import flatten
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.verify.carried import Carried, carried
from tinygrad2.verify.differences import EPS, Estimate, Uncertified, Unsteady, richardson
from tinygrad2.verify.judge import Product
from tinygrad2.verify.kinks import Sides, watching

CONFIRMED = "complex step, confirmed by differences"
GROUPED = 40  # with more inputs than this, differences confirm sums of columns in place of every column
GROUPS = 12
SPACING = 2.0**-36  # as a part of the inputs: a smooth function's third differences vanish at such steps
STEP = 1e-200  # of the complex step: its square is nothing, so there is neither truncation nor cancellation


def names_of(f: Callable[..., Any], count: int) -> list[str]:
    """What f calls its first `count` arguments; x, or x0, x1, ... where it does not say."""
    try:
        parameters = inspect.signature(f).parameters.values()
        given = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    except (TypeError, ValueError):
        given = []
    plain = ["x"] if count == 1 else [f"x{i}" for i in range(count)]
    return [*given[:count], *plain[len(given) :]]


def arrays_of(tree: Any) -> list[Array]:
    """The leaves of nested tuples, lists and dicts as NumPy arrays."""
    return [to_numpy(leaf.array) if isinstance(leaf, Tensor) else np.asarray(leaf) for leaf in flatten(tree)[0]]


def joined(arrays: Sequence[Array]) -> Array:
    """All entries in one vector."""
    return np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.zeros(0)


def split(vector: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """The inverse of `joined`: arrays of the shapes, which share no memory with the vector."""
    edges = np.cumsum([int(np.prod(s)) for s in shapes])
    return [part.reshape(s).copy() for part, s in zip(np.split(vector, edges[:-1]), shapes, strict=True)]


class Measured:
    """f at a point, as a map from one vector (its floating inputs, joined) to another (its outputs, joined).

    inputs: arguments of f; arrays, or nested tuples, lists and dicts of arrays. Integer and bool arrays are held.
    f may be written in NumPy or in Tensors. tape_counts: whether the tape of f may confirm the truth; not where it is
    what is checked. Raises what f raises, TypeError where f returns no real numbers, Uncertified where it returns two
    values for one input.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any], tape_counts: bool = True) -> None:
        leaves, self._rebuild = flatten(list(inputs))
        self.f = f
        self.leaves = [np.asarray(to_numpy(a.array) if isinstance(a, Tensor) else a) for a in leaves]
        self.places = [i for i, a in enumerate(self.leaves) if a.dtype.kind == "f"]
        self.shapes = [self.leaves[i].shape for i in self.places]
        self.x = joined([self.leaves[i].astype(np.float64) for i in self.places])
        self.tape_counts = tape_counts
        self.tensors = False
        first = self._first_call()
        outputs = arrays_of(first)
        if not outputs or any(y.dtype.kind != "f" for y in outputs):
            kinds = ", ".join(str(y.dtype) for y in outputs) or "nothing"
            raise TypeError(f"the function must return arrays of real numbers (float32 or float64), got {kinds}")
        self.out_shapes = [y.shape for y in outputs]
        self.y = joined(outputs).astype(np.float64)
        if not np.array_equal(self(self.x), self.y, equal_nan=True):
            raise Unsteady("f gives two values for one input: it draws random numbers, or keeps a state")
        self._complex: Estimate | bool | None = False  # not yet tried
        self._jacobian: Estimate | None = None

    def call(self, x: Array, requires_grad: bool = False) -> Any:
        """What f itself returns at the vector x."""
        return self.f(*self.arguments(x, requires_grad)[0])

    def arguments(self, x: Array, requires_grad: bool = False, noted: set[str] | None = None) -> tuple[list[Any], Any]:
        """f's arguments at the vector x, and the floating leaves among them. noted: see Carried."""
        leaves: list[Any] = [a.copy() for a in self.leaves]
        for i, part in zip(self.places, split(x, self.shapes), strict=True):
            leaf = Tensor(part, requires_grad=requires_grad) if self.tensors else part
            leaves[i] = leaf if noted is None else carried(part, noted)
        return self._rebuild(iter(leaves)), [leaves[i] for i in self.places]

    def __call__(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return joined(arrays_of(self.call(x)))

    def watched(self, x: Array) -> tuple[Array, Sides | None]:
        """The output, and for functions of Tensors the sides of the kinks that it took."""
        if not self.tensors:
            return self(x), None
        with watching() as sides:
            return self(x), sides

    def _first_call(self) -> Any:
        """f's value; with Tensors where arrays are not what it takes, or where it answers arrays with Tensors."""
        with np.errstate(all="ignore"):
            try:
                y = self.call(self.x)
            except (TypeError, AttributeError) as error:
                self.tensors = True
                try:
                    return self.call(self.x)
                except Exception:
                    raise error from None
            self.tensors = any(isinstance(leaf, Tensor) for leaf in flatten(y)[0])
            return self.call(self.x) if self.tensors else y

    # --- scales

    @cached_property
    def sizes(self) -> Array:
        """Of every entry of x how large it is; for a zero how large its input is, or 1 where all is zero. (n,)"""
        parts = []
        for a in split(np.abs(self.x), self.shapes):
            largest = a.max(initial=0.0) or 1.0
            parts.append(np.where(a > 1e-3 * largest, a, largest * np.where(a > 0, 1e-3, 1.0)))
        return joined(parts)

    @cached_property
    def leaf_sizes(self) -> Array:
        """Of every entry of x how large its input is; 1 where all is zero. (n,)"""
        return joined([np.full(a.shape, np.abs(a).max(initial=0.0) or 1.0) for a in split(self.x, self.shapes)])

    @cached_property
    def rounding(self) -> Array:
        """(m,): how far rounding moves every output, f a few units of the last place beside the point, on a line too.

        Third differences of equally spaced values are nothing but rounding where the steps are so small. They show it
        also where f takes neighbours to one value, so that a few units of the last place change nothing.
        """
        if not self.y.size:
            return self.y
        moved = [np.abs(self(x) - self.y) for x in self._beside()]
        with np.errstate(all="ignore"):
            scatter = np.abs(np.diff([self(x) for x in self._spaced()], 3, axis=0)) / 4
        return 4 * np.nan_to_num(np.max([*moved, *scatter], 0), posinf=0)

    def _beside(self) -> list[Array]:
        """Points that differ from this one in the last places."""
        return [beside(self.x, seed) for seed in range(1, 11)]

    def _spaced(self) -> list[Array]:
        """Points on a line through this one, at equal steps that are tiny but not in the last places."""
        v = self.x * np.random.default_rng(11).choice([-1.0, 1.0], self.x.shape) * SPACING
        return [self.x + t * v for t in range(-4, 5)]

    # --- the complex step

    @property
    def takes_complex(self) -> bool:
        """True if the complex step gives all derivatives, and differences, or proof, confirm it."""
        step = self._by_complex_step()
        return step is not None and self.jacobian().scheme.startswith("complex")

    def _by_complex_step(self) -> Estimate | None:
        if self._complex is False:
            self._complex = self._try_complex()
        assert not isinstance(self._complex, bool)
        return self._complex

    def _try_complex(self) -> Estimate | None:
        """The whole Jacobian by complex steps; None where f does not take complex numbers."""
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                ahead = self(self.x + 1j * STEP)
            if not np.isfinite(ahead).all() or not self._same(ahead.real):
                return None
            value = self.columns(self.x)
            several = 3 if self.x.size <= GROUPED else 1
            again = [self.columns(x, s * STEP) for x, s in zip(self._beside()[:several], (0.7, 1.1, 1.9), strict=False)]
        except Exception:  # whatever a function does on numbers that it was not written for: then it is not
            return None
        if not np.isfinite(value).all():
            return None
        noise = 32 * np.nan_to_num(np.max([np.abs(a - value) for a in again], 0))
        return Estimate(value, 16 * EPS * np.abs(value) + noise, noise, "complex step")

    def columns(self, x: Array, step: float = STEP) -> Array:
        """The Jacobian at x by complex steps alone, which may drop what f drops. Result: (m, n)."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            steps = [self(x + 1j * step * e).imag / step for e in np.eye(x.size)]
        return np.stack(steps, 1) if steps else np.zeros((self.y.size, 0))

    @cached_property
    def proved(self) -> bool:
        """True if a complex step carries its imaginary part through every operation of f."""
        if self.tensors:
            return False
        noted: set[str] = set()
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                outputs = flatten(self.f(*self.arguments(self.x + 1j * STEP, noted=noted)[0]))[0]
        except Exception:
            return False
        return not noted and all(isinstance(y, Carried) for y in outputs)

    def _same(self, y: Array) -> bool:
        """True if y is f's value, but for rounding."""
        near = 1e-9 * np.abs(self.y) + 64 * self.rounding
        return y.shape == self.y.shape and bool(np.all(np.abs(y - self.y) <= near))

    # --- the truth

    def jvp(self, v: Array) -> Estimate:
        """The directional derivative Jv, from the measured Jacobian. v: (n,); result: (m,)."""
        j = self.jacobian()
        return Estimate(j.value @ v, j.budget @ np.abs(v), j.noise @ np.abs(v), j.scheme)

    def slope(self, v: Array) -> Estimate:
        """The same by one difference along v alone, for inputs that are too many for a Jacobian."""
        with np.errstate(all="ignore"):
            units = (self.sizes / np.abs(v))[v != 0]
            unit = float(np.median(units)) if units.size else 1.0
            return richardson(self.watched, self.x, v, unit, self.rounding, float(self.leaf_sizes.max(initial=0.0)))

    def jacobian(self) -> Estimate:
        """All of J, column by column. Result: (m, n). Two sources agree on every entry, or one of them is proved."""
        if self._jacobian is None:
            self._jacobian = self._measure()
        return self._jacobian

    def _measure(self) -> Estimate:
        if not self.x.size or not self.y.size:
            nothing = np.zeros((self.y.size, self.x.size))
            return Estimate(nothing, nothing, nothing, "no inputs")
        exact = self._by_complex_step()
        if exact is not None and self.proved and self._supported(exact):
            return exact
        if exact is not None and self.x.size > GROUPED and (confirmed := self._confirmed(exact)):
            return confirmed
        columns = [self._column(i) for i in range(self.x.size)]
        value, budget, noise = (
            np.stack([getattr(c, part) for c in columns], 1) for part in ("value", "budget", "noise")
        )
        scheme = min((c.scheme for c in columns), key=len)
        if exact is None:
            return Estimate(value, budget, noise, scheme)
        agree = np.abs(exact.value - value) <= 4 * budget + exact.budget
        nothing = (exact.value == 0) & (value == 0)  # both say so, without any rounding
        return Estimate(
            np.where(agree, exact.value, value),
            np.where(nothing, 0, budget + np.where(agree, exact.budget, 0)),
            np.where(nothing, 0, np.where(agree, exact.noise, noise)),
            CONFIRMED if agree.all() else scheme,
        )

    def _confirmed(self, exact: Estimate) -> Estimate | None:
        """The complex steps, where differences along random sums of columns agree; None where one does not.

        Every column is in two sums, with others each time, and as certain as the less certain of the two. A slope that
        is exactly zero stays so: what was dropped from it would show in the sums.
        """
        n = self.x.size
        doubt = np.zeros(exact.value.shape)
        for seed in (0, 1):
            rng = np.random.default_rng(seed)
            for group in np.array_split(rng.permutation(n), GROUPS):
                v = np.zeros(n)
                v[group] = rng.uniform(0.5, 1.5, len(group)) * rng.choice([-1, 1], len(group)) * self.sizes[group]
                seen = richardson(self.watched, self.x, v, 1.0, self.rounding, 1.0)
                if not np.all(np.abs(exact.value @ v - seen.value) <= 4 * seen.budget + exact.budget @ np.abs(v)):
                    return None
                error = np.where(exact.value[:, group] == 0, 0, seen.budget[:, None] / np.abs(v[group]))
                doubt[:, group] = np.maximum(doubt[:, group], error)
        return Estimate(exact.value, exact.budget + doubt, exact.noise, CONFIRMED)

    def _column(self, i: int) -> Estimate:
        e = (np.arange(self.x.size) == i) * 1.0
        try:
            size = float(self.leaf_sizes[i])
            return richardson(self.watched, self.x, e, float(self.sizes[i]), self.rounding, size)
        except Uncertified as error:
            raise Uncertified(f"{error} (along entry {i} of the inputs)" if self.x.size > 1 else str(error)) from None

    def _supported(self, exact: Estimate) -> bool:
        """True if differences along random directions agree, every entry moved by a part of its own size."""
        for seed in (0, 1):
            v = np.random.default_rng(seed).choice([-1.0, 1.0], self.x.size) * self.sizes
            seen = richardson(self.watched, self.x, v, 1.0, self.rounding, 1.0)
            allowed = 4 * seen.budget + 1e-9 * np.abs(exact.value) @ np.abs(v) + exact.budget @ np.abs(v)
            if not np.all(np.abs(exact.value @ v - seen.value) <= allowed):
                return False
        return True

    def vjp(self, g: Array) -> Product:
        """Jᵀg from the measured Jacobian, which is kept. g: (m,); result: (n,)."""
        j = self.jacobian()
        product = self.product(j, g)
        unsure = product.budget > 1e-7 * np.abs(product.value)
        if not self.tape_counts or self.proved or not unsure.any():
            return product
        tape = self.traced(g)
        if tape is None:
            return product
        exact = self._by_complex_step()
        mine = product.value if exact is None else exact.value.T @ g
        agree = unsure & (np.abs(tape - mine) <= 1e-9 * np.abs(tape) + 64 * EPS * product.terms)
        agree &= np.abs(tape - product.value) <= 4 * product.budget
        value = np.where(agree, tape, product.value)
        budget = np.where(agree, 1e-9 * np.abs(tape), product.budget)
        return replace(product, value=value, budget=budget, scheme=product.scheme + ", and the tape")

    def product(self, j: Estimate, g: Array) -> Product:
        """Jᵀg of a measured J, with the scales by which a claim about it is judged."""
        size = np.abs(g)
        terms = np.abs(j.value).T @ size
        value = j.value.T @ g
        heights = np.maximum(np.abs(self.y), self.rounding / EPS) * size
        touched = np.abs(j.value) > 4 * j.budget
        largest = joined([np.full(a.shape, np.abs(a).max(initial=0.0)) for a in split(value, self.shapes)])
        doubt = 16 * EPS * (touched.T @ heights) / self.leaf_sizes
        natural = np.full(self.x.size, heights.sum()) / self.leaf_sizes
        return Product(value, j.budget.T @ size, j.noise.T @ size, terms, largest, doubt, natural, j.scheme)

    def traced(self, g: Array, at: Array | None = None) -> Array | None:
        """Jᵀg by the tape of f, where f takes Tensors and answers with the same values; else None."""
        plain = self.tensors
        self.tensors = True
        try:
            if not self._same(self(self.x)):
                return None
            tape = self.tape(g, at)
            return tape if np.isfinite(tape).all() else None
        except Exception:  # f is not written for Tensors
            return None
        finally:
            self.tensors = plain

    def tape(self, g: Array, at: Array | None = None) -> Array:
        """Jᵀg as the tape computes it, for f written in Tensors. A leaf that f does not use gets zeros."""
        with recording(True):
            arguments, leaves = self.arguments(self.x if at is None else at, requires_grad=True)
            outputs = flatten(self.f(*arguments))[0]
        cotangents = split(g, self.out_shapes)
        pairs = [(y, Tensor(c)) for y, c in zip(outputs, cotangents, strict=True) if getattr(y, "requires_grad", False)]
        if not pairs:
            return np.full(self.x.size, np.nan)
        grads = autograd.grad([y for y, _ in pairs], leaves, [c for _, c in pairs], allow_unused=True)
        return joined([np.zeros(s) if c is None else c.numpy() for c, s in zip(grads, self.shapes, strict=True)])


def beside(x: Array, seed: int) -> Array:
    """x moved by a few units of the last place of every entry."""
    return x * (1 + EPS * np.random.default_rng(seed).choice([-4, -3, -2, 2, 3, 4], x.shape))


class SecondOrder:
    """(inputs, g) ↦ Jᵀg of f as a map of one vector to another, with its derivatives, all from values of f.

    The first order is exact (complex step, or the tape for functions of Tensors), so the second needs one difference.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        *primals, g = inputs
        self.base = Measured(f, primals)
        self.g = joined(arrays_of(g))
        self._exact = self.base.takes_complex
        if not self._exact and not self.base.tensors:
            raise TypeError(
                "order 2 needs a function that takes complex numbers (np.abs, np.linalg.norm, .astype and float() drop "
                "the imaginary part: write np.where(x > 0, x, -x), np.sqrt(np.sum(x * x))), or one written in Tensors"
            )
        self.places = [*self.base.places, len(primals)]
        self.shapes = [*self.base.shapes, np.shape(arrays_of(g)[0])]
        self.out_shapes = self.base.shapes
        self.z = np.concatenate([self.base.x, self.g])
        self.y = self.first_order(self.z)

    def first_order(self, z: Array) -> Array:
        """Jᵀg at z = (x, g)."""
        x, g = np.split(z, [self.base.x.size])
        return self.base.columns(x).T @ g if self._exact else self.base.tape(g, x)

    @cached_property
    def rounding(self) -> Array:
        """Of every entry of Jᵀg how far rounding moves it."""
        return 2 * np.max([np.abs(self.first_order(beside(self.z, seed)) - self.y) for seed in (1, 2, 3)], 0)

    def jvp(self, v: Array) -> Estimate:
        """The directional derivative of (x, g) ↦ Jᵀg along v."""
        sizes = np.concatenate([self.base.leaf_sizes, np.full(self.g.size, np.abs(self.g).max(initial=0.0) or 1.0)])
        units = (sizes / np.maximum(np.abs(v), 1e-300))[v != 0]
        unit = float(np.min(units)) if units.size else 1.0
        return richardson(lambda z: (self.first_order(z), None), self.z, v, unit, self.rounding, float(sizes.max()))

    def vjp(self, u: Array) -> Product:
        """The cotangents of x, d/dt J(x+tu)ᵀg by symmetry of second derivatives, and of g, Ju."""
        by_x = self.jvp(np.concatenate([u, np.zeros_like(self.g)]))
        by_g = self.base.jvp(u)
        value, budget, noise = (
            np.concatenate([getattr(by_x, part), getattr(by_g, part)]) for part in ("value", "budget", "noise")
        )
        largest = joined([np.full(a.shape, np.abs(a).max(initial=0.0)) for a in split(value, self.shapes)])
        reach = float(np.abs(u).max(initial=0.0))
        heights = np.concatenate([np.abs(self.y) * reach / self.base.leaf_sizes, np.abs(by_g.value)])
        terms = np.maximum(
            np.abs(value), np.concatenate([0 * by_x.value, np.abs(self.base.jacobian().value) @ np.abs(u)])
        )
        natural = np.full(value.size, heights.max(initial=0.0))
        return Product(
            value, budget, noise, terms, largest, 16 * EPS * heights, natural, f"{by_g.scheme}, {by_x.scheme}"
        )
