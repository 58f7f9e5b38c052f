"""CUDA kernels without a GPU: on the simulator, as PTX, and what is said where no GPU works.

What this cannot show is said in CONTRIBUTING.md: races, real atomics, streams, speed. test_gpu.py runs on a real GPU.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cupy_double
import numpy as np
import pytest

import tinygrad2 as tg
from tinygrad2.experiments import info
from tinygrad2.kernels import (
    Geometry,
    choose,
    describe_gpu,
    to_device,
    why_no_cuda_kernels,
    why_no_gpu,
)  # fmt: skip
from tinygrad2.kernels.cuda import launch

ROOT = Path(__file__).parent.parent
FORGET = (why_no_gpu, why_no_cuda_kernels, choose.implementation)


def forget() -> None:
    for probe in FORGET:
        probe.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The double in CuPy's place."""
    forget()
    yield cupy_double.install(monkeypatch)
    forget()


def test_the_kernels_compute_what_the_reference_does_and_mistakes_in_them_are_found() -> None:
    """The simulator is chosen when Numba CUDA is imported: hence a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "tests/cuda_cases.py"],
        cwd=ROOT,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None and int(passed[1]) >= 80, done.stdout
    assert "skipped" not in done.stdout


# As PTX. It needs no GPU, but NVIDIA's compiler: pip install 'tinygrad2[ptx]', or make ptx.

GEOMETRY = Geometry.of((9, 8), (3, 2), stride=(2, 1), padding=((1, 0), (1, 2)), dilation=(1, 2))
CAPABILITIES = ((7, 5), (9, 0))


@cache
def why_no_ptx() -> str | None:
    """Why nothing can be compiled here, or None."""
    try:
        from tinygrad2.kernels.cuda import source

        source.ptx("select", (), np.dtype("float32"), (9, 0))
    except Exception as reason:  # numba-cuda, NVVM or NVRTC is missing, or does not fit: each says it in its own way
        return f"{type(reason).__name__}: {' '.join(str(reason).split())} (pip install 'tinygrad2[ptx]', or make ptx)"
    return None


@pytest.fixture
def source() -> Any:
    if reason := why_no_ptx():
        if os.environ.get("TINYGRAD2_REQUIRE_PTX") == "1":
            pytest.fail(f"TINYGRAD2_REQUIRE_PTX=1, but {reason}")
        pytest.skip(reason)
    from tinygrad2.kernels.cuda import source

    return source


def constants(source: Any, name: str) -> tuple[int, ...]:
    """Some that the kernel is made for: channels and a geometry, a plane with a mask, classes."""
    from tinygrad2.kernels.cuda.window import numbers

    given = dict(
        zip(["h", "w", "oh", "ow", "kh", "kw", "sh", "sw", "dh", "dw", "top", "left"], numbers(GEOMETRY), strict=True)
    )
    given |= {"channels": 3, "plane": 20, "masked": 1, "wanted": 6, "classes": 10}
    return tuple(given[parameter] for parameter in inspect.signature(source.KERNELS[name].make).parameters)


def parameters(text: str) -> list[str]:
    """The types of the entry point's parameters."""
    head = text[text.index(".entry") : text.index("{")]
    return re.findall(r"\.param \.(\w+)", head)


NAMES = (
    "argmax", "average", "centered", "fold", "log_softmax", "pack", "pick", "place", "place_in_order", "select",
    "softmax", "spread", "unfold", "unmixed", "unpack",
)  # fmt: skip


def test_every_kernel_has_its_row(source: Any) -> None:
    assert sorted(source.KERNELS) == sorted(NAMES)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_every_kernel_compiles_for_every_dtype(source: Any, name: str, dtype: str, capability: tuple[int, int]) -> None:
    entry, text = source.ptx(name, constants(source, name), np.dtype(dtype), capability)
    assert f".target sm_{capability[0]}{capability[1]}" in text
    kernel = source.KERNELS[name]
    # What launch.py passes: addresses and whole numbers of 64 bits; an array is seven of them.
    assert parameters(text) == ["u64"] * (len(kernel.memory) + 6 * kernel.memory.count("A") + kernel.numbers)
    assert text.count(entry) > 1
    if dtype == "float32":
        check_single_precision(text, kernel.wide)


def check_single_precision(text: str, wide: bool) -> None:
    """No float64 arithmetic, but in softmax and its relatives, which are exact through it."""
    assert (".f64" in text) is wide


def test_a_constant_of_double_precision_is_found(source: Any) -> None:
    kernel = source.KERNELS["select"]

    def doubled(g, m, y, size, shared):  # type: ignore[no-untyped-def]
        t = source.cuda.grid(1)
        if t < size and m[t - source.divide(t, shared) * shared] != 0:
            y[t] = g[t] * 0.3

    _, text = source.compiled(doubled, kernel, np.dtype("float32"), (9, 0))
    with pytest.raises(AssertionError):
        check_single_precision(text, kernel.wide)


def test_a_window_is_known_to_the_compiler(source: Any) -> None:
    _, text = source.ptx("fold", constants(source, "fold"), np.dtype("float32"), (9, 0))
    assert "div." not in text  # multiplications took their place
    assert text.count("ld.global.f32") == 6  # one for each entry of the window: no loop is left


# What is said where no GPU works, or not enough of it.


def broken(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any) -> Any:
        raise error

    return fail


def test_without_cupy_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    forget()
    with pytest.raises(RuntimeError, match=r"'cuda' cannot be used: CuPy cannot be imported.*tinygrad2\[cuda13\]"):
        tg.Tensor([1.0]).to("cuda")
    assert "CuPy cannot be imported" in str(why_no_cuda_kernels())
    forget()


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        (12_040, r"driver is for CUDA 12, but CuPy was built for CUDA 13: update the driver, or .*tinygrad2\[cuda12\]"),
        (0, "there is no NVIDIA driver"),
        (13_000, r"its CUDA device does not work \(RuntimeError: insufficient\)"),
    ],
)
def test_an_old_driver_is_told_apart(cupy: Any, monkeypatch: pytest.MonkeyPatch, driver: int, message: str) -> None:
    runtime = SimpleNamespace(
        getDeviceCount=broken(RuntimeError("insufficient")),
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: 13_020,
    )
    monkeypatch.setattr(cupy.cuda, "runtime", runtime)
    with pytest.raises(RuntimeError, match=message):
        to_device(np.ones(2), "cuda")


def test_without_the_kernels_cupy_does_the_work_and_info_says_so(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "launch", broken(ImportError("no NVVM")))
    assert "Numba's CUDA kernels do not work (ImportError: no NVVM); CuPy does the work" in str(why_no_cuda_kernels())
    y = tg.max_pool2d(tg.Tensor(np.ones((1, 1, 2, 2), np.float32)).to("cuda"), 2)
    assert y.numpy().tolist() == [[[[1.0]]]]
    found = {"name": b"A card", "totalGlobalMem": 8 * 10**9, "major": 9, "minor": 0}
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda device: found, raising=False)
    monkeypatch.setattr(cupy.cuda.runtime, "driverGetVersion", lambda: 13_000, raising=False)
    assert describe_gpu() == "A card, 8 GB, compute capability 9.0, driver for CUDA 13.0"
    lines = info().splitlines()
    assert any(line.split(maxsplit=1) == ["GPU", describe_gpu()] for line in lines)
    assert any(line.startswith("GPU kernels") and "no NVVM" in line for line in lines)


def test_kernels_that_compute_wrongly_are_not_used(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "launch", lambda *_: lambda memory, size, numbers: memory[-1].fill(7))
    assert "compute wrongly" in str(why_no_cuda_kernels())


def test_the_variable_turns_them_off(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD2_NUMBA", "0")
    assert "TINYGRAD2_NUMBA=0" in str(why_no_cuda_kernels())


def test_out_of_memory_says_what_was_computed_and_what_to_do(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = tg.Tensor(np.ones((4, 3), np.float32), requires_grad=True).to("cuda")
    monkeypatch.setattr(cupy_double.ndarray, "dot", broken(MemoryError("Out of memory allocating 48 bytes")))
    monkeypatch.setattr(cupy_double.ndarray, "__matmul__", broken(MemoryError("Out of memory allocating 48 bytes")))
    with pytest.raises(MemoryError, match=r"linear: Out of memory.*\(shapes \(4, 3\), \(2, 3\)\); a smaller batch"):
        tg.linear(x, tg.Tensor(np.ones((2, 3), np.float32)).to("cuda"))


def test_more_numbers_than_32_bits_can_count_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"fewer than 2\*\*32 .*smaller batch"):
        launch.run("select", (), 1 << 32, (np.ones(1),), 1)


def test_the_same_number_is_copied_to_the_device_once(cupy: Any) -> None:
    x = tg.Tensor(np.ones(3, np.float32)).to("cuda")
    y = [x * 0.75 for _ in range(2)]
    with cupy_double.counting() as count:
        z = x * 0.75 + 0.75
    assert count.uploads == 0
    assert z.numpy().tolist() == [1.5] * 3
    assert (1.0 / (x * -0.0)).numpy().tolist() == [-np.inf] * 3
    assert (1.0 / (x * 0.0)).numpy().tolist() == [np.inf] * 3
    assert y[0].dtype == np.float32


def test_numba_cuda_is_imported_in_one_module_and_only_when_needed() -> None:
    package = ROOT / "tinygrad2"
    importing = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"(from numba import .*cuda|import numba\.cuda|from numba\.cuda)", path.read_text("utf-8"))
    ]
    assert importing == ["kernels/cuda/source.py"]
    code = "import sys, tinygrad2; print([m for m in ('numba', 'cupy', 'tinygrad2.kernels.cuda') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
