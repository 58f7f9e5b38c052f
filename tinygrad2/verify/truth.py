"""What the derivative of a function truly is, measured from outside: by the function's values, never by its rules.

Where the function takes complex numbers, by the complex step: exact to rounding, and not disturbed by kinks nearby.
Elsewhere by the certified differences of differences.py.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.autodiff.tree import flatten
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.verify.differences import Estimate, Uncertified, bent, richardson
from tinygrad2.verify.kinks import Sides, watching

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
    f may be written in NumPy or in Tensors. Raises what f raises, and TypeError where f returns no real numbers.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        leaves, self._rebuild = flatten(list(inputs))
        self.f = f
        self.leaves = [np.asarray(to_numpy(a.array) if isinstance(a, Tensor) else a) for a in leaves]
        self.places = [i for i, a in enumerate(self.leaves) if a.dtype.kind == "f"]
        self.shapes = [self.leaves[i].shape for i in self.places]
        self.x = joined([self.leaves[i].astype(np.float64) for i in self.places])
        self.tensors = False
        self.tensors = self._written_in_tensors()
        outputs = arrays_of(self.call(self.x))
        if not outputs or any(y.dtype.kind != "f" for y in outputs):
            kinds = ", ".join(str(y.dtype) for y in outputs) or "nothing"
            raise TypeError(f"the function must return arrays of real numbers (float32 or float64), got {kinds}")
        self.out_shapes = [y.shape for y in outputs]
        self.y = joined(outputs)
        self._complex: bool | None = None
        self._jacobian: Estimate | None = None

    def call(self, x: Array, requires_grad: bool = False) -> Any:
        """What f itself returns at the vector x."""
        return self.f(*self.arguments(x, requires_grad)[0])

    def arguments(self, x: Array, requires_grad: bool = False) -> tuple[list[Any], list[Any]]:
        """f's arguments at the vector x, and the floating leaves among them."""
        leaves: list[Any] = [a.copy() for a in self.leaves]
        for i, part in zip(self.places, split(x, self.shapes), strict=True):
            leaves[i] = Tensor(part, requires_grad=requires_grad) if self.tensors else part
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

    def _written_in_tensors(self) -> bool:
        try:
            with np.errstate(all="ignore"):
                y = self.call(self.x)
        except (TypeError, AttributeError):
            return True
        return any(isinstance(leaf, Tensor) for leaf in flatten(y)[0])

    @property
    def takes_complex(self) -> bool:
        """True if a complex step can be trusted: f carries the imaginary part through, as real differences confirm."""
        if self._complex is None:
            self._complex = self._try_complex()
        return self._complex

    def _try_complex(self) -> bool:
        v = np.random.default_rng(0).choice([-1.0, 1.0], self.x.size) * np.linspace(0.5, 1.0, self.x.size)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                ahead = self(self.x + 1j * STEP * v)
                behind = self(self.x - 1j * STEP * v)
        except Exception:  # whatever a function does on numbers that it was not written for: then it is not
            return False
        with np.errstate(all="ignore"):
            slope = ahead.imag / STEP
        if not np.isfinite(slope).all() or not _agree(ahead.real, self.y, 1e-9):
            return False
        for h in (1e-4, 1e-6, 1e-7):
            if _agree((self(self.x + h * v) - self(self.x - h * v)) / (2 * h), slope, 1e-3):
                near = [self(self.x + s * v) + self(self.x - s * v) - 2 * self.y for s in (1e-6, 1e-7)]
                if bent(near[0] / 1e-6, near[1] / 1e-7, 1e-7, self.y) or not _agree(-behind.imag / STEP, slope, 1e-9):
                    raise Uncertified("the point is exactly on a kink: the slopes of both sides differ")
                return True
        return False

    def jvp(self, v: Array, at: Array | None = None) -> Estimate:
        """The directional derivative Jv, at the point or at another vector `at`. v: (n,); result: (m,)."""
        x = self.x if at is None else at
        if self.takes_complex:
            value = self(x + 1j * STEP * v).imag / STEP
            return Estimate(value, 1e-13 * (np.abs(value) + np.abs(value).max(initial=0)), "complex step")
        return richardson(self.watched, x, v)

    def jacobian(self, at: Array | None = None) -> Estimate:
        """All of J, column by column. Result: (m, n)."""
        columns = [self.jvp(e, at) for e in np.eye(self.x.size)]
        if not columns:
            nothing = np.zeros((self.y.size, 0))
            return Estimate(nothing, nothing, "no inputs")
        schemes = dict.fromkeys(c.scheme for c in columns)
        return Estimate(
            np.stack([c.value for c in columns], 1), np.stack([c.budget for c in columns], 1), "; ".join(schemes)
        )

    def vjp(self, g: Array) -> Estimate:
        """Jᵀg from the measured Jacobian, which is kept. g: (m,); result: (n,)."""
        if self._jacobian is None:
            self._jacobian = self.jacobian()
        return self._jacobian.transposed(g)

    def tape(self, g: Array, at: Array | None = None) -> Array:
        """Jᵀg as the tape computes it, for f written in Tensors. A leaf that f does not use gets zeros."""
        arguments, leaves = self.arguments(self.x if at is None else at, requires_grad=True)
        outputs = flatten(self.f(*arguments))[0]
        cotangents = split(g, self.out_shapes)
        pairs = [(y, Tensor(c)) for y, c in zip(outputs, cotangents, strict=True) if getattr(y, "requires_grad", False)]
        if not pairs:
            return np.full(self.x.size, np.nan)
        grads = autograd.grad([y for y, _ in pairs], leaves, [c for _, c in pairs], allow_unused=True)
        return joined([np.zeros(s) if c is None else c.numpy() for c, s in zip(grads, self.shapes, strict=True)])


class SecondOrder:
    """(inputs, g) ↦ Jᵀg of f as a map of one vector to another, with its derivatives, all from values of f.

    The first order is exact (complex step, or the tape for functions of Tensors), so the second needs one difference.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        *primals, g = inputs
        self.base = Measured(f, primals)
        self.g = joined(arrays_of(g))
        if not self.base.takes_complex and not self.base.tensors:
            raise TypeError(
                "order 2 needs a function that takes complex numbers (np.abs, np.linalg.norm, .astype and float() drop "
                "the imaginary part: write np.where(x > 0, x, -x), np.sqrt(np.sum(x * x))), or one written in Tensors"
            )
        self.places = [*self.base.places, len(primals)]
        self.shapes = [*self.base.shapes, np.shape(arrays_of(g)[0])]
        self.out_shapes = self.base.shapes
        self.y = self.first_order(np.concatenate([self.base.x, self.g]))

    def first_order(self, z: Array) -> Array:
        """Jᵀg at z = (x, g)."""
        x, g = np.split(z, [self.base.x.size])
        return self.base.jacobian(x).transposed(g).value if self.base.takes_complex else self.base.tape(g, x)

    def jvp(self, v: Array) -> Estimate:
        """The directional derivative of (x, g) ↦ Jᵀg along v."""
        return richardson(lambda z: (self.first_order(z), None), np.concatenate([self.base.x, self.g]), v)

    def vjp(self, u: Array) -> Estimate:
        """The cotangents of x, d/dt J(x+tu)ᵀg by symmetry of second derivatives, and of g, Ju."""
        by_x = self.jvp(np.concatenate([u, np.zeros_like(self.g)]))
        by_g = self.base.jvp(u)
        value = np.concatenate([by_x.value, by_g.value])
        budget = np.concatenate([by_x.budget, by_g.budget])
        return Estimate(value, budget, f"{by_g.scheme}, {by_x.scheme}")


def _agree(a: Array, b: Array, rtol: float) -> bool:
    return bool(np.all(np.abs(a - b) <= rtol * max(np.abs(b).max(initial=0.0), 1e-12)))
