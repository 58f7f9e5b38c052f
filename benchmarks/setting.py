"""What every number depends on: the machine, the versions, the threads; and the networks, parameters and batches.

Importing this file loads no array library, so that thread counts can still be set.
"""

from __future__ import annotations

import math
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

CLASSES = 10
DEFENSE: dict[str, Any] = {"lam": 15.0, "c": 25.0, "d": 5.0}
MODELS = {"lenet": 100, "tf_tutorial": 100, "model_a": 100, "model_b": 50, "model_c": 100}  # and their batches
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip
PACKAGES = ("tinygrad2", "numpy", "numba", "torch", "jax", "autograd", "foolbox")
TUNING = ("OPENBLAS_", "OMP_", "GOMP_", "NUMBA_", "MKL_", "VECLIB_", "TINYGRAD2_NUMBA")  # such variables change speed


def set_threads(threads: int) -> dict[str, str]:
    """So many threads and, where the system can, so many cores, for this process and those it starts.

    OPENBLAS_* are unset: some machines set OPENBLAS_CORETYPE, which makes OpenBLAS use shorter vectors than the
    processor has. Returned are those that were set.
    """
    unset = {name: value for name, value in tuned().items() if name.startswith("OPENBLAS_")}
    for name in unset:
        del os.environ[name]
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    if hasattr(os, "sched_setaffinity"):  # XLA counts cores, not a variable
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    return unset


def tuned() -> dict[str, str]:
    """Every variable that is set and may change speed; not the names of folders."""
    names = (name for name in sorted(os.environ) if name.startswith(TUNING) and not name.endswith("_DIR"))
    return {name: os.environ[name] for name in names}


def environment(threads: int) -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "cpu": _cpu(),
        "packages": {name: _version(name) for name in PACKAGES},
        "variables": tuned(),
        "threads": threads,
        "load": load(),
    }


def load() -> list[float] | None:
    """The load averages over 1, 5 and 15 minutes, where the system tells."""
    return [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source folder, or not installed
        return __import__("tinygrad2").__version__ if package == "tinygrad2" else None


class Problem(NamedTuple):
    """What all sides of a comparison are given; it can be sent to another process."""

    net: str
    options: dict[str, Any]
    state: dict[str, Any]
    x: Any  # (N, C, H, W)
    labels: Any  # (N,)
    batch: int  # a step takes the first so many; an attack takes all

    def network(self) -> Any:
        """The tinygrad2 network with these parameters."""
        net = build(self.net, self.options)
        net.load_state_dict(self.state)
        return net


def build(name: str, options: dict[str, Any]) -> Any:
    """A network of `nn.models` or of this file."""
    from tinygrad2 import nn

    return {**nn.models.MODELS, **OWN}[name](rng=nn.init.default_rng(0), **options)


def _scaled(rng: Any, size: int) -> Any:
    """The convolutions of LeNet for square images of another size."""
    from tinygrad2 import nn

    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        conv1=nn.Conv2d(1, 20, 5, rng=rng), pool1=nn.MaxPool2d(2), conv2=nn.Conv2d(20, 50, 5, rng=rng),
        pool2=nn.MaxPool2d(2), flatten=nn.Flatten(), fc1=nn.Linear(50 * side * side, CLASSES, rng=rng),
    )  # fmt: skip


def _three_convolutions(rng: Any, normalised: bool) -> Any:
    """28 → 14 → 7 → 4, each with batch normalisation in training mode, or without."""
    from tinygrad2 import nn

    layers: dict[str, Any] = {}
    for i, (a, b, stride) in enumerate([(1, 32, 2), (32, 64, 2), (64, 64, 2)], 1):
        layers[f"conv{i}"] = nn.Conv2d(a, b, 3, stride, 1, rng=rng)
        layers |= {f"norm{i}": nn.BatchNorm2d(b)} if normalised else {}
        layers[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(**layers, flatten=nn.Flatten(), fc1=nn.Linear(1024, CLASSES, rng=rng))


def _deep(rng: Any, depth: int) -> Any:
    """Hidden layers of 64 units whose signals neither grow nor vanish: He et al. 2015, variance 2 / fan-in."""
    from tinygrad2 import nn

    net = nn.models.mlp(784, (64,) * depth, rng=rng)
    for layer in net.layers.values():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data * layer.weight.dtype.type(math.sqrt(6))  # from 1/3 of 1 / fan-in
    return net


OWN = {"deep": _deep, "scaled": _scaled, "three convolutions": _three_convolutions}


def problem(name: str, batch: int, images: int, steps: int = 60, device: str = "cpu", **options: Any) -> Problem:
    """A network, trained for a few steps (an untrained one is too easy to fool), with digits and their labels.

    device: where it is trained; the parameters and images of the result are in main memory.
    """
    import numpy as np

    from tinygrad2 import data, nn
    from tinygrad2.kernels import to_device
    from tinygrad2.ops import cross_entropy

    digits = data.centre(data.digits(upsample=options.get("size", 28)))
    net = build(name, options).to(device)
    rng = np.random.default_rng(0)
    classes = options.get("classes", CLASSES)
    optimizer = nn.Adam(net.parameters(), lr=5e-4)
    for _ in range(steps):
        some = rng.integers(0, len(digits.x_train), 50)
        optimizer.zero_grad()
        x = to_device(digits.x_train[some], device)
        cross_entropy(net(x), digits.y_train[some] % classes).backward()
        optimizer.step()
    some = rng.integers(0, len(digits.x_test), max(batch, images))
    return Problem(name, options, net.state_dict(), digits.x_test[some], digits.y_test[some] % classes, batch)
