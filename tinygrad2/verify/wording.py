"""How a traced value, call or edge is called in a sentence: by the user's own expressions and variables."""

from __future__ import annotations

import ast
import re

from tinygrad2.kernels import Array
from tinygrad2.verify.tracing import Key, Step, Trace

_OPERATORS: dict[str, type[ast.operator]] = {
    "add": ast.Add,
    "subtract": ast.Sub,
    "multiply": ast.Mult,
    "divide": ast.Div,
    "matmul": ast.MatMult,
    "power": ast.Pow,
}


class Words:
    """The names of one trace."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.first = len(trace.leaves)

    def value(self, v: int) -> str:
        """A variable, or the expression that gave the value."""
        if v < self.first:
            return self.trace.names[v] if v < len(self.trace.names) else f"input {v}"
        return self.result(self.trace.steps[v - self.first])

    def result(self, step: Step) -> str:
        """What a call gives."""
        place = step.key.place
        if place is None:
            return f"the result of {step.op.name}"
        if step.key.backward:
            return f"the derivative of {place.text}"
        if re.fullmatch(r"\w+(, ?\w+)+", place.text):  # a, b = x: the names stand for the parts, in their order
            names = place.text.replace(" ", "").split(",")
            return names[step.key.nth % len(names)]
        assigned = re.fullmatch(r"([A-Za-z_]\w*) = (.*)", place.line)
        if assigned and assigned[2] == place.text:
            return assigned[1]
        return place.text

    def factor(self, v: int) -> str:
        """The same as a factor of a product."""
        return bracketed(self.value(v))

    def expression(self, key: Key) -> str:
        """The expression of a call, with its line where that says more."""
        place = key.place
        if place is None:
            return f"a call of {key.op}"
        return f"{'the derivative of ' if key.backward else ''}`{place.text}` ({self.here(key)})"

    def here(self, key: Key) -> str:
        """The line of a call, and which round of a loop it is."""
        assert key.place is not None
        said = f"line {key.place.number} of {key.place.function}"
        rounds = self.trace.rounds(key)
        return said if rounds == 1 else f"{said}, round {self.trace.round(key) + 1} of {rounds}"

    def operand(self, step: Step, i: int) -> str:
        """Argument i of a call, as it is written there."""
        written = self._written(step, i)
        if written is not None:
            return written
        if step.parents[i] >= 0:
            return self.value(step.parents[i])
        return self.constant(step.inputs[i])

    def filled(self, text: str, step: Step) -> str:
        """A formula of local_rules with the user's own words for the operands and the result."""
        operands = [bracketed(self.operand(step, i)) for i in range(len(step.inputs))]
        names = {"y": bracketed(self.result(step)), "x": operands[0], "a": operands[0], "b": operands[-1]}
        for letter, name in names.items():
            text = text.replace("{" + letter + "}", name)
        return text

    def constant(self, a: Array) -> str:
        return f"{float(a.item()):.6g}" if a.size == 1 else f"the constant of shape {a.shape}"

    def _written(self, step: Step, i: int) -> str | None:
        place = step.key.place
        if place is None:
            return None
        try:
            tree = ast.parse(place.text, mode="eval").body
        except SyntaxError:
            return None
        if isinstance(tree, ast.BinOp) and isinstance(tree.op, _OPERATORS.get(step.op.name, ast.FloorDiv)):
            return ast.unparse((tree.left, tree.right)[i])
        return None


def bracketed(text: str) -> str:
    """An expression as a factor: in brackets where it needs them."""
    return text if re.fullmatch(r"[\w.]+|[\w.]+\([^()]*\)", text) else f"({text})"
