"""The record of a run as plain data: what the page, the text table and any other program read. See RECORD.md.

Everything in it is a number, a string, a list or a dictionary. It holds logical places, never pixels, and text, never
HTML. `replay` computes every operation of a record again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np

from tinygrad2.autodiff import REGISTRY, Primitive, VariadicPrimitive
from tinygrad2.autodiff.node import recording
from tinygrad2.kernels import Array
from tinygrad2.view import words
from tinygrad2.view.encode import array_from_json, array_to_json, constant_from_json, constant_to_json
from tinygrad2.view.formulas import Writer
from tinygrad2.view.grouping import Pass, Picture, Step, picture
from tinygrad2.view.recorder import Operation, Recorder
from tinygrad2.view.rules import rule_of, short
from tinygrad2.view.run import Run
from tinygrad2.view.statements import source_of
from tinygrad2.view.symbols import Symbols

SCHEMA = "tinygrad2.steps/1"
_ORDINALS = ("Forward", "Backward", "Second", "Third", "Fourth", "Fifth")


class PassRecord(TypedDict):
    """One walk along the values. direction: 1 to the right, -1 to the left. walks: the pass it goes back through."""

    order: int
    direction: int
    walks: int | None
    name: str


class RuleRecord(TypedDict):
    """A rule as it is written. at: file and line. where: what names in it stand for."""

    operation: str
    argument: int
    text: str
    at: str
    where: str


class ParentRecord(TypedDict):
    """What a step reads. role: "g" the cotangent that arrives, "+" a share to add, "y" what is differentiated."""

    id: str
    role: str


class StepRecord(TypedDict):
    """One step, or a leaf (number None)."""

    id: str
    number: int | None
    kind: str
    lane: int
    column: float
    side: bool
    symbol: str
    means: str
    operation: str
    layer: str | None
    words: str
    formula: list[str]
    letters: dict[str, str]
    rules: list[RuleRecord]
    line: int | None
    runs: int | None
    at: str | None
    value: str
    operations: list[str]
    parents: list[ParentRecord]
    primal: str | None


class OperationRecord(TypedDict):
    """One call of a primitive, with all that is needed to make it again. inputs, out: ids of values."""

    id: str
    op: str
    key: str
    inputs: list[str]
    constants: list[Any]
    out: str
    lane: int


class LevelRecord(TypedDict):
    """The same run at one level of detail."""

    name: str
    steps: list[StepRecord]


class Record(TypedDict):
    """A recorded run."""

    schema: str
    title: str
    function: str
    file: str
    first_line: int
    source: list[str]
    orders: int
    output: str
    gradients: list[dict[str, str]]
    passes: list[PassRecord]
    levels: list[LevelRecord]
    operations: list[OperationRecord]
    values: dict[str, dict[str, Any]]


def record_of(run: Run, orders: int, title: str | None) -> Record:
    """The record of a run, at the level of steps and, where that shows more, of operations."""
    recorder = run.recorder
    results = [run.output, *(v for order in run.gradients for v in order.values())]
    function = str(getattr(run.fn, "__name__", type(run.fn).__name__))
    function = "f" if function == "<lambda>" else function
    source = source_of(run.fn)
    pictures = [(level, picture(recorder, results, level)) for level in ("steps", "operations")]
    if _alike(pictures[0][1], pictures[1][1]):
        pictures.pop()
    levels = [LevelRecord(name=level, steps=_steps(recorder, p, function, run.output)) for level, p in pictures]
    lanes = {n: step.lane.index for step in pictures[0][1].steps for n in step.operations}
    operations = [
        OperationRecord(
            id=f"o{op.number}",
            op=op.op.name,
            key=getattr(op.op, "_key", op.op.name),
            inputs=[f"v{v}" for v in op.inputs],
            constants=[constant_to_json(c) for c in op.consts],
            out=f"v{op.out}",
            lane=lanes[op.number],
        )
        for op in recorder.operations
        if op.number in lanes
    ]
    shown = {f"v{run.output}"} | {step["value"] for level in levels for step in level["steps"]}
    shown |= {v for op in operations for v in (*op["inputs"], op["out"])}
    return Record(
        schema=SCHEMA,
        title=title or function.replace("_", " "),
        function=function,
        file=short(source.file) if source else "",
        first_line=source.first if source else 1,
        source=source.lines if source else [],
        orders=orders,
        output=f"v{run.output}",
        gradients=[{name: f"v{v}" for name, v in order.items()} for order in run.gradients],
        passes=[_pass(p, pictures[0][1]) for p in pictures[0][1].passes],
        levels=levels,
        operations=operations,
        values={f"v{v.number}": array_to_json(v.array) for v in recorder.values if f"v{v.number}" in shown},
    )


def _alike(a: Picture, b: Picture) -> bool:
    return len(a.steps) == len(b.steps)


def _pass(p: Pass, all_of: Picture) -> PassRecord:
    name = _ORDINALS[p.order] if p.order < len(_ORDINALS) else f"Order {p.order}"
    if p.order > 1 and p.walks is not None:
        walked = "the forward pass" if p.walks.order == 0 else "the backward pass"
        name += f", back through {walked if p.walks.order < 2 else 'the second pass'}"
    return PassRecord(order=p.order, direction=p.direction, walks=p.walks.index if p.walks else None, name=name)


def _steps(recorder: Recorder, shown: Picture, function: str, output: int) -> list[StepRecord]:
    symbols = Symbols(recorder, shown, function, output)
    letter = iter(range(len(shown.steps)))
    ids = {id(s): f"s{s.number}" if s.number else f"l{next(letter)}" for s in shown.steps}
    of_value: dict[int, Step] = {}
    for step in shown.steps:
        of_value.setdefault(step.value, step)
    writer = Writer(recorder, ids, of_value)
    return [_step(recorder, step, symbols, ids, writer) for step in shown.steps]


def _step(recorder: Recorder, step: Step, symbols: Symbols, ids: dict[int, str], writer: Writer) -> StepRecord:
    formula, letters = writer.lines(step) if step.number is not None else ([], {})
    operations = [recorder.operations[n] for n in step.operations]
    undone = [recorder.operations[n] for s in step.undone for n in s.operations[:1]]
    first = undone[0] if undone else operations[0] if operations else None
    if step.kind == "seed" and step.primal is not None and step.primal.operations:
        first = recorder.operations[step.primal.operations[-1]]
    if first is None and step.primal is not None and step.primal.operations:
        first = recorder.operations[step.primal.operations[0]]
    place = first.statement if first is not None and (first.line is None) else None
    runs = recorder.sweeps[step.sweep].line if step.sweep is not None else first.line if first else None
    return StepRecord(
        id=ids[id(step)],
        number=step.number,
        kind=step.kind,
        lane=step.lane.index,
        column=step.column,
        side=step.side,
        symbol=symbols.of[id(step)],
        means=symbols.means(step),
        operation=_operation(recorder, step),
        layer=step.label,
        words=_words(recorder, step, symbols),
        formula=formula,
        letters=letters,
        rules=_rules(recorder, step),
        line=first.line if first is not None else None,
        runs=runs,
        at=f"{short(place.file)}:{place.first}" if place is not None else None,
        value=f"v{step.value}",
        operations=[f"o{n}" for n in step.operations],
        parents=[ParentRecord(id=ids[id(p)], role=role) for p, role in step.parents.values()],
        primal=ids[id(step.primal)] if step.primal is not None else None,
    )


def _name(op: Operation) -> str:
    """What an operation is called; a product with itself is a square."""
    return "square" if op.op.name == "multiply" and op.inputs[0] == op.inputs[1] else op.op.name


def _names(recorder: Recorder, step: Step) -> list[str]:
    """The operations of a step, without those that only carry a number from one shape to another."""
    names = list(dict.fromkeys(_name(recorder.operations[n]) for n in step.operations))
    loud = [name for name in names if name not in ("reshape", "broadcast_to", "derivative_of", "identity")]
    return loud or names


def _undone(recorder: Recorder, step: Step) -> list[tuple[str, int]]:
    found = [(_name(recorder.operations[n]), i) for n, i in step.rules]
    found = [(name, 0 if name == "square" else i) for name, i in found]
    loud = [f for f in found if f[0] not in ("reshape", "broadcast_to", "derivative_of", "identity")]
    return list(dict.fromkeys(loud or found))


def _operation(recorder: Recorder, step: Step) -> str:
    """What a step is called: its operations, or whose adjoint it is."""
    if step.number is None:
        return step.kind
    if step.kind == "seed":
        return "seed"
    if step.sweep is None:
        return ", ".join(_names(recorder, step))
    names = list(dict.fromkeys(name for name, _ in _undone(recorder, step)))
    return f"adjoint of {', '.join(names)}" if names else "adjoint"


def _words(recorder: Recorder, step: Step, symbols: Symbols) -> str:
    """The sentences of a step."""
    if step.number is None:
        return "an argument of the function" if step.kind == "input" else "a parameter, shared by all passes"
    if step.kind == "seed":
        if symbols._is_direction(step):
            return words.DIRECTION
        value = recorder.values[step.value].array
        return words.SEED if value.size == 1 and value.reshape(-1)[0] == 1 else words.GIVEN
    if step.sweep is None:
        said = words.forward(_names(recorder, step))
        return f"The reverse layer of {step.label[:-1]}. {said}" if step.primal and step.label else said
    primal = symbols.of[id(step.primal)]
    if not step.operations:
        return words.UNCHANGED
    rules = _undone(recorder, step)
    said = " ".join(dict.fromkeys(words.backward(name, i) for name, i in rules[:2]))
    if step.kind == "share":
        return f"{said} {words.SHARE.format(primal)}"
    added = any(role == "+" for _, role in step.parents.values()) or len(step.undone) > 1
    return f"{said} {words.MEET.format(primal)}" if added else said


def _rules(recorder: Recorder, step: Step) -> list[RuleRecord]:
    """The rules that a step runs, each once."""
    found: dict[str, RuleRecord] = {}
    for n, i in step.rules:
        op = recorder.operations[n].op
        rule = rule_of(op, i)
        if rule is not None and op.name not in ("derivative_of", "identity"):
            made = RuleRecord(operation=op.name, argument=i, text=rule.text, at=rule.at, where=rule.where)
            found.setdefault(rule.text + op.name, made)
    return list(found.values())


def replay(record: Mapping[str, Any]) -> dict[str, Array]:
    """Compute every operation of a record again, from its leaves and constants; every value by its id, of any shape.

    Raises ValueError for a record of another schema, for an operation that this process does not know, and NotKept for
    an array that was too large to be kept.

    >>> run = tg.view.steps(lambda x: x * x, 3.0, orders=1)
    >>> values = tg.view.replay(run.record)
    >>> float(values[run.record["output"]])
    9.0
    """
    if record.get("schema") != SCHEMA:
        raise ValueError(f"replay: expected the schema {SCHEMA!r}, got {record.get('schema')!r}")
    made = {op["out"] for op in record["operations"]}
    used = {v for op in record["operations"] for v in op["inputs"]} | {record["output"]}
    values = {v: array_from_json(record["values"][v]) for v in sorted(used - made)}
    for op in record["operations"]:
        values[op["out"]] = _again(op, [values[v] for v in op["inputs"]])
    return values


def _again(op: Mapping[str, Any], inputs: list[Array]) -> Array:
    primitive = REGISTRY.get(op["key"])
    if primitive is None:
        raise ValueError(f"replay: the operation {op['key']!r} is not known here; import the module that defines it")
    consts = [constant_from_json(c) for c in op["constants"]]
    with np.errstate(all="ignore"), recording(False):
        if isinstance(primitive, VariadicPrimitive):
            return np.asarray(primitive.fn(inputs, *consts))
        return np.asarray(primitive.fn(*_floating(primitive, inputs), *consts))


def _floating(primitive: Primitive, inputs: list[Array]) -> list[Array]:
    """Integers beside floats become floats, as in a call of the primitive."""
    kinds = [inputs[i].dtype for i in primitive._floats if inputs[i].dtype.kind == "f"]
    if not kinds:
        return inputs
    whole = [i for i in primitive._floats if inputs[i].dtype.kind in "biu"]
    return [a.astype(kinds[0]) if i in whole else a for i, a in enumerate(inputs)]


def shape_text(value: Mapping[str, Any]) -> str:
    """A shape as it is printed: 1×4, or "scalar"."""
    return "×".join(map(str, value["shape"])) or "scalar"


def numbers_text(value: Mapping[str, Any], most: int = 4) -> str:
    """The first entries of a value as text."""
    data = value.get("data")
    if data is None:
        figures = value["summary"]
        return f"{figures['min']} … {figures['max']}"
    shown = "  ".join(_shown(v) for v in data[:most])
    return shown + ("  …" if len(data) > most else "")


def _shown(v: Any) -> str:
    if isinstance(v, str | list):
        return str(v)
    if isinstance(v, bool | int):
        return str(v).replace("-", "−")
    size = abs(v)
    text = f"{v:.1e}" if size and (size < 5e-4 or size >= 1e4) and math.isfinite(v) else f"{v:.4f}"
    return text.replace("-", "−")
