"""Time one training step of LeNet, plain and with Deep Defense, against plain PyTorch in the same run.

Both sides start from the same parameters and batch, and must give the same losses before anything is timed. They take
turns, in both orders; the ratio is that of the shortest times.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results" / "lenet_step.json"
# Relative difference of losses that still counts as agreement: float32 sums, and iterates that pass through kinks.
AGREEMENT = {"plain": 1e-5, "deep defense": 1e-3}
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
NO_TORCH = (
    "PyTorch is not installed (pip install 'tinygrad2[oracle]'), so there is nothing to compare with:\n"
    "these are the times of tinygrad2 alone, and no file is written."
)

Side = Callable[[str], float]


def check_agreement(sides: dict[str, Any], state: Any, steps: int = 3) -> dict[str, list[float]]:
    """Take a few steps on both sides; SystemExit unless losses agree at each. Also compiles and warms up everything."""
    losses: dict[str, list[float]] = {}
    for kind, tolerance in AGREEMENT.items():
        for side in sides.values():
            side.reset(state)
        for i in range(1, steps + 1):
            values = [side(kind) for side in sides.values()]
            if not all(math.isclose(value, values[0], rel_tol=tolerance) for value in values):
                raise SystemExit(f"{kind}, step {i}: the losses of {', '.join(sides)} are {values}: not the same work")
            losses.setdefault(kind, []).append(values[0])
    return losses


def measure(sides: dict[str, Any], state: Any, kind: str, repeats: int) -> dict[str, list[float]]:
    """Seconds of each of `repeats` steps on each side; the sides take turns, and so does who begins."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(repeats):
        for name in list(sides)[:: -1 if repeat % 2 else 1]:
            sides[name].reset(state)
            time.sleep(0.02)  # let the other side's idle threads stop spinning
            begin = time.perf_counter()
            sides[name](kind)
            times[name].append(time.perf_counter() - begin)
    return times


def summary(times: dict[str, list[float]]) -> dict[str, Any]:
    """The shortest and median seconds of each side, and how many times longer this project takes."""
    best = {name: min(seconds) for name, seconds in times.items()}
    return {
        "best_s": best,
        "median_s": {name: median(seconds) for name, seconds in times.items()},
        "ratio_of_best": best["tinygrad2"] / best["pytorch"] if "pytorch" in best else None,
    }


def environment(threads: int) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "packages": {name: _version(name) for name in ("tinygrad2", "numpy", "numba", "torch")},
        "threads": threads,
        "load": load(),
    }


def load() -> list[float] | None:
    """The load averages over 1, 5 and 15 minutes, where the system tells."""
    return [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None


def table(results: dict[str, dict[str, Any]]) -> str:
    """One line for each kind of step, milliseconds."""
    lines = [f"{'step':<14}{'tinygrad2 ms':>14}{'PyTorch ms':>14}{'ratio':>8}"]
    for kind, result in results.items():
        best = result["best_s"]
        theirs = f"{1e3 * best['pytorch']:>14.1f}{result['ratio_of_best']:>8.2f}" if "pytorch" in best else f"{'—':>14}"
        lines.append(f"{kind:<14}{1e3 * best['tinygrad2']:>14.1f}{theirs}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see --help."""
    parser = argparse.ArgumentParser("python -m benchmarks.lenet_step", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="steps to time on each side (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="the JSON file to write (default: %(default)s)")
    options = parser.parse_args(arguments)
    if options.repeats < 2 or options.threads < 1:
        parser.error("expected at least 2 repeats, one for each order, and at least 1 thread")
    # The libraries read these when they are loaded, so nothing that loads them may be imported before.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(options.threads)))
    from benchmarks import steps

    print("training a LeNet for the steps to start from ...", file=sys.stderr)
    state, x, y = steps.problem()
    sides: dict[str, Any] = {"tinygrad2": steps.Steps(state, x, y)}
    if find_spec("torch") is None:
        print(NO_TORCH)
    else:
        import torch

        from benchmarks.torch_steps import TorchSteps

        torch.set_num_threads(options.threads)
        sides["pytorch"] = TorchSteps(state, x, y)
    report: dict[str, Any] = {
        "environment": environment(options.threads),
        "batch": steps.BATCH,
        "repeats": options.repeats,
    }
    report["losses"] = check_agreement(sides, state)
    report["steps"] = {kind: summary(measure(sides, state, kind, options.repeats)) for kind in AGREEMENT}
    report["load_after"] = load()
    print(table(report["steps"]))
    now = report["environment"]["load"]
    print(f"best of {options.repeats}, batch {steps.BATCH}, {options.threads} threads on each side; load {now}")
    if "pytorch" in sides:
        write(options.output, report)
        print(f"written to {options.output}")
    return 0


def write(path: Path, report: dict[str, Any]) -> None:
    """The report as JSON, whole or not at all."""
    from tinygrad2.nn import atomic_write

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "w") as file:
        file.write(json.dumps(report, indent=2) + "\n")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source folder, or not installed
        return __import__("tinygrad2").__version__ if package == "tinygrad2" else None


if __name__ == "__main__":
    sys.exit(main())
