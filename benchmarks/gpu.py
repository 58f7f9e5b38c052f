"""Steps of four networks on the GPU beside PyTorch on the same GPU, with the floors that the card sets.

Both sides have the same parameters and batch, and are timed only where value and gradient agree. They take turns; a
time is the mean of the steps of a turn, with one wait for the GPU at the end, in the shortest of all turns. All is
float32: PyTorch's own default, convolutions in TF32, is a column of its own. Finished rows are on disk at once.

A floor is the arithmetic of the step over the rate of a large float32 product, measured in the same run. Of one more
step, the GPU's activities are counted, and the share of the time in which it had any (by PyTorch's profiler).
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import setting
from benchmarks.ours import Tinygrad2
from benchmarks.rows import difference
from tinygrad2 import Tensor
from tinygrad2.kernels import to_device, why_no_cuda_kernels, why_no_gpu
from tinygrad2.nn import atomic_write
from tinygrad2.robust import walk

MODELS = ("lenet", "model_a", "model_b", "model_c")
STEPS = ("cross-entropy", "input gradient", "jacobian", "deep defense")
BATCHES = (100, 1000)
TURN = 0.05  # seconds of one turn, about
RESULTS = Path(__file__).parent / "results"

Step = Callable[[], Any]


class Ours(Tinygrad2):
    """This project on the GPU; a step does not wait for it."""

    def __init__(self, net: Any, x: Any, labels: Any) -> None:
        super().__init__(net.to("cuda"), to_device(x, "cuda"), labels)

    def _step(self, loss_of: Callable[[], Tensor]) -> Any:
        self.net.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss


def peers() -> dict[str, Any]:
    """PyTorch's two ways, on the GPU."""
    import torch

    from benchmarks.torch_eager import Batched, Torch

    def on_gpu(kind: type[Torch]) -> type[Torch]:
        class OnGpu(kind):  # type: ignore[misc, valid-type]
            def __init__(self, net: Any, x: Any, labels: Any) -> None:
                super().__init__(net, x, labels)
                self.net.cuda()
                self.x = self.x.cuda()
                self.labels = self.labels.cuda()

            def _step(self, loss_of: Callable[[], Any]) -> Any:
                self.net.zero_grad()
                loss = loss_of()
                loss.backward()
                return loss

            def gradient(self) -> Any:
                grads = [p.new_zeros(p.shape) if p.grad is None else p.grad for p in self.net.parameters()]
                return torch.cat([g.flatten() for g in grads]).cpu().numpy()

            def rows(self, z: Any, x: Any) -> Any:
                if kind is Torch:
                    return super().rows(z, x)
                u = torch.eye(z.shape[1], device=z.device)[:, None].expand(z.shape[1], *z.shape)
                return torch.autograd.grad(z, x, u, create_graph=True, is_grads_batched=True)[0]

        return OnGpu

    return {"PyTorch eager": on_gpu(Torch), "PyTorch is_grads_batched": on_gpu(Batched)}


def wait() -> None:
    """Until the GPU has done all that it was given."""
    import cupy

    cupy.cuda.runtime.deviceSynchronize()


def turn(step: Step, seconds: float) -> float:
    """Seconds of a step, the mean of as many as one turn holds. seconds: about what a step takes."""
    count = max(1, min(50, int(TURN / seconds)))
    wait()
    begin = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return (time.perf_counter() - begin) / count


def ceilings() -> dict[str, float]:
    """What this card does at most: float32 operations a second in a large product, bytes a second in a large copy."""
    import cupy

    a = cupy.random.standard_normal((8192, 8192), dtype="float32")
    b = cupy.empty_like(a)
    product = min(turn(lambda: a.dot(a, b), 0.03) for _ in range(3))
    large = cupy.zeros(1 << 29, "float32")
    other = cupy.empty_like(large)
    copy = min(turn(lambda: cupy.copyto(other, large), 0.002) for _ in range(3))
    return {"flops": 2 * 8192**3 / product, "bytes": 2 * large.nbytes / copy}


def operations(net: Any, x: Any) -> float:
    """Multiplications and additions of a forward pass, for one image."""
    total = 0
    trace = net.trace(x[:1])
    for row in trace.reverse().rows():
        layer = net[row.name]
        if hasattr(layer, "weight"):
            pixels = row.shape[-1] * row.shape[-2] if len(row.shape) == 4 else 1
            total += 2 * layer.weight.size * pixels
    return float(total)


def arithmetic(step: str, ours: Ours, forward: float) -> float:
    """Operations of a step at least: a forward pass is one unit, and so is each of the two products of its reverse."""
    n = len(ours.x)
    k = setting.CLASSES
    if step == "cross-entropy":
        return 3 * n * forward
    if step == "input gradient":
        return (3 + 3) * n * forward
    if step == "jacobian":
        return (3 + 3 * k) * n * forward
    found = walk(ours.net, Tensor(ours.x), ours.labels)  # each iteration: all rows, one recorded, a test, a new trace
    return float((3 * n + found.iterations.sum() * (k - 1 + 3 + 2 + 2)) * forward)


def activity(step: Step) -> dict[str, float]:
    """Kernels and copies of one step, and the share of the time in which the GPU was busy."""
    from torch.profiler import ProfilerActivity, profile

    step()
    wait()
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        wait()
        begin = time.perf_counter()
        step()
        wait()
        seconds = time.perf_counter() - begin
    events = [e for e in found.events() if e.device_type.name == "CUDA"]
    busy = end = 0.0
    for start, stop in sorted((e.time_range.start, e.time_range.end) for e in events):
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    names: dict[str, float] = {}
    for e in events:
        names[e.name[:90]] = names.get(e.name[:90], 0.0) + e.time_range.elapsed_us()
    most = dict(sorted(names.items(), key=lambda item: -item[1])[:12])
    return {"launches": len(events), "busy": busy * 1e-6 / seconds, "microseconds": most}  # type: ignore[dict-item]


def measure(sides: dict[str, Any], step: str, repeats: int) -> dict[str, Any]:
    """Seconds of every side that can take the step and agrees; why another one is left out."""
    import torch

    row: dict[str, Any] = {"seconds": {}, "tf32 seconds": {}, "left_out": {}, "activity": {}, "bytes": {}}
    steps: dict[str, Step] = {}
    first: Any = None
    for name, side in sides.items():
        todo = side.steps().get(step)
        if todo is None:
            continue
        try:
            value = float(todo().item())
            gradient = side.gradient()
            first = first or (value, gradient)
            if off := difference(*first, value, gradient):
                row["left_out"][name] = off
            else:
                steps[name] = todo
        except Exception as error:
            row["left_out"][name] = f"{type(error).__name__}: {error}"[:500]
            traceback.print_exc()
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # what the libraries keep forever need not be looked through in every turn
    about = {name: turn(todo, 1.0) for name, todo in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, todo in steps.items():
            times[name].append(turn(todo, about[name]))
    row["seconds"] = {name: min(found) for name, found in times.items()}
    torch.backends.cudnn.allow_tf32 = True
    for name in steps:
        if name != "tinygrad2":
            row["tf32 seconds"][name] = min(turn(steps[name], about[name]) for _ in range(3))
    torch.backends.cudnn.allow_tf32 = False
    for name, todo in steps.items():
        try:
            row["activity"][name] = activity(todo)
        except Exception as error:
            row["activity"][name] = {"error": f"{type(error).__name__}: {error}"[:300]}
    return row


def line(model: str, batch: int, step: str, row: dict[str, Any]) -> str:
    """One row of the table: milliseconds, the ratio of the best peer's time to ours, and the floor."""
    ours = row["seconds"].get("tinygrad2")
    others = {name: t for name, t in row["seconds"].items() if name != "tinygrad2"}
    best = min(others, key=others.__getitem__, default=None)
    tf32 = min(row["tf32 seconds"].values(), default=None)
    seen = row["activity"].get("tinygrad2", {})
    theirs = row["activity"].get(best, {})
    cells = [
        model,
        str(batch),
        step,
        "–" if ours is None else f"{1e3 * ours:.3f}",
        "–" if best is None else f"{1e3 * others[best]:.3f} ({best})",
        "–" if best is None or ours is None else f"{others[best] / ours:.2f}",
        "–" if tf32 is None else f"{1e3 * tf32:.3f}",
        f"{1e3 * row.get('floor', 0):.3f}",
        f"{seen.get('launches', '–')} / {theirs.get('launches', '–')}",
        f"{seen.get('busy', 0):.2f} / {theirs.get('busy', 0):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| network | batch | step | tinygrad2 ms | PyTorch ms | ratio | PyTorch TF32 ms | floor ms | launches | busy |\n"
    "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|"
)


def environment() -> dict[str, Any]:
    """The card, its driver and the versions."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(0)
    return setting.environment(threads=0) | {
        "gpu": properties["name"].decode(),
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "cupy": cupy.__version__,
        "kernels": why_no_cuda_kernels() or "work",
        "ceilings": ceilings(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see --help. Result: the exit code, 1 without a GPU or where a side disagrees."""
    parser = argparse.ArgumentParser("python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--repeats", type=int, default=7, help="turns of each side (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="a .json; a .md beside it (default: results/gpu-CARD.json)")
    options = parser.parse_args(arguments)
    if reason := why_no_gpu():
        print(f"the benchmark needs a GPU: {reason}", file=sys.stderr)
        return 1
    about = environment()
    output = options.output or RESULTS / f"gpu-{about['gpu'].replace(' ', '-').lower()}.json"
    report: dict[str, Any] = {"environment": about, "rows": []}
    sides = {"tinygrad2": Ours}
    try:
        import torch

        torch.backends.cudnn.allow_tf32 = False
        sides |= peers()
    except ImportError as error:
        report["missing"] = str(error)
    print(f"{about['gpu']}, {about['ceilings']}, kernels: {about['kernels']}\n\n{HEAD}", flush=True)
    for model in options.models:
        problem = setting.problem(model, max(options.batches), 0, device="cuda")
        for batch in options.batches:
            images = problem.x[:batch]
            labels = problem.labels[:batch]
            made = {name: kind(problem.network(), images, labels) for name, kind in sides.items()}
            forward = operations(problem.network(), problem.x)
            for step in options.steps:
                row = measure(made, step, options.repeats)
                row["floor"] = arithmetic(step, made["tinygrad2"], forward) / about["ceilings"]["flops"]
                report["rows"].append({"model": model, "batch": batch, "step": step, **row})
                print(line(model, batch, step, row), flush=True)
                for name, why in row["left_out"].items():
                    print(f"  {name} left out: {why}", flush=True)
                write(output, report)
    return int(any(row["left_out"] for row in report["rows"]))


def write(output: Path, report: dict[str, Any]) -> None:
    """The report as JSON, and its table beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(output, "w") as file:
        file.write(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    about = report["environment"]
    table = [line(row["model"], row["batch"], row["step"], row) for row in report["rows"]]
    versions = {name: number for name, number in about["packages"].items() if number}
    head = f"# On {about['gpu']}\n\n{about['date']}, driver {about['driver']}, CuPy {about['cupy']}, {versions}.\n"
    ceilings = about["ceilings"]
    rates = f"Measured ceilings: {ceilings['flops'] / 1e12:.1f} TFLOP/s, {ceilings['bytes'] / 1e12:.2f} TB/s."
    with atomic_write(output.with_suffix(".md"), "w") as file:
        file.write("\n".join([head, rates, "", HEAD, *table]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
