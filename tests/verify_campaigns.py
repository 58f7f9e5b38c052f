"""The long runs of the derivation checker, each as a function of a count: the suite runs a slice, `make soak` all.

`python tests/verify_campaigns.py [NAME] [COUNT]` prints one line per campaign with what was counted.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import string
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from device_cases import PRIMITIVES
from random_rules import random_rule, wrong_in_one_entry
from verify_mistakes import MISTAKES

from tinygrad2 import ops
from tinygrad2.autodiff import REGISTRY, Primitive, Tensor, VariadicPrimitive, zero
from tinygrad2.verify import check_vjp, exercise, exercises, gradcheck, verify_primitive
from tinygrad2.verify.ladder import STEPS, climb
from tinygrad2.verify.point import Point, Tally
from tinygrad2.verify.run import draw_point

SUITE = {"right": 300, "random": 400, "one entry": 300, "mistakes": len(MISTAKES), "kinks": 4, "files": 40}
SOAK = {
    "right": 10_000,
    "random": 1_000_000,
    "one entry": 100_000,
    "mistakes": len(MISTAKES),
    "kinks": 1000,
    "files": 10_000,
}


def right(count: int) -> dict[str, Any]:
    """Right derivations at random configurations, all steps, float64 and (step dtype) float32: no alarm."""
    alarms = []
    names = exercises()
    problems = [exercise(name).problem(exercise(name).solution) for name in names]
    tally, rng = Tally(), np.random.default_rng(11)
    for i in range(count):
        problem = problems[i % len(problems)]
        point = draw_point(problem, rng, tally)
        _, finding = climb(point, STEPS)
        single = _single(point)
        if finding or single:
            alarms.append(f"{problem.name} at {point.case}: {finding or single}")
    return {"configurations": count, "alarms": alarms, "skipped": tally.skipped, "moved": len(tally.notes)}


WHOLE = 20  # every so many random rules go up the whole ladder; the others are checked at their one point


def random_right(count: int) -> dict[str, Any]:
    """Right rules of random functions of all scales, in float64 and float32: none may be called wrong."""
    accused, unsure = [], []
    for i in range(count):
        f, rule, x, _ = random_rule(np.random.default_rng([17, i]))
        x = x.astype(np.float32) if i % 2 else x
        report = check_vjp(f, rule, x) if i % WHOLE == 0 else gradcheck(f, x, vjp=rule)
        if report.verdict == "wrong":
            accused.append(f"{i}: {report}")
        elif report.verdict == "uncertified":
            unsure.append(f"{i}: {report.reason}")
    return {"rules": count, "accused": accused, "uncertified": len(unsure), "reasons": unsure[:20]}


def one_entry(count: int) -> dict[str, Any]:
    """Rules that are wrong in one entry, by 1e-4 of that entry: none may be called right."""
    certified, verdicts = [], {"wrong": 0, "uncertified": 0, "zero": 0}
    for i in range(count):
        rng = np.random.default_rng([18, i])
        f, rule, x, natural = random_rule(rng)
        k = int(rng.integers(x.size))
        x = x.astype(np.float32) if i % 2 else x
        report = gradcheck(f, x, vjp=wrong_in_one_entry(rule, k))
        if report.verdict != "right":
            verdicts[report.verdict] += 1
            continue
        exact = rule(np.ones(np.shape(f(x * 1.0))), x.astype(np.float64))
        if abs(exact[k]) > 1e-13 * natural:  # a wrong part of nothing is nothing
            certified.append(f"{i}: entry {k}: {exact}: {report}")
        else:
            verdicts["zero"] += 1
    return {"rules": count, "certified": certified, **verdicts}


def _single(p: Point) -> str | None:
    """The rule in float32 gives float32, near the float64 truth (as near as float32 sums of this size come)."""
    for a, e in zip(p.claim(dtype=np.float32), p.expected, strict=True):
        if a is None or a.dtype != np.float32 or a.shape != e.shape:
            return "float32 is not kept"
        size = max(np.abs(e).max(initial=0), np.abs(p.g).max(initial=0))
        if not np.all(np.abs(a - e) <= 0.02 * size):
            return f"float32 is off by {np.abs(a - e).max():.2g} of {size:.2g}"
    return None


def mistakes(count: int) -> dict[str, Any]:
    """Known-wrong derivations: how many are rejected, and how many named as the table says."""
    rows, seconds = [], []
    for m in MISTAKES[:count]:
        start = time.perf_counter()
        report = exercise(m.exercise).check(m.rule)
        seconds.append(time.perf_counter() - start)
        named = [n for n in report.mistakes if n != "second-order"]
        fits = bool(set(m.name.split("|")) & set(named)) if m.name else not named
        rows.append((m, not report.ok, fits and bool(named), ", ".join(report.mistakes), fits))
    return {
        "mistakes": len(rows),
        "accepted": [f"{m.exercise}: {m.what}" for m, rejected, *_ in rows if not rejected],
        "named": sum(named for _, _, named, _, _ in rows),
        "misnamed": [f"{m.exercise}: {m.what}: {said!r}" for m, _, _, said, fits in rows if not fits],
        "median seconds": round(float(np.median(seconds)), 3),
        "slowest seconds": round(max(seconds), 2),
        "table": "\n".join(
            ["| exercise | mistake | rejected | named |", "|---|---|---|---|"]
            + [
                f"| {m.exercise} | {m.what} | {'yes' if r else '**no**'} | {said or 'no name'} |"
                for m, r, _, said, _ in rows
            ]
        ),
    }


def unsound(count: int, every: int = 1) -> dict[str, Any]:
    """Every name given: does its repair give the right answer at `count` fresh points too?"""
    broken = []
    for m in MISTAKES[::every]:
        ex = exercise(m.exercise)
        report = ex.check(m.rule)
        problem, rng = ex.problem(m.rule), np.random.default_rng(77)
        points = [draw_point(problem, rng, Tally()) for _ in range(count)]
        for k, diagnosis in report.repairs:
            for p in points:
                with np.errstate(all="ignore"):
                    repaired = diagnosis.repair(p, k)
                if not p.close(np.asarray(repaired), p.expected[k]):
                    broken.append(f"{m.exercise}: {m.what}: {diagnosis.sentence} not at {p.case}")
                    break
    return {"mistakes": len(MISTAKES[::every]), "fresh points each": count, "unsound": broken}


def kinks(count: int, units: int = 100_000) -> dict[str, Any]:
    """Networks of 10⁵ ReLU units at random points: no spurious failure, hardly a skip."""
    rng = np.random.default_rng(5)
    w, v = rng.standard_normal((units, 8)), rng.standard_normal((1, units)) / units**0.5
    failures, skipped = 0, 0

    def net(x: Tensor) -> Tensor:
        hidden = ops.relu(ops.linear(x, Tensor(w)))
        return ops.linear(hidden * ops.tanh(hidden), Tensor(v)) + ops.linear(hidden, Tensor(v))

    for _ in range(count):
        verdict = gradcheck(_real_only(net), rng.standard_normal((1, 8))).verdict
        failures += verdict == "wrong"
        skipped += verdict == "uncertified"
    return {"points": count, "units": units, "spurious failures": failures, "skipped": skipped}


def _real_only(net: Callable[[Tensor], Tensor]) -> Callable[[Any], Tensor]:
    """The network for real numbers alone: so that differences, which could cross kinks, have to be used."""

    def f(x: Any) -> Tensor:
        if not isinstance(x, Tensor) or x.dtype.kind == "c":
            raise TypeError("real Tensors only")
        return net(x)

    return f


# --- mutations

MUTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sign": lambda c: ops.negative(c),
    "factor": lambda c: ops.multiply(c, 2.0),
    "small factor": lambda c: ops.multiply(c, 1.001),
    "dropped": lambda c: ops.multiply(c, 0.0),
    "dropped entry": lambda c: ops.multiply(c, _holed(c)),
    "added term": lambda c: ops.add(c, ops.multiply(ops.sum(c), 0.1)),
    "transposed": lambda c: ops.reshape(ops.transpose(c), c.shape),
    "flipped": lambda c: c[..., ::-1] if c.ndim else c,
    "wrong mask": lambda c: ops.mask(c, ops.positive(c)),
}


def _holed(c: Tensor) -> np.ndarray[Any, Any]:
    hole = np.ones(c.shape, c.dtype)
    if hole.size:
        hole.ravel()[-1] = 0
    return hole


# The constants of the first two are devices and dtypes, which float64 alone cannot vary; that of the third is a product
# of its own arguments, which the checker would move alone: test_ops has its function in both orders.
BEYOND_THE_CHECKER = ("to", "astype", "quadratic")


def mutants() -> Iterator[tuple[str, int, str]]:
    """(primitive, argument, mutation) for every rule in ops."""
    for name in PRIMITIVES:
        p = REGISTRY[name]
        if isinstance(p, VariadicPrimitive) or name in BEYOND_THE_CHECKER:
            continue
        for i, rule in enumerate(p.rules):
            if rule is not zero:
                yield from ((name, i, mutation) for mutation in MUTATIONS)


def caught(name: str, i: int, mutation: str) -> bool | None:
    """True if the checker rejects the mutated rule; None if the mutation changes nothing at the case."""
    case, p = PRIMITIVES[name], REGISTRY[name]
    rules, changed = p.rules, []

    def mutated(*args: Any) -> Tensor:
        c = rules[i](*args)
        shape = args[2 + i].shape if len(args) > 2 + i and args[2 + i] is not None else c.shape
        if c.shape != shape and MUTATIONS[mutation] not in (MUTATIONS["sign"], MUTATIONS["factor"]):
            c = ops.shape.unbroadcast(c, shape) if c.ndim >= len(shape) else c
        new = MUTATIONS[mutation](c)
        before = c.detach().numpy()
        rounding = 64 * float(np.finfo(c.dtype).eps) * np.abs(before).max(initial=0.0)
        changed.append(bool(np.any(np.abs(new.detach().numpy() - before) > rounding)))
        return new

    try:
        Primitive.defvjp(p, *rules[:i], mutated, *rules[i + 1 :])
        rejected = not verify_primitive(p, *case.arrays, constants=case.constants).ok
    finally:
        Primitive.defvjp(p, *rules)
    return rejected if rejected or any(changed) else None


# --- fuzzing

RULES = [
    "return g",
    "return None",
    "return g, g, g",
    "return 'text'",
    "return [1, 'a']",
    "return {}",
    "return object()",
    "return np.nan",
    "return x * 1j",
    "raise KeyError(g)",
    "raise SystemExit(3)",
    "exit()",
    "x[:] = 0; return g",
    "return g * (x > 0)",
    "return my(g, x)",
    "return np.zeros((2,) * 20)",
    "return np.full(x.shape, None)",
    "return g.astype(np.float16)",
    "return lambda: 0",
    "import os; os._exit(7)",
    "return g * np.inf",
    "return g.reshape(-1)",
    "return type(x)",
    "yield g",
    "del g; return g",
    "return np.array(['a'])",
    "x.resize(0); return x",
    "return iter([g])",
    "g[...] = 7; return g",
    "return g if g.sum() > 0 else None",
    "raise BaseException('out')",
    "return float('nan')",
    "assert False",
    "1/0",
]
HEADS = [
    "",
    "import sys; sys.exit(1)",
    "raise RuntimeError",
    "print('x' * 10000)",
    "import sys; sys.stdout.close()",
    "x = (",
    "\x00",
    "import nowhere",
    "import sys; sys.setrecursionlimit(50)",
    "def f(): f()\nf()",
    "class tg: pass",
    "import os; os.chdir('/')",
    "import threading",
    "import numpy as np; np.sum = None",
    "__builtins__ = None",
    "import builtins; builtins.print = None",
    "é = 1",
    "\ufeff",
]


def learner_file(rng: random.Random) -> str:
    """A random file of a learner: broken heads, broken rules, broken declarations, noise."""
    of = rng.choice(
        [
            "'relu'",
            "'tanh'",
            "'softmax.jacobian'",
            "'sigmoid.double'",
            "'nothing'",
            "3",
            "np.tanh, inputs=(np.ones(3),)",
            "lambda x: x, inputs=(1,)",
        ]
    )
    signature = rng.choice(["g, x", "x", "g, u, x", "*a", "g, x, y, z", ""])
    text = "\n".join(
        [
            rng.choice(HEADS) if rng.random() < 0.4 else "",
            "import numpy as np",
            "from tinygrad2.verify import check_vjp, derivation, exercise",
            f"@derivation(of={of})",
            f"def my({signature}):",
            f"    {rng.choice(RULES)}",
            rng.choice(
                [
                    "",
                    "check_vjp(np.tanh, my, np.ones(2))",
                    "exercise('relu').check(my)",
                    "my(1, 2)",
                    "".join(rng.choices(string.printable, k=20)),
                ]
            ),
        ]
    )
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(string.printable) + text[at + 1 :]
    return text


def files(count: int) -> dict[str, Any]:
    """Random learner files through the child's code, each in a forked process: all end, with a verdict or a reason."""
    import json
    import signal

    from tinygrad2.experiments import checking_child

    rng, fell, slowest, verdicts = random.Random(4), [], 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, "learner.py"), Path(folder, "out.json")
        for _ in range(count):
            text = learner_file(rng)
            path.write_text(text, encoding="utf-8", errors="replace")
            out.unlink(missing_ok=True)
            start = time.perf_counter()
            pid = os.fork()
            if pid == 0:
                with contextlib.suppress(BaseException):
                    signal.alarm(20)
                    null = os.open(os.devnull, os.O_RDWR)
                    for stream in (0, 1, 2):
                        os.dup2(null, stream)
                    checking_child.write(str(out), checking_child.check(str(path), 0, {}))
                os._exit(0)
            _, status = os.waitpid(pid, 0)
            slowest = max(slowest, time.perf_counter() - start)
            if os.WIFSIGNALED(status):
                fell.append(f"signal {os.WTERMSIG(status)}: {text!r}")
            elif out.is_file():
                result = json.loads(out.read_text(encoding="utf-8"))
                verdicts += 1
                if not isinstance(result.get("found"), list) or (
                    ("error" in result) == bool(result.get("report")) and result["found"]
                ):
                    fell.append(f"{result}: {text!r}")
    return {
        "files": count,
        "with a verdict": verdicts,
        "hangs, crashes by signal": fell,
        "slowest seconds": round(slowest, 2),
    }


CAMPAIGNS: dict[str, Callable[[int], dict[str, Any]]] = {
    "right": right,
    "random": random_right,
    "one entry": one_entry,
    "mistakes": mistakes,
    "kinks": kinks,
    "files": files,
}


def main(argv: list[str]) -> None:
    """Run the campaigns at full length."""
    chosen = [argv[0]] if argv else [*CAMPAIGNS]
    for name in chosen:
        start = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):
            result = CAMPAIGNS[name](int(argv[1]) if len(argv) > 1 else SOAK[name])
        table = result.pop("table", None)
        print(f"{name}: {result}, {time.perf_counter() - start:.0f} s", flush=True)
        if table:
            print(table)
    if not argv:
        outcomes = {m: caught(*m) for m in mutants()}
        missed = [m for m, c in outcomes.items() if c is False]
        print(f"mutants: {sum(c is True for c in outcomes.values())} caught, {len(missed)} missed {missed}")
        print(f"unsound names: {unsound(20)}")


if __name__ == "__main__":
    main(sys.argv[1:])
