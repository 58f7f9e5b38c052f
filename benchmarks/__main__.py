"""Time the steps of five papers on five networks, against the peers that are installed, interleaved in one run.

All sides start from the same parameters and batch and must agree in value and gradient before anything is timed. The
ratio is that of the shortest times, the best peer's over this project's: more than 1 is faster.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.lenet_step import THREAD_VARIABLES, environment, load, write

RESULTS = Path(__file__).parent / "results"
MODELS = {"lenet": 100, "tf_tutorial": 100, "model_a": 100, "model_b": 50, "model_c": 100}  # and their batches
CLOSE = (1e-4, 1e-2)  # relative difference in float32 that still counts as agreement of a step's value and gradient
ABSENT = {"torch": "PyTorch", "foolbox": "foolbox (DeepFool)"}
NOT_COMPARED = "JAX, HIPS autograd and torch.compile (no double backward) are not compared"

Steps = dict[str, dict[str, Callable[[], Any]]]  # step -> side -> call


def problem(model: str, images: int) -> tuple[Any, Any, Any]:
    """A network trained for 60 steps (an untrained one is too easy to fool), a batch and its labels."""
    import numpy as np

    from tinygrad2 import data, nn
    from tinygrad2.ops import cross_entropy

    digits = data.centre(data.digits(upsample=28))
    net, rng = nn.models.build(model, rng=0), np.random.default_rng(0)
    optimizer = nn.Adam(net.parameters(), lr=5e-4)
    for _ in range(60):
        some = rng.integers(0, len(digits.x_train), 50)
        optimizer.zero_grad()
        cross_entropy(net(digits.x_train[some]), digits.y_train[some]).backward()
        optimizer.step()
    some = rng.integers(0, len(digits.x_test), images)
    return net, digits.x_test[some], digits.y_test[some]


def sides(net: Any, x: Any, y: Any) -> list[Any]:
    """This project and the peers that are installed."""
    from benchmarks.penalties import Tinygrad2

    found: list[Any] = [Tinygrad2(net, x, y)]
    if find_spec("torch") is not None:
        from benchmarks.torch_peer import PEERS

        found += [peer(net, x, y) for peer in PEERS]
    return found


def check(step: str, taking_part: list[Any], calls: dict[str, Callable[[], Any]]) -> None:
    """SystemExit unless all sides give the same value and gradient. It also compiles and warms up everything."""
    import numpy as np

    value_tolerance, gradient_tolerance = CLOSE
    results = [(calls[side.name](), side.gradient()) for side in taking_part if side.name in calls]
    (value, gradient), *others = results
    for v, g in others:
        off = np.linalg.norm(g - gradient) / np.linalg.norm(gradient)
        if not (abs(v - value) <= value_tolerance * abs(value) and off <= gradient_tolerance):
            raise SystemExit(f"{step}: values {value} and {v}, gradients differ by {off:.1e}: not the same work")


def measure(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The shortest time of each side in seconds; they take turns, and so does who begins."""
    best = dict.fromkeys(calls, float("inf"))
    for repeat in range(repeats):
        for name in list(calls)[:: -1 if repeat % 2 else 1]:
            gc.collect()
            time.sleep(0.02)  # let the other side's idle threads stop spinning
            begin = time.perf_counter()
            calls[name]()
            best[name] = min(best[name], time.perf_counter() - begin)
    return best


def compare(model: str, batch: int, wanted: list[str], repeats: int, attacked: int) -> dict[str, dict[str, float]]:
    """step -> side -> the shortest time in seconds."""
    net, x, y = problem(model, max(batch, attacked))
    taking_part = sides(net, x[:batch], y[:batch])
    results = {}
    for step in wanted:
        calls = {side.name: side.steps()[step] for side in taking_part if step in side.steps()}
        check(step, taking_part, calls)
        results[step] = measure(calls, repeats)
        print(line(model, step, results[step]), flush=True)
    if attacked:
        attacks = {s.name: lambda s=s: s.deepfool(x[:attacked]) for s in taking_part[:2]}
        attacks = {name: call for name, call in attacks.items() if call() is not None}
        results[f"deepfool {attacked}"] = measure(attacks, 2)
        print(line(model, f"deepfool {attacked}", results[f"deepfool {attacked}"]), flush=True)
    return results


def line(model: str, step: str, best: dict[str, float]) -> str:
    """One row of the Markdown table."""
    ours, *theirs = best.values()
    peer = min(best, key=lambda name: best[name] if name != "tinygrad2" else float("inf"))
    rest = f"{1e3 * best[peer]:.1f} ({peer}) | {best[peer] / ours:.2f}" if theirs else "no peer | -"
    return f"| {model} | {step} | {1e3 * ours:.1f} | {rest} |"


def growth(threads: int) -> dict[str, dict[str, dict[str, float]]]:
    """Time of the exact Jacobian penalty against batch, of LeNet; and of a step against depth, of a narrow network."""
    from tinygrad2 import nn

    curves: dict[str, dict[str, dict[str, float]]] = {"batch": {}, "depth": {}}
    net, x, y = problem("lenet", 1000)
    for batch in (10, 30, 100, 300, 1000):
        calls = {side.name: side.steps()["jacobian"] for side in sides(net, x[:batch], y[:batch])[:2]}
        curves["batch"][str(batch)] = measure(calls, 3)
    for depth in (2, 10, 50, 200):
        deep = nn.models.mlp(784, (32,) * depth, rng=0)
        calls = {side.name: side.steps()["jacobian"] for side in sides(deep, x[:100], y[:100])[:2]}
        curves["depth"][str(depth)] = measure(calls, 3)
    return curves


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see --help."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="(default: all)")
    parser.add_argument("--steps", nargs="+", help="names of steps (default: all)")
    parser.add_argument("--repeats", type=int, default=8, help="of each side (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of each side (default: %(default)s)")
    parser.add_argument("--attacked", type=int, default=1000, help="images that DeepFool attacks; 0: leave it out")
    parser.add_argument("--growth", action="store_true", help="also time against batch and depth")
    parser.add_argument("--output", type=Path, default=RESULTS / "steps.json", help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    # The libraries read these when they are loaded, so nothing that loads them may be imported before.
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(options.threads)))
    os.environ["GOMP_SPINCOUNT"] = "0"  # else one side's idle OpenMP threads keep the cores from the other
    if find_spec("torch") is not None:
        import torch

        torch.set_num_threads(options.threads)
    from benchmarks.penalties import LOSSES

    unknown = set(options.steps or ()) - set(LOSSES)
    if unknown:
        parser.error(f"unknown steps {', '.join(sorted(unknown))}; known: {', '.join(LOSSES)}")
    missing = [name for module, name in ABSENT.items() if find_spec(module) is None]
    print(f"missing peers: {', '.join(missing) or 'none'}; {NOT_COMPARED}", file=sys.stderr)
    report: dict[str, Any] = {"environment": environment(options.threads), "missing": missing, "batch": MODELS}
    print("| model | step | tinygrad2 ms | best peer ms | ratio |\n|---|---|---:|---:|---:|")
    report["seconds"] = {
        model: compare(model, MODELS[model], options.steps or list(LOSSES), options.repeats, options.attacked)
        for model in options.models
    }
    if options.growth:
        report["growth"] = growth(options.threads)
    report["load_after"] = load()
    write(options.output, report)
    print(f"load {report['environment']['load']} before, {report['load_after']} after; written to {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
