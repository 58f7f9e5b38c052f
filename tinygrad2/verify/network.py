"""Whole networks and layers of your own: what they claim about derivatives, against measured truth.

Every layer is checked at the input that it really gets. Its reverse layer must agree with the tape, and both orders
with differences, by its input and by its parameters. The table also shows the distance to the nearest kink, and whether
the dtype is kept. A layer that is wrong gets the diagnosis of a derivation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad2.autodiff import Tensor, autograd
from tinygrad2.autodiff.node import recording
from tinygrad2.kernels import Array, to_numpy
from tinygrad2.nn import Layer, ReverseLayer
from tinygrad2.nn.layer import Applied, members, replace
from tinygrad2.nn.rng import generators
from tinygrad2.verify.check import check_vjp
from tinygrad2.verify.differences import EPS, Uncertified
from tinygrad2.verify.gradcheck import along
from tinygrad2.verify.judge import judge
from tinygrad2.verify.kinks import watching
from tinygrad2.verify.report import Report, Verdict
from tinygrad2.verify.truth import Measured

RTOL = 1e-7
COLUMNS = {
    "reverse=tape": f"largest difference of the layer's reverse and the tape, over the largest entry; at most {RTOL}",
    "1st order": "largest error of the tape's first derivative along random directions, over the slope there",
    "2nd order": "the same for the derivative of the reverse layer",
    "kink margin": "distance of this input to the nearest kink",
    "dtype": "whether output and reverse have the dtype of the input",
}
DIRECTIONS = 4  # random directions per order and layer
MOVES = 4  # points tried before a check is skipped, and counted


@dataclass
class LayerReport:
    """The checks of one layer, as in the table that NetworkReport explains. None where a check was skipped.

    wrong: the checks that it does not pass; inside: the wrong layers in it, which may be the reason for those in `led`.
    """

    name: str
    layer: str
    reverse: float = 0.0
    first: float | None = 0.0
    second: float | None = 0.0
    margin: float = np.inf
    dtype: bool = True
    wrong: list[str] = field(default_factory=list)
    led: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    diagnosis: Report | None = None

    @property
    def cells(self) -> list[str]:
        """One line of the table."""
        kink = "none" if np.isinf(self.margin) else f"{self.margin:.1e}"
        verdict = "WRONG: " + ", ".join(self.wrong) if self.wrong else "right"
        if self.led:
            verdict = f"holds a wrong layer: {', '.join(self.inside)}"
        elif not self.wrong and None in (self.first, self.second):
            verdict = "UNCERTIFIED"
        errors = [_number(e) for e in (self.reverse, self.first, self.second)]
        return [self.name or "(whole)", self.layer[:40], *errors, kink, "kept" if self.dtype else "CHANGED", verdict]


@dataclass(repr=False)
class NetworkReport(Verdict):
    """The result of verify_network. It is true in an `if` exactly when every layer is right; print it for the table.

    rows: one LayerReport per layer, the network itself first. checks: how many were asked for. skipped: how many of
    them found no point away from a kink; where nothing is wrong, they make the verdict "uncertified".

    >>> import numpy as np
    >>> from tinygrad2 import nn
    >>> from tinygrad2.verify import verify_network
    >>> report = verify_network(nn.Tanh(), np.ones((1, 3)))
    >>> [row.wrong for row in report.rows], report.skipped
    ([[]], 0)
    """

    rows: list[LayerReport]
    checks: int
    skipped: int
    ok: bool = field(init=False)
    reason: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        wrong = any(row.wrong for row in self.rows)
        self.ok = not wrong and not self.skipped
        if self.skipped and not wrong:
            self.reason = f"{self.skipped} of {self.checks} checks found no point away from a kink"

    def __str__(self) -> str:
        head = ["layer", "", "reverse=tape", "1st order", "2nd order", "kink margin", "dtype", ""]
        table = [head, *[row.cells for row in self.rows]]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
        lines.append(f"{self.checks} checks, {self.skipped} skipped (no point away from a kink was found)")
        lines += [f"  {name}: {what}" for name, what in COLUMNS.items()]
        return "\n".join([*lines, *(str(row.diagnosis) for row in self.rows if row.diagnosis is not None)])


def verify_network(net: Layer, x: Tensor | ArrayLike, seed: int = 0) -> NetworkReport:
    """Check every layer of a network, or one layer of your own (forward and reverse), at the input x.

    x: (N, ...), of the shape and dtype that the network takes. seed: of the random directions. Returns a NetworkReport.
    The checks run on a copy in float64, on the CPU, so the network is not changed. Dropout keeps the mask of its first
    draw. Raises what the network raises where x does not fit.

    >>> import numpy as np
    >>> from tinygrad2 import nn
    >>> from tinygrad2.verify import verify_network
    >>> net = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Tanh())
    >>> report = verify_network(net, np.ones((1, 3), np.float32))
    >>> report.ok, [row.name for row in report.rows]
    (True, ['', '0', '1'])
    """
    with recording(True):
        return _verified(net, x if isinstance(x, Tensor) else Tensor(x), seed)


def _verified(net: Layer, x: Tensor, seed: int) -> NetworkReport:
    own = [t.dtype for _, t in net.named_parameters()]
    alike = Tensor(x.numpy().astype(own[0])) if own and x.dtype.kind == "f" and x.dtype != own[0] else x
    kept = dict(_dtypes_kept(copy.deepcopy(net), alike))
    exact = _in_float64(net)
    rows = []
    given = to_numpy(x.array)
    for name, layer, seen in _inputs(exact, Tensor(given.astype(np.float64) if given.dtype.kind == "f" else given)):
        row = LayerReport(name, layer.brief(), dtype=kept.get(name, True))
        check = _LayerCheck(layer, seen, np.random.default_rng(seed))
        row.margin = check.margin()
        row.reverse = check.reverse_is_tape()
        row.wrong = [] if row.reverse <= RTOL else ["reverse=tape"]
        for order, f in (("1st order", check.forward), ("2nd order", check.backward)):
            error, wrong = check.order(f)
            setattr(row, "first" if order == "1st order" else "second", error)
            row.wrong += [order] if wrong else []
        row.wrong += [] if row.dtype else ["dtype"]
        if row.wrong and row.dtype:
            row.diagnosis = check.diagnose(name or type(layer).__name__)
        rows.append(row)
    _blame_the_innermost(rows)
    skipped = sum((row.first is None) + (row.second is None) for row in rows)
    return NetworkReport(rows, 5 * len(rows), skipped)


def _blame_the_innermost(rows: Sequence[LayerReport]) -> None:
    """A layer that holds a wrong layer is not called wrong itself: it cannot be right before that one is."""
    wrong = [row.name for row in rows if row.wrong]
    for row in rows:
        row.inside = [name for name in wrong if name != row.name and (not row.name or name.startswith(row.name + "."))]
    for row in rows:
        if row.inside and row.wrong:
            row.led = row.wrong
            row.wrong = []
            row.diagnosis = None


class _LayerCheck:
    """One layer at one input, as a function of its input and its parameters."""

    def __init__(self, layer: Layer, x: Tensor, rng: np.random.Generator) -> None:
        self.layer = layer
        self.rng = rng
        self.own = list({id(t): t for _, t in members(layer, Tensor) if t.requires_grad}.values())
        self.values = [x.numpy(), *[t.numpy() for t in self.own]]
        self.states = [(g, g.bit_generator.state) for g in generators(layer).values()]
        self.u = rng.standard_normal(self._apply(self.values)[0].shape)

    def _apply(self, values: Sequence[Tensor | Array]) -> tuple[Tensor, ReverseLayer]:
        """The output and the reverse layer, with these values in the places of the input and the parameters."""
        x, *parameters = [v if isinstance(v, Tensor) else Tensor(v) for v in values]
        for generator, state in self.states:
            generator.bit_generator.state = state
        pairs = list(zip(self.own, parameters, strict=True))
        try:
            replace(self.layer, {id(old): new for old, new in pairs})
            return self.layer.apply(x)
        finally:
            replace(self.layer, {id(new): old for old, new in pairs})

    def forward(self, *values: Any) -> Tensor:
        """The layer: (x, *parameters) ↦ output."""
        return self._apply(values)[0]

    def backward(self, *values: Any) -> Tensor:
        """The reverse layer: (x, *parameters) ↦ Jᵀu for a fixed u."""
        return self._apply(values)[1].vjp(Tensor(self.u))

    def margin(self) -> float:
        """The distance to the nearest kink at this input."""
        with watching() as sides:
            self._apply(self.values)
        return sides.margin

    def reverse_is_tape(self) -> float:
        """How far the reverse layer is from the tape's own product, relative to the largest entry."""
        if self.values[0].dtype.kind != "f":
            return 0.0  # there is nothing to differentiate by
        x = Tensor(self.values[0], requires_grad=True)
        y, reverse = self._apply([x, *self.values[1:]])
        mine = reverse.vjp(Tensor(self.u)).numpy()
        if not y.requires_grad:
            return float(np.abs(mine).max(initial=0.0))
        (tape,) = autograd.grad(y, x, Tensor(self.u))
        assert tape is not None
        if mine.shape != tape.shape:
            return np.inf
        return float(np.abs(mine - tape.numpy()).max(initial=0.0) / max(np.abs(tape.numpy()).max(initial=0.0), 1e-300))

    def order(self, f: Callable[..., Tensor]) -> tuple[float | None, bool]:
        """The largest error of the tape of f along random directions, over the slope; and whether it is wrong there.

        No number where no point away from a kink was found.
        """
        for _ in range(MOVES):
            try:
                return self._error(f)
            except Uncertified:
                self.values[0] = self.values[0] + 1e-3 * self.rng.standard_normal(self.values[0].shape)
        return None, False

    def _error(self, f: Callable[..., Tensor]) -> tuple[float, bool]:
        point = Measured(f, self.values, tape_counts=False)
        g = self.rng.standard_normal(point.y.size)
        tape = point.tape(g)
        if np.isnan(tape).all():  # a constant
            tape = np.zeros(point.x.size)
        edges = np.cumsum([0, *[int(np.prod(s)) for s in point.shapes]])
        largest, wrong = 0.0, False
        for start, end in pairwise(edges):  # input and parameters separately
            directions = np.zeros((DIRECTIONS if end > start else 0, point.x.size))
            directions[:, start:end] = self.rng.choice([-1.0, 1.0], (len(directions), end - start))
            directions /= max(1, end - start) ** 0.5
            if not len(directions):
                continue
            truth = along(point, list(directions), g)
            claimed = directions @ tape
            rounding = 64 * EPS * np.abs(directions) @ np.abs(tape)
            judged = judge(claimed, truth, rounding)
            size = max(float(np.linalg.norm(tape[start:end])), float(np.abs(truth.value).max()), 1e-300)
            beyond = judged.wrong & ~(judged.error <= RTOL * size)
            nothing = size <= float(truth.natural.max(initial=0.0)) * 1e-9  # rounding of a slope that is zero
            largest = max(largest, 0.0 if nothing else float(judged.error.max()) / size)
            wrong |= bool(beyond.any())
        return largest, wrong

    def diagnose(self, name: str) -> Report | None:
        """The reverse layer as a derivation of the forward layer."""
        rest = self.values[1:]
        try:
            return check_vjp(
                lambda x: self._apply([x, *rest])[0],
                lambda g, x: self._apply([x, *rest])[1].vjp(g if isinstance(g, Tensor) else Tensor(g)),
                self.values[0],
                name=name,
                order=2,
            )
        except (ValueError, TypeError, Uncertified):  # too large, or no point away from a kink
            return None


def _inputs(net: Layer, x: Tensor) -> Iterator[tuple[str, Layer, Tensor]]:
    """Every layer with the input that it gets, in the order in which they run; a layer that runs twice counts once.

    A layer of integers, such as an embedding, has no derivative by them: it is left out.
    """
    names = {id(layer): name for name, layer in reversed([*net.named_layers()])}  # the first name of a shared layer
    seen: dict[int, tuple[str, Layer, Tensor]] = {}
    with _listening(net, lambda layer, given: seen.setdefault(id(layer), (names[id(layer)], layer, given.detach()))):
        net(x)
    return iter([row for row in seen.values() if row[2].dtype.kind == "f"])


@contextmanager
def _listening(net: Layer, hear: Callable[[Layer, Tensor], object]) -> Iterator[None]:
    """Call `hear(layer, input)` before every layer of the network runs."""
    layers = [layer for _, layer in net.named_layers()]

    def wrapped(layer: Layer, apply: Callable[[Tensor], Applied]) -> Callable[[Tensor], Applied]:
        def run(x: Tensor) -> Applied:
            hear(layer, x)
            return apply(x)

        return run

    try:
        for layer in layers:
            vars(layer)["apply"] = wrapped(layer, layer.apply)
        yield
    finally:
        for layer in layers:
            vars(layer).pop("apply", None)


def _dtypes_kept(net: Layer, x: Tensor) -> Iterator[tuple[str, bool]]:
    """For every layer, whether output and reverse have the dtype of its input."""
    for name, layer, seen in list(_inputs(net, x)):
        y, reverse = layer.apply(seen)
        back = reverse.vjp(Tensor(to_numpy(y.array) * 0 + y.dtype.type(1)).to(y.device))
        yield name, seen.dtype.kind != "f" or (y.dtype == seen.dtype and back.dtype == seen.dtype)


def _in_float64(net: Layer) -> Layer:
    """A copy of the network on the CPU with all parameters and buffers in float64; shared tensors stay shared."""
    copied = copy.deepcopy(net).to("cpu")
    old = {id(t): t for _, t in copied.named_tensors() if t.dtype.kind == "f"}
    new = {i: Tensor(t.numpy(), np.float64, requires_grad=t.requires_grad, name=t.name) for i, t in old.items()}
    for _, layer in copied.named_layers():
        replace(layer, new)
    return copied


def _number(error: float | None) -> str:
    return "skipped" if error is None else f"{error:.0e}"
