"""What the values of a picture are called: by the user's own names where there are any, and by what they are."""

from __future__ import annotations

from collections import Counter

from tinygrad2.view.formulas import subscript
from tinygrad2.view.grouping import Picture, Step
from tinygrad2.view.recorder import Recorder

BAR = "\u0304"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Symbols:
    """The symbols of a picture's steps. The user's names come from local variables and parameters.

    function: the name of the function; output: the number of its value.
    """

    def __init__(self, recorder: Recorder, picture: Picture, function: str, output: int) -> None:
        self.recorder = recorder
        self.picture = picture
        self.of: dict[int, str] = {}
        self.used: Counter[str] = Counter()
        self.unnamed = _free_letter({v.name for v in recorder.values if v.name})
        self.function = function
        named: dict[int, Step] = {}
        for step in picture.steps:  # of those that share a value, the last one has its name
            if recorder.values[step.value].name:
                named[step.value] = step
        self.named = {id(step) for step in named.values()}
        self.output = picture.of_value.get(output)
        for step in picture.steps:
            self.of[id(step)] = self._symbol(step)

    def means(self, step: Step) -> str:
        """What an adjoint with a name of its own is."""
        if step.primal is None or step.kind == "inner":
            return ""
        if step.kind == "share":
            return f"the first share of {self.derivative(step)}"
        if step.kind == "seed" and step.sweep is not None and self._is_direction(step):
            return "the direction in which the gradient is differentiated"
        whole = self.derivative(step)
        return "" if whole == self.of[id(step)] else whole

    def derivative(self, step: Step) -> str:
        """An adjoint written as a derivative."""
        assert step.primal is not None
        return f"∂{self.differentiated(step)}/∂{self.of[id(step.primal)]}"

    def differentiated(self, step: Step) -> str:
        """What a backward pass differentiates: the output, or the sum S of the gradients in their directions."""
        if step.sweep is None:
            return "z"
        outputs = self.recorder.sweeps[step.sweep].outputs
        if len(outputs) == 1 and not self._is_direction(step):
            found = self.picture.of_value.get(outputs[0])
            if found is not None and id(found) in self.of:
                return self.of[id(found)]
        return "S"

    def _is_direction(self, step: Step) -> bool:
        """Whether the pass differentiates gradients, in a direction."""
        assert step.sweep is not None
        outputs = [self.picture.of_value.get(v) for v in self.recorder.sweeps[step.sweep].outputs]
        return any(s is not None and s.primal is not None for s in outputs)

    def _symbol(self, step: Step) -> str:
        if id(step) in self.named:
            return self._distinct(subscript(self.recorder.values[step.value].name or ""))
        if step.primal is None:
            return self._plain(step)
        primal = self.of[id(step.primal)]
        if step.kind == "inner":
            return self._distinct(f"{_barred(primal) or primal}′")
        if step.kind == "share":
            return self._distinct(f"δ{primal}")
        if step.kind == "seed":
            if self._is_direction(step):
                return self._distinct("v")
            return _barred(primal) or f"∂{primal}/∂{primal}"
        if step.lane.order == 1 and (bar := _barred(primal)):
            return self._distinct(bar)
        return self._distinct(self.derivative(step))

    def _plain(self, step: Step) -> str:
        """A value without a name: after its layer, the function, or numbered."""
        if step.label:
            return self._distinct(step.label)
        if step is self.output:
            return self._distinct(self.function if len(self.function) <= 8 and self.function.isidentifier() else "out")
        count = self.used[f"#{self.unnamed}"] + 1
        self.used[f"#{self.unnamed}"] = count
        return subscript(f"{self.unnamed}{count}")

    def _distinct(self, symbol: str) -> str:
        """The symbol; used again, it gets the number of the use."""
        self.used[symbol] += 1
        n = self.used[symbol]
        return symbol if n == 1 else f"{symbol}⁽{str(n).translate(_RAISED)}⁾"


def _barred(symbol: str) -> str | None:
    """The symbol with a bar, where it is one letter, perhaps with digits; None elsewhere."""
    if symbol[:1].isalpha() and all(c in "₀₁₂₃₄₅₆₇₈₉" for c in symbol[1:]):
        return symbol[0] + BAR + symbol[1:]
    return None


def _free_letter(names: set[str]) -> str:
    """A letter for what has no name, which the user does not use."""
    stems = {name.rstrip("0123456789") for name in names}
    return next(letter for letter in ("u", "q", "p", "k", "m", "e", "o", "uu") if letter not in stems)
