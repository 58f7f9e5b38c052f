"""The time of one call of a NumPy function on a recorded tensor, beside MyGrad: every function that MyGrad covers.

Each call is made on 4×4 arrays of float64, so that what the recording costs is what is seen. The two sides take turns,
and each has the shortest of its times: another process on the machine can only add to one. MyGrad has its usual
settings. A function without a derivative is called on constants, since MyGrad takes no others. Two that MyGrad lists
are left out: np.copyto, which is refused here with a sentence, and np.isnat, which is for dates.

    python -m benchmarks.numpy_calls               # prints the table and writes results/numpy-calls.md
    python -m benchmarks.numpy_calls --rounds 400  # more turns, for a busy machine
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import setting

OUTPUT = Path(__file__).parent / "results" / "numpy-calls.md"
CALLS_IN_A_ROUND = 100


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


# x: (4, 4) in (0.2, 0.8), y: (4, 4) in (1.2, 1.8), s: a number. What is not here is np.NAME(x).
FORMS = {
    **{name: f"np.{name}(x, y)" for name in (
        "add", "arctan2", "divide", "logaddexp", "logaddexp2", "matmul", "maximum", "minimum", "multiply", "power",
        "subtract", "divmod", "equal", "floor_divide", "fmod", "greater", "greater_equal", "less", "less_equal",
        "logical_and", "logical_or", "logical_xor", "not_equal", "remainder", "allclose", "isclose",
        "may_share_memory", "result_type", "shares_memory",
    )},
    "arccosh": "np.arccosh(y)",
    "atleast_1d": "np.atleast_1d(s)",
    "atleast_2d": "np.atleast_2d(s)",
    "atleast_3d": "np.atleast_3d(s)",
    "bincount": "np.bincount(i)",
    "broadcast_to": "np.broadcast_to(x, (2, 4, 4))",
    "can_cast": "np.can_cast(x.dtype, np.float32)",
    "clip": "np.clip(x, 0.3, 0.6)",
    "concatenate": "np.concatenate([x, y])",
    "einsum": "np.einsum('ij,jk->ik', x, y)",
    "expand_dims": "np.expand_dims(x, 0)",
    "full_like": "np.full_like(x, 2.0)",
    "moveaxis": "np.moveaxis(x, 0, 1)",
    "norm": "np.linalg.norm(x)",
    "repeat": "np.repeat(x, 2)",
    "reshape": "np.reshape(x, (2, 8))",
    "roll": "np.roll(x, 1)",
    "squeeze": "np.squeeze(x[:1])",
    "stack": "np.stack([x, y])",
    "swapaxes": "np.swapaxes(x, 0, 1)",
    "where": "np.where(m, x, y)",
}  # fmt: skip
DIFFERENTIABLE = words("""
    absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cos cosh divide exp exp2 expm1 log log10
    log1p log2 logaddexp logaddexp2 matmul maximum minimum multiply negative positive power reciprocal sin sinh sqrt
    square subtract tan tanh
    amax amin atleast_1d atleast_2d atleast_3d broadcast_to clip concatenate cumprod cumsum einsum expand_dims max mean
    min moveaxis norm prod ravel repeat reshape roll squeeze stack std sum swapaxes transpose var where
""")
CONSTANT = words("""
    any argmax argmin empty_like full_like ones_like zeros_like
    allclose bincount can_cast isclose may_share_memory min_scalar_type result_type shape shares_memory
    equal greater greater_equal isfinite isinf isnan less less_equal logical_and logical_not logical_or logical_xor
    not_equal signbit
    ceil divmod floor floor_divide fmod remainder rint sign trunc
""")

Call = Callable[..., Any]


class Row(NamedTuple):
    """Microseconds of one call."""

    name: str
    form: str
    ours: float
    mygrads: float


def form(name: str) -> str:
    """The call as it is written, for example "np.add(x, y)"."""
    return FORMS.get(name, f"np.{name}(x)")


def arguments(make: Callable[[Any], Any]) -> dict[str, Any]:
    """What the names in a form stand for. make: an array or a number as a side's tensor."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 0.8, (4, 4))
    plain = {"np": np, "m": x > 0.5, "i": np.array([0, 2, 1, 2])}
    return {**plain, "x": make(x), "y": make(rng.uniform(1.2, 1.8, (4, 4))), "s": make(0.5)}


def sides(recorded: bool) -> dict[str, dict[str, Any]]:
    """side -> the arguments, leaves that are followed or constants."""
    import mygrad

    from tinygrad2 import Tensor

    return {
        "tinygrad2": arguments(lambda a: Tensor(a, requires_grad=recorded)),
        "MyGrad": arguments(lambda a: mygrad.tensor(a, constant=not recorded)),
    }


def timed(name: str, recorded: bool, rounds: int) -> Row:
    """The shortest time of both sides, in turns."""
    calls = {side: eval(f"lambda: {form(name)}", given) for side, given in sides(recorded).items()}
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for side, call in calls.items():
            best[side] = min(best[side], _microseconds(call))
    return Row(name, form(name), best["tinygrad2"], best["MyGrad"])


def _microseconds(call: Call) -> float:
    repeats = range(CALLS_IN_A_ROUND)
    start = time.perf_counter()
    for _ in repeats:
        call()
    return 1e6 * (time.perf_counter() - start) / CALLS_IN_A_ROUND


def table(rows: list[Row], constants: list[Row]) -> str:
    """The result as Markdown."""
    about = setting.environment(1)
    lines = [
        "# Microseconds of one call of a NumPy function, beside MyGrad",
        "",
        f"Written by `python -m benchmarks.numpy_calls` on {about['date']}: Python {about['python']}, {about['cpu']}, "
        f"NumPy {np.__version__}, MyGrad {_version()}; load {about['load']}. Shortest of many turns.",
        "",
    ]
    for title, part in (("Recorded, for a derivative", rows), ("Of constants", constants)):
        slower = [row.name for row in part if row.ours >= row.mygrads]
        lines += [
            f"## {title}: {len(part)} functions, {len(part) - len(slower)} in less time than MyGrad",
            "",
            "| call | tinygrad2 | MyGrad | MyGrad / tinygrad2 |",
            "|---|---:|---:|---:|",
            *(f"| `{r.form}` | {r.ours:.2f} | {r.mygrads:.2f} | {r.mygrads / r.ours:.2f} |" for r in part),
            "",
        ]
    return "\n".join(lines)


def _version() -> str:
    from importlib.metadata import version

    return version("mygrad")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="turns of each side (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the Markdown file (default: %(default)s)")
    options = parser.parse_args()
    setting.set_threads(1)
    rows = [timed(name, True, options.rounds) for name in DIFFERENTIABLE]
    constants = [timed(name, False, options.rounds) for name in CONSTANT]
    text = table(rows, constants)
    options.output.write_text(text, encoding="utf-8")
    print(text)
    return int(any(row.ours >= row.mygrads for row in [*rows, *constants]))


if __name__ == "__main__":
    sys.exit(main())
