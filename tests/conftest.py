"""What every test may rely on: seeded hypothesis profiles, the data folder, and skips that say why.

A test that needs hardware, a package or a file that is absent skips with the reason in pytest's summary (`-ra`).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: the first call of a Numba kernel compiles it. Example-based replay in CI, fresh examples elsewhere.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


# A shell that runs the tests in the background (`make test &`) has them, and all they start, ignore Ctrl-C.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def why_no_gpu() -> str | None:
    """Why no CUDA device can be used here, or None when a small product computed on it came out right."""
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount() == 0:
            return "no CUDA device"
        product = cupy.ones((2, 3), dtype="float32") @ cupy.ones((3, 2), dtype="float32")
        return None if (product.get() == 3).all() else "a 2x3 product on the CUDA device came out wrong"
    except Exception as reason:  # a broken driver raises anything; whatever it is, it is the reason
        return f"{type(reason).__name__}: {reason}"


@cache
def why_no_oracle() -> str | None:
    """Why PyTorch cannot be asked here, or None."""
    try:
        import torch  # noqa: F401
    except ImportError as reason:
        return f"{reason} (pip install 'tinygrad2[oracle]', or make oracle)"
    return None


REASONS = {"gpu": why_no_gpu, "oracle": why_no_oracle}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `gpu` or `oracle` with the reason; TINYGRAD2_REQUIRE_GPU=1 makes the former a failure."""
    for marker, why in REASONS.items():
        if item.get_closest_marker(marker) is None or (reason := why()) is None:
            continue
        if marker == "gpu" and os.environ.get("TINYGRAD2_REQUIRE_GPU") == "1":
            pytest.fail(f"TINYGRAD2_REQUIRE_GPU=1, but {reason}")
        pytest.skip(f"{marker}: {reason}")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder that TINYGRAD2_DATA names (mnist/*.gz, lenet-reference.npz, ...); skips when there is none."""
    value = os.environ.get("TINYGRAD2_DATA")
    if not value:
        pytest.skip("TINYGRAD2_DATA is not set: set it to a folder that holds mnist/*.gz and lenet-reference.npz")
    if not Path(value).is_dir():
        pytest.skip(f"TINYGRAD2_DATA is {value!r}, which is not a folder")
    return Path(value).resolve()


@pytest.fixture(scope="session")
def data_file(data_folder: Path) -> Callable[[str], Path]:
    """`data_file("mnist/t10k-labels-idx1-ubyte.gz")` is that file's path; skips when the folder lacks it."""

    def find(name: str) -> Path:
        path = data_folder / name
        if not path.is_file():
            pytest.skip(f"TINYGRAD2_DATA is {str(data_folder)!r}, which holds no {name}")
        return path

    return find


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`error("train", ...)`: the only line on stderr after a command that must fail with exit code 2."""
    from tinygrad2.cli import main

    monkeypatch.delenv("TINYGRAD2_DEBUG", raising=False)

    def fail(*argv: object) -> str:
        capsys.readouterr()
        assert main([str(arg) for arg in argv]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        (line,) = err.splitlines()
        assert line.startswith("tinygrad2: error: ")
        return line.removeprefix("tinygrad2: error: ")

    return fail
