"""From operations to steps: what is one card of the picture, in which lane it stands, and under which value.

A step of the forward pass is a layer, or a statement of the user's. A step of a backward pass is the cotangent of a
value, as far as one walk gives it: the second backward pass walks back through the first one, then through the forward
pass, and may bring two shares to one value. Each adjoint takes the column of its primal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tinygrad2.view.recorder import Backward, Contribution, Forward, Operation, Recorder, Reverse

Level = Literal["steps", "operations"]
LINKS = ("derivative_of", "identity")  # they give back what they take: no step of their own


@dataclass
class Pass:
    """One walk along the values: forward, or back through another one. sweep: the backward pass that it is part of."""

    index: int
    order: int
    direction: int
    walks: Pass | None
    sweep: int | None


@dataclass(eq=False)
class Step:
    """One card. value: the number of its value; inside: of the others that its operations make.

    primal: the step whose cotangent it is. undone: the steps whose rules it runs. parents: what it reads, with its
    role: "g" is the cotangent that arrives, "+" a share that is added, "y" what is differentiated, "x" all others.
    """

    kind: str  # input, parameter, value, seed, adjoint, share
    lane: Pass
    value: int
    time: int
    operations: list[int] = field(default_factory=list)
    inside: set[int] = field(default_factory=set)
    primal: Step | None = None
    sweep: int | None = None
    undone: list[Step] = field(default_factory=list)
    rules: list[tuple[int, int]] = field(default_factory=list)  # the operation undone, and by which of its arguments
    reads: dict[int, Step] = field(default_factory=dict)  # value -> the step that it is read from
    parents: dict[int, tuple[Step, str]] = field(default_factory=dict)
    label: str | None = None  # of the layer
    column: float = 0.0
    side: bool = False
    number: int | None = None

    def needs(self, parent: Step, role: str) -> None:
        """Note that it reads another step; the first role stays."""
        if parent is not self:
            self.parents.setdefault(id(parent), (parent, role))


@dataclass
class Picture:
    """All steps of a run in the order in which they happen, leaves first, and the passes that they belong to."""

    steps: list[Step]
    passes: list[Pass]
    of_value: dict[int, Step]


@dataclass
class _Arrival:
    """A contribution in terms of steps; `owner` is where its operations are shown."""

    to: Step
    undone: Step | None
    inner: bool
    lane: Pass
    source: Contribution
    operations: list[int]
    owner: Step | None = None


class Grouping:
    """The work of `picture`: it goes through the run once."""

    def __init__(self, recorder: Recorder, level: Level) -> None:
        self.recorder = recorder
        self.level = level
        self.steps: list[Step] = []
        self.passes: list[Pass] = [Pass(0, 0, 1, None, None)]
        self.aliases: dict[int, list[Step]] = {}  # value -> the steps whose value it is, or that make it
        self._lanes: dict[tuple[object, ...], Pass] = {}
        self._waiting: list[Operation] = []  # what a reverse network does before its first step

    def picture(self, needed: set[int]) -> Picture:
        """The steps of the run. needed: the numbers of the operations that the results depend on."""
        recorder = self.recorder
        plain = [op for op in recorder.operations if op.number in needed and not isinstance(op.role, Backward)]
        groups = {op.number: i for i, group in enumerate(self._groups(plain)) for op in group}
        events: list[tuple[int, Operation | int]] = [(op.time, op) for op in plain]
        events += [(s.contributions[0].time, s.number) for s in recorder.sweeps if s.contributions]
        current: tuple[int, Step] | None = None
        for _, event in sorted(events, key=lambda e: e[0]):
            if isinstance(event, int):
                self._sweep(event)
            elif self._is_link(event):
                self._join(event)
            elif isinstance(event.role, Reverse):
                current = self._reverse(event, current)
            else:
                group = groups[event.number]
                if current is None or current[0] != group:
                    current = group, self._begin(self._forward(event))
                self._include(current[1], event)
        self._number()
        self._place()
        return Picture(self.steps, self.passes, {v: steps[-1] for v, steps in self.aliases.items()})

    # forward

    def _groups(self, plain: Sequence[Operation]) -> Iterator[list[Operation]]:
        """The forward operations that are one step each: in a row, and only the last is read by others."""
        found: list[list[Operation]] = []
        before: Forward | None = None
        for op in plain:
            if not isinstance(op.role, Forward) or self._is_link(op):
                before = None
                continue
            if before is None or self.level == "operations" or not _goes_on(before, op.role):
                found.append([])
            found[-1].append(op)
            before = op.role
        group_of = {op.out: i for i, group in enumerate(found) for op in group}
        read: set[int] = {y for s in self.recorder.sweeps for y in s.outputs}
        for op in plain:
            own = group_of.get(op.out)
            read |= {v for v in op.inputs if v in group_of and group_of[v] != own}
        for group in found:
            part: list[Operation] = []
            for op in group:
                part.append(op)
                if op.out in read:
                    yield part
                    part = []
            if part:
                yield part

    def _is_link(self, op: Operation) -> bool:
        around = isinstance(op.role, Reverse) and not op.role.label
        return (op.op.name in LINKS and self._step(op.inputs[0]) is not None) or around

    def _join(self, op: Operation) -> None:
        """Show an operation that changes nothing together with what it takes."""
        found = [s for v in op.inputs if (s := self._step(v)) is not None]
        if op.op.name not in LINKS:
            found = [s for s in found if s.kind not in ("input", "parameter")]  # a leaf computes nothing
        step = max(found, key=lambda s: s.time, default=None)
        if step is None:
            self._waiting.append(op)
            return
        complete = step.time
        self._include(step, op, step.kind not in ("input", "parameter"))
        step.time = complete  # others may have read it before

    def _forward(self, op: Operation) -> Step:
        assert isinstance(op.role, Forward)
        lanes = [step.lane for v in op.inputs if (step := self._step(v)) is not None]
        lane = max(lanes, key=lambda p: (p.order, p.index), default=self.passes[0])
        return self._add(Step("value", lane, op.out, op.time, label=op.role.label))

    def _reverse(self, op: Operation, current: tuple[int, Step] | None) -> tuple[int, Step] | None:
        role = op.role
        assert isinstance(role, Reverse)
        last = self.steps[-1] if self.steps else None
        key = hash(role.key)
        if current is None or current[0] != key or current[1] is not last:
            primal = self._step(role.target) if role.target is not None else None
            walked = primal.lane if primal is not None else self.passes[0]
            lane = self._lane(("reverse", role.run, walked.index), walked, None)
            step = Step("adjoint", lane, op.out, op.time, primal=primal, label=f"{role.label}ᵀ")
            current = key, self._begin(self._add(step))
        self._include(current[1], op)
        return current

    def _begin(self, step: Step) -> Step:
        """Show what waited for a step in this one."""
        for op in self._waiting:
            self._include(step, op)
        self._waiting = []
        return step

    def _include(self, step: Step, op: Operation, moves: bool = True) -> None:
        """Put an operation into a step. moves: the step's value is now what the operation gives."""
        for v in op.inputs[:1] if op.op.name in LINKS else op.inputs:
            parent = self._step(v)
            if parent is not None and v not in step.inside:
                step.needs(parent, "x")
                step.reads.setdefault(v, parent)
        step.operations.append(op.number)
        step.inside.add(op.out)
        if moves:
            step.value = op.out
            step.time = max(step.time, op.time)
        self.aliases.setdefault(op.out, []).append(step)

    def _step(self, v: int) -> Step | None:
        """The step that a value is shown in; a leaf gets its own when it is first used."""
        if v in self.aliases:
            return self.aliases[v][-1]
        value = self.recorder.values[v]
        if value.kind not in ("input", "parameter"):
            return None
        step = Step(value.kind, self.passes[0], v, -1)
        self.aliases[v] = [self._add(step)]
        return step

    def _add(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def _lane(self, key: tuple[object, ...], walks: Pass, sweep: int | None) -> Pass:
        if key not in self._lanes:
            order = walks.order + 1 if sweep is None else self.recorder.sweeps[sweep].order
            lane = Pass(len(self.passes), order, -walks.direction, walks, sweep)
            self.passes.append(lane)
            self._lanes[key] = lane
        return self._lanes[key]

    # backward

    def _sweep(self, number: int) -> None:
        """The steps of one backward pass."""
        sweep = self.recorder.sweeps[number]
        arrivals = [a for c in sweep.contributions for a in self._arrivals(c)]
        gives: dict[int, list[_Arrival]] = {}
        for a in arrivals:
            if a.source.undone is not None:
                gives.setdefault(a.source.undone, []).append(a)
        made: dict[tuple[int, int, int], Step] = {}
        for a in reversed(arrivals):  # what is inside a step is shown with the one step that reads it
            if a.inner and not a.operations:
                continue  # it passes on unchanged what arrives at the step
            if a.inner:
                owners = {id(b): b for b in self._readers(gives, a.source.target)}
                a.owner = next(iter(owners.values())) if len(owners) == 1 else self._adjoint(made, a, a.source.target)
            else:
                a.owner = self._adjoint(made, a, -1)
        latest: dict[int, Step] = {}
        for a in arrivals:
            if a.owner is not None:
                self._arrive(a, a.owner, latest)
        self._untangle(made)
        for step in sorted(made.values(), key=lambda s: s.time):
            self._add(step)
            chain = self.aliases.setdefault(step.value, [])
            if step not in chain:
                chain.append(step)
        for step in made.values():
            later = [s for s in made.values() if s.primal is step.primal and s.time > step.time and not s.side]
            if later and step.kind == "adjoint":
                step.kind = "share"
        for step in made.values():
            if (
                step.kind == "adjoint" and step.primal is not None
            ):  # it is complete: it stands in the lane of its primal
                step.lane = self._lane((number, step.primal.lane.index), step.primal.lane, number)

    def _untangle(self, made: dict[tuple[int, int, int], Step]) -> None:
        """Make one step of those that read one another: of a layer's inner cotangents and the one they work for."""
        while circle := _parents_first(made.values())[1]:
            kept = max(circle, key=lambda s: (s.kind != "inner", s.time))
            gone = {id(s) for s in circle if s is not kept}
            for key in [k for k, s in made.items() if id(s) in gone]:
                self._merge(kept, made.pop(key), made.values())

    def _merge(self, kept: Step, gone: Step, others: Collection[Step]) -> None:
        """Show what a step does in another one."""
        kept.operations = sorted({*kept.operations, *gone.operations})
        kept.inside |= gone.inside
        kept.time = max(kept.time, gone.time)
        kept.undone += [s for s in gone.undone if s not in kept.undone]
        kept.rules += [r for r in gone.rules if r not in kept.rules]
        kept.reads = {v: s for v, s in (gone.reads | kept.reads).items() if v not in kept.inside}
        kept.parents = gone.parents | kept.parents
        for v in gone.inside:
            self.aliases[v] = [kept if s is gone else s for s in self.aliases.get(v, [kept])]
        for step in (kept, *others):
            step.reads = {v: kept if s is gone else s for v, s in step.reads.items()}
            if id(gone) in step.parents:
                role = step.parents.pop(id(gone))[1]
                step.needs(kept, role)
        kept.parents.pop(id(kept), None)

    def _readers(self, gives: dict[int, list[_Arrival]], v: int) -> list[Step]:
        """The steps that need the cotangent of a value inside a step."""
        found: list[Step] = []
        for a in gives.get(v, []):
            found += [a.owner] if a.owner is not None else self._readers(gives, a.source.target)
        return found

    def _arrivals(self, c: Contribution) -> Iterator[_Arrival]:
        """A contribution; before it, the steps without an operation that share their value with the one undone."""
        to = self._step(c.target)
        if to is None:
            return
        undone = None
        if c.undone is not None and c.undone in self.aliases:
            chain = self.aliases[c.undone]
            undone = chain[0]
            for below, above in zip(reversed(chain[:-1]), reversed(chain[1:]), strict=True):
                passes_on = Contribution(c.sweep, c.undone, c.undone, c.g, [], c.g or 0, c.g or 0, c.time)
                yield _Arrival(below, above, False, self._lane_of(c, above), passes_on, [])
        yield _Arrival(to, undone, undone is to, self._lane_of(c, undone or to), c, c.operations)

    def _lane_of(self, c: Contribution, walked: Step) -> Pass:
        return self._lane((c.sweep, walked.lane.index), walked.lane, c.sweep)

    def _adjoint(self, made: dict[tuple[int, int, int], Step], a: _Arrival, inner: int) -> Step:
        key = id(a.to), a.lane.index, inner
        if key not in made:
            step = Step("adjoint", a.lane, a.source.total, a.source.time, primal=a.to, sweep=a.source.sweep)
            step.side = inner >= 0
            step.kind = "inner" if inner >= 0 else "adjoint"
            made[key] = step
        return made[key]

    def _arrive(self, a: _Arrival, step: Step, latest: dict[int, Step]) -> None:
        """Put a contribution into its step."""
        c = a.source
        if (not a.inner and c.time >= step.time) or (a.inner and step.kind == "inner"):
            step.value = c.total
        step.time = max(step.time, c.time)
        if a.undone is None:
            step.kind = "seed"
            step.needs(a.to, "y")
        else:
            if step.kind == "seed":
                step.kind = "adjoint"
            if a.undone not in step.undone:
                step.undone.append(a.undone)
        above = None
        if c.undone is not None:
            above = latest.get(-1 - c.undone, latest.get(id(a.undone)))
        for n in a.operations:
            op = self.recorder.operations[n]
            for v in op.inputs:
                if v in step.inside:
                    continue
                if v == c.g and above is not None:
                    step.needs(above, "g")
                    step.reads.setdefault(v, above)
                elif (parent := self._reads(v, latest)) is not None:
                    step.needs(parent, "+" if parent.primal is a.to and parent.sweep == c.sweep else "x")
                    step.reads.setdefault(v, parent)
            step.operations.append(n)
            step.inside.add(op.out)
            self.aliases.setdefault(op.out, [step])
        if not a.operations and above is not None and not a.inner:
            step.needs(above, "g")
            step.reads.setdefault(c.given, above)
        self._note_rule(c, step)
        if not a.inner or step.kind == "inner":
            latest[id(a.to) if not a.inner else -1 - c.target] = step

    def _note_rule(self, c: Contribution, step: Step) -> None:
        maker = self.recorder.values[c.undone].maker if c.undone is not None else None
        if maker is None:
            return
        inputs = self.recorder.operations[maker].inputs
        places = [i for i, v in enumerate(inputs) if v == c.target]
        before = [i for op, i in step.rules if op == maker]
        step.rules += [(maker, i) for i in places if i not in before][:1]

    def _reads(self, v: int, latest: dict[int, Step]) -> Step | None:
        """The step that a rule reads a value from."""
        found = self._step(v)
        if found is not None:
            return found
        return next((s for s in latest.values() if s.value == v), None)

    # order and place

    def _number(self) -> None:
        """Give every step but the leaves its number: in the order in which they are complete, after all they read."""
        self.steps, circle = _parents_first(sorted(self.steps, key=lambda s: (s.time, s.primal is None)))
        assert not circle, "steps read one another"
        for i, step in enumerate(s for s in self.steps if s.kind not in ("input", "parameter")):
            step.number = i + 1

    def _place(self) -> None:
        """Give every step its column. Leaves but the first stand half a column before what reads them first."""
        leaves = [s for s in self.steps if s.number is None]
        first = next((s for s in leaves if s.kind == "input"), None)
        column = 0
        for step in self.steps:
            if step.number is not None and step.lane.index == 0 and step.primal is None:
                column += 1
                step.column = column
        for leaf in leaves:
            users = [s for s in self.steps if id(leaf) in s.parents]
            if leaf is not first:
                leaf.column = min((s.column for s in users if s.lane.index == 0), default=0.5) - 0.5
                leaf.side = True
        left, right = -1.0, float(column + 1)
        taken: set[tuple[int, float]] = set()
        for step in self.steps:
            if step.number is None or (step.lane.index == 0 and step.primal is None):
                continue
            if step.primal is not None:
                step.column = step.primal.column - (0.5 if step.kind == "inner" else 0.0)
                step.side = step.side or step.primal.side or step.kind == "share"
            elif step.lane.direction < 0:
                step.column, left = left, left - 1
            else:
                step.column, right = right, right + 1
            if not step.side:
                step.side = (step.lane.index, step.column) in taken
                taken.add((step.lane.index, step.column))
        offset = min((s.column for s in self.steps), default=0.0)
        for step in self.steps:
            step.column -= int(offset) if offset == int(offset) else int(offset) - 1


def _goes_on(before: Forward, now: Forward) -> bool:
    """Whether an operation belongs to the statement, or the layer, of the one before it."""
    if before.key != now.key:
        return False
    if before.label is not None:
        return True
    (was, entered), (is_now, enters) = before.place, now.place
    return is_now > was or (is_now == was and entered == enters != 0)


def _parents_first(steps: Collection[Step]) -> tuple[list[Step], list[Step]]:
    """The steps in their order, but each after those of them that it reads; and the first circle among them, if any."""
    own = {id(s) for s in steps}
    found: dict[int, Step] = {}
    for start in steps:
        path = {id(start): start}
        while path:
            step = next(reversed(path.values()))
            missing = [p for p, _ in step.parents.values() if id(p) in own and id(p) not in found]
            if id(step) in found or not missing:
                found[id(step)] = path.pop(id(step))
                continue
            parent = min(missing, key=lambda s: s.time)
            if id(parent) in path:
                return [], list(path.values())[list(path).index(id(parent)) :]
            path[id(parent)] = parent
    return list(found.values()), []


def needed_operations(recorder: Recorder, results: Sequence[int]) -> set[int]:
    """The operations that the results, and every backward pass, depend on."""
    roots = [*results]
    for sweep in recorder.sweeps:
        roots += [*sweep.outputs, *(c.total for c in sweep.contributions), *(c.given for c in sweep.contributions)]
        roots += [recorder.operations[n].out for c in sweep.contributions for n in c.operations]
    found: set[int] = set()
    while roots:
        maker = recorder.values[roots.pop()].maker
        if maker is not None and maker not in found:
            found.add(maker)
            roots += recorder.operations[maker].inputs
    return found


def picture(recorder: Recorder, results: Sequence[int], level: Level = "steps") -> Picture:
    """The steps of a run. results: the numbers of the values that the picture must show."""
    return Grouping(recorder, level).picture(needed_operations(recorder, results))
