"""The formula of a step: its operations as one line of mathematics, with a {reference} for each value that it reads.

Operations that only change a shape are left out, equal factors become powers, and equal terms are added. What would be
too long for one line is given one line for each operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad2.view.grouping import Step
from tinygrad2.view.recorder import Operation, Recorder

ADDED, TIMES, APPLIED, ATOM = range(4)  # how tightly an expression holds together
LONGEST = 9  # references in one line
_SUPERSCRIPT = str.maketrans("0123456789-.", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻·")
_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_FRACTIONS = {0.5: "½", 0.25: "¼"}
SILENT = {"reshape", "broadcast_to", "identity", "derivative_of", "as_float", "astype", "to", "let_through"}

# How an operation is written: its arguments are {0}, {1}, ...; how tightly the whole holds together, and how tightly
# each argument must. An operation that is not here is written as a function.
FORMS: dict[str, tuple[str, int, int]] = {
    "linear": ("{0} {1}ᵀ", TIMES, APPLIED),
    "linear_input": ("{0} {1}", TIMES, APPLIED),
    "linear_weight": ("{1}ᵀ {0}", TIMES, APPLIED),
    "matmul": ("{0} {1}", TIMES, APPLIED),
    "conv2d": ("{0} ∗ {1}", TIMES, APPLIED),
    "conv2d_input": ("{0} ∗ᵀ {1}", TIMES, APPLIED),
    "conv2d_weight": ("{1} ⋆ {0}", TIMES, APPLIED),
    "conv2d_at": ("({0} ∗ {1})[{2}]", ATOM, ADDED),
    "conv2d_input_at": ("{0}[{2}] ∗ᵀ {1}", TIMES, ATOM),
    "conv2d_weight_at": ("{1}[{2}] ⋆ {0}", TIMES, ATOM),
    "divide": ("{0} / {1}", TIMES, APPLIED),
    "mask": ("{0} ⊙ {1}", TIMES, TIMES),
    "transpose": ("{0}ᵀ", ATOM, ATOM),
    "sum_to": ("Σ {0}", APPLIED, TIMES),
    "sum_squares": ("‖{0}‖²", ATOM, ADDED),
    "norm": ("‖{0}‖", ATOM, ADDED),
    "root": ("√{0}", APPLIED, ATOM),
    "sqrt": ("√{0}", APPLIED, ATOM),
    "sigmoid": ("σ({0})", ATOM, ADDED),
    "abs": ("|{0}|", ATOM, ADDED),
    "exp": ("exp({0})", ATOM, ADDED),
    "positive": ("[{0} > 0]", ATOM, ADDED),
    "equal": ("[{0} = {1}]", ATOM, ADDED),
    "less": ("[{0} < {1}]", ATOM, ADDED),
    "greater": ("[{0} > {1}]", ATOM, ADDED),
    "pool_gather": ("{0}[{1}]", ATOM, ATOM),
    "pool_argmax": ("argmax({0})", ATOM, ADDED),
    "pool_scatter": ("scatter({0}, {1})", ATOM, ADDED),
    "index": ("pick({0})", ATOM, ADDED),
    "index_add": ("place({0})", ATOM, ADDED),
}


@dataclass(frozen=True)
class Term:
    """A coefficient times factors; a bare number has none. Each factor is a text and how tightly it holds together."""

    coefficient: float
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True)
class Factor:
    """A part of a product. scalar: it is one number, so no entrywise sign is needed beside it."""

    text: str
    tightness: int
    scalar: bool


Expression = tuple[Term, ...]  # a sum of terms


def number(value: float) -> str:
    """A coefficient as people write it."""
    if abs(value) in _FRACTIONS:
        return ("−" if value < 0 else "") + _FRACTIONS[abs(value)]
    return f"{value:.4g}".replace("-", "−")


def subscript(name: str) -> str:
    """A name with its last digits below the line: W1 becomes W₁."""
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    return stem.rstrip("_") + digits.translate(_SUBSCRIPT) if stem and digits else name


def written(e: Expression, tightness: int = ADDED) -> str:
    """An expression as text, in brackets where it must hold together more tightly than it does."""
    if len(e) == 1:
        text, own = _term(e[0])
        return f"({text})" if own < tightness else text
    text = ""
    for i, term in enumerate(e):
        sign = term.coefficient < 0
        part = _term(Term(abs(term.coefficient), term.factors))[0]
        text += ("−" if sign else "") + part if i == 0 else (" − " if sign else " + ") + part
    return f"({text})" if tightness > ADDED else text


def _term(t: Term) -> tuple[str, int]:
    """A term as text, and how tightly it holds together."""
    if not t.factors:
        return number(t.coefficient), ATOM if t.coefficient >= 0 else TIMES
    powers = list(Counter(t.factors).items())
    alone = len(powers) == 1 and abs(t.coefficient) == 1
    parts = [_power(f, n, alone) for f, n in powers]
    text = parts[0]
    for (before, _), (f, _), part in zip(powers, powers[1:], parts[1:], strict=False):
        text += (" · " if before.scalar or f.scalar else " ⊙ ") + part
    sign = "−" if t.coefficient < 0 else ""
    size = abs(t.coefficient)
    if size != 1:
        text = f"{number(size)} {text}"
    if alone and not sign:
        return text, ATOM if powers[0][1] > 1 else powers[0][0].tightness
    return sign + text, TIMES


def _power(f: Factor, n: int, alone: bool) -> str:
    if n == 1:
        return f.text if alone or f.tightness >= APPLIED else f"({f.text})"
    base = f.text if f.tightness == ATOM else f"({f.text})"
    return base + str(n).translate(_SUPERSCRIPT)


def product(a: Expression, b: Expression) -> Expression:
    """a · b, entry by entry; a sum is one factor of it."""
    return (_times(_single(a), _single(b)),)


def _times(a: Term, b: Term) -> Term:
    return Term(a.coefficient * b.coefficient, a.factors + b.factors)


def _single(e: Expression) -> Term:
    return e[0] if len(e) == 1 else Term(1.0, (Factor(f"({written(e)})", ATOM, all(_scalar(t) for t in e)),))


def _scalar(t: Term) -> bool:
    return all(f.scalar for f in t.factors)


def scaled(e: Expression, factor: float) -> Expression:
    """A number times an expression."""
    return tuple(Term(t.coefficient * factor, t.factors) for t in e)


def total(a: Expression, b: Expression) -> Expression:
    """a + b, with equal terms added."""
    found: list[Term] = []
    for t in (*a, *b):
        same = next((i for i, u in enumerate(found) if Counter(u.factors) == Counter(t.factors)), None)
        if same is None:
            found.append(t)
        else:
            found[same] = Term(found[same].coefficient + t.coefficient, t.factors)
    kept = tuple(t for t in found if t.coefficient != 0)
    return kept or (Term(0.0),)


Name = Callable[[int], str]


class Writer:
    """Writes the formulas of steps. letters: the symbols of values inside a step, and of constants, by their number."""

    def __init__(self, recorder: Recorder, step_ids: dict[int, str], of_value: dict[int, Step]) -> None:
        self.recorder = recorder
        self.ids = step_ids
        self.of_value = of_value

    def lines(self, step: Step) -> tuple[list[str], dict[str, str]]:
        """The formula of a step, and the letters that it uses."""
        self.step = step
        self.letters: dict[str, str] = {}
        self.short = True
        self.count = 0
        head = f"{{{self.ids[id(step)]}}} = "
        if step.kind == "seed" and not step.operations:
            return [head + self._seed(step)], self.letters
        right = self._right(step)
        if self.count <= LONGEST:
            return [head + right], self.letters
        return self._one_each(step, head)

    def _right(self, step: Step) -> str:
        if not step.operations:
            return written(self._read(step.value))
        last = self.recorder.values[step.value].maker
        assert last is not None
        if last not in step.operations:
            return written(self._read(step.value))
        return written(self.expression(self.recorder.operations[last]))

    def _seed(self, step: Step) -> str:
        value = self.recorder.values[step.value]
        source = self.of_value.get(step.value)
        if source is not None and source is not step:
            return f"{{{self.ids[id(source)]}}}"
        return number(float(value.array.reshape(-1)[0])) if value.array.size == 1 else "given"

    def _one_each(self, step: Step, head: str) -> tuple[list[str], dict[str, str]]:
        self.letters = {}
        self.short = False
        lines = []
        for n in step.operations:
            op = self.recorder.operations[n]
            if op.op.name in SILENT and op.out != step.value:
                continue
            last = op.out == step.value
            name = head if last else f"{{{self._letter(op.out, 't')}}} = "
            lines.append(name + written(self.expression(op)))
        return lines, self.letters

    def _letter(self, v: int, letter: str) -> str:
        key = f"v{v}"
        if key not in self.letters:
            count = sum(text.startswith(letter) for text in self.letters.values()) + 1
            self.letters[key] = letter + str(count).translate(_SUBSCRIPT)
        return key

    def expression(self, op: Operation) -> Expression:
        """What an operation computes."""
        name = op.op.name
        if name in SILENT:
            return self._read(op.inputs[0])
        parts = [self._read(v) for v in op.inputs]
        if name == "multiply":
            return product(*parts)
        if name == "square":
            return product(parts[0], parts[0])
        if name == "add":
            return total(*parts)
        if name == "subtract":
            return total(parts[0], scaled(parts[1], -1.0))
        if name == "negative":
            return scaled(parts[0], -1.0)
        if name == "scale" and isinstance(op.consts[0], int | float):
            return scaled(parts[0], float(op.consts[0]))
        if name == "divide" and len(parts[1]) == 1 and not parts[1][0].factors and parts[1][0].coefficient:
            return scaled(parts[0], 1.0 / parts[1][0].coefficient)
        scalar = self.recorder.values[op.out].array.size == 1
        if name == "power" and isinstance(op.consts[0], int | float):
            text = written(parts[0], ATOM) + f"{op.consts[0]:g}".translate(_SUPERSCRIPT)
            return (Term(1.0, (Factor(text, ATOM, scalar),)),)
        return (Term(1.0, (_applied(name, parts, scalar),)),)

    def _read(self, v: int) -> Expression:
        """A value: a reference to the step that shows it, a number, a letter, or what it was computed from."""
        value = self.recorder.values[v]
        scalar = value.array.size == 1
        if (v in self.step.inside and v != self.step.value) or v in self.step.inside:
            return self._inside(v)
        step = self.step.reads.get(v) or self.of_value.get(v)
        if step is not None and step is not self.step and step.value == v:
            return self._reference(self.ids[id(step)], scalar)
        if value.maker is not None:
            return self._inside(v)
        if step is not None and step is not self.step:
            return self._reference(self.ids[id(step)], scalar)
        if scalar and value.array.dtype.kind in "fiu" and np.isfinite(value.array).all():
            return (Term(float(value.array.reshape(-1)[0])),)
        return self._reference(self._letter(v, "m" if value.array.dtype.kind == "b" else "c"), scalar)

    def _inside(self, v: int) -> Expression:
        """A value that is computed inside a step."""
        maker = self.recorder.values[v].maker
        assert maker is not None
        op = self.recorder.operations[maker]
        if self.short or op.op.name in SILENT:
            if self.count > 4 * LONGEST:  # it will be written line by line
                return (Term(1.0),)
            return self.expression(op)
        if v not in self.step.inside:
            self._letter(v, "t")
        return self._reference(self._letter(v, "t"), self.recorder.values[v].array.size == 1)

    def _reference(self, key: str, scalar: bool) -> Expression:
        self.count += 1
        return (Term(1.0, (Factor(f"{{{key}}}", ATOM, scalar),)),)


def _applied(name: str, parts: Sequence[Expression], scalar: bool) -> Factor:
    form = FORMS.get(name)
    if form is None:
        inside = ", ".join(written(p) for p in parts)
        return Factor(f"{name}({inside})", ATOM, scalar)
    text, tightness, needed = form
    for i in range(len(parts)):
        text = text.replace(f"{{{i}}}", f"\0{i}\0")
    for i, p in enumerate(parts):
        text = text.replace(f"\0{i}\0", written(p, needed))
    return Factor(text, tightness, scalar)
