"""Which machine an array lives on, and what that machine can do.

One idea: the array itself says where work happens (`xp(a)`), so no function takes a device argument and there is no
global state. CuPy and Numba are optional and are imported on first need; why one is missing is kept as a sentence.
"""

from __future__ import annotations

import functools
import math
import os
import sys
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from tinygrad2.kernels.once import once

Array: TypeAlias = Any
"""A `numpy.ndarray` or a `cupy.ndarray` (typed Any: CuPy need not be installed, and its types are not NumPy's)."""

NDArray: TypeAlias = np.ndarray[Any, Any]
"""An array in main memory."""

DEVICES = ("cpu", "cuda")


def _cupy_of(a: object) -> ModuleType | None:
    """The cupy module if `a` is its ndarray. Never imports cupy: a CuPy array exists only if somebody already did."""
    cupy = sys.modules.get("cupy")
    return cupy if cupy is not None and isinstance(a, cupy.ndarray) else None


def xp(a: Array) -> Any:
    """The module, numpy or cupy, that made array `a`. TypeError for anything else."""
    if isinstance(a, (np.ndarray, np.generic)):
        return np
    cupy = _cupy_of(a)
    if cupy is None:
        raise TypeError(f"expected a NumPy or CuPy array, got {type(a).__name__}; convert it with numpy.asarray first")
    return cupy


def images(a: Array) -> Array:
    """(..., C, H, W) -> (N, C, H, W); the size is spelt out since -1 is ambiguous for empty arrays."""
    return a if a.ndim == 4 else a.reshape(math.prod(a.shape[:-3]), *a.shape[-3:])


def device_of(a: Array) -> str:
    """'cpu' for a NumPy array, 'cuda' for a CuPy array."""
    return "cpu" if xp(a) is np else "cuda"


def to_numpy(a: Array) -> NDArray:
    """`a` in main memory: the same object if it is there already, else a copy."""
    module = xp(a)
    return np.asarray(a) if module is np else module.asnumpy(a)


def to_device(a: Array, device: str) -> Array:
    """A copy of `a` on `device` ('cpu' or 'cuda'). ValueError for another name, RuntimeError without a GPU."""
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r}: expected 'cpu' or 'cuda'")
    if device == "cpu":
        return np.array(to_numpy(a))
    if reason := why_no_gpu():
        raise RuntimeError(f"device 'cuda' cannot be used: {reason}")
    xp(a)  # a list or a scalar must fail here exactly as it does for 'cpu'
    import cupy

    return cupy.array(a)


def constant(number: NDArray, device: str) -> Array:
    """A number, an array of shape (), on the device. The same one is copied to a GPU once, and nobody writes to it."""
    if device == "cpu":
        return number
    import cupy

    # Another stream may not see it yet.
    where = (cupy.cuda.runtime.getDevice(), cupy.cuda.get_current_stream().ptr)
    return _copied(number.tobytes(), number.dtype, where)


@once
def _copied(number: bytes, dtype: np.dtype[Any], where: tuple[int, int]) -> Array:
    import cupy

    return cupy.array(np.frombuffer(number, dtype)[0])


@functools.cache
def why_no_gpu() -> str | None:
    """None if a CUDA device computes correctly through CuPy, else the reason why not; probed once."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy cannot be imported ({error}); install it with: pip install 'tinygrad2[cuda13]', or [cuda12]"
    try:
        if cupy.cuda.runtime.getDeviceCount() == 0:
            return "CuPy is installed but finds no CUDA device"
        a = cupy.arange(4, dtype=np.float32).reshape(2, 2)
        product = cupy.asnumpy(a @ a)
    except Exception as error:  # a broken driver raises CuPy's own errors, OSError, RuntimeError ...: all mean "no GPU"
        return _old_driver(cupy) or (
            f"CuPy is installed but its CUDA device does not work ({type(error).__name__}: {error})"
        )
    if product.tolist() != [[2, 3], [6, 11]]:
        return f"the CUDA device multiplies wrongly: [[0,1],[2,3]] squared came out as {product.tolist()}"
    return None


def describe_gpu() -> str:
    """The GPU that works here: its name, memory, compute capability, and the CUDA version that its driver speaks."""
    import cupy

    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(runtime.getDevice())
    driver = runtime.driverGetVersion()
    return (
        f"{found['name'].decode()}, {found['totalGlobalMem'] / 1e9:.0f} GB, compute capability "
        f"{found['major']}.{found['minor']}, driver for CUDA {driver // 1000}.{driver % 1000 // 10}"
    )


def _old_driver(cupy: Any) -> str | None:
    """What to do where the driver is missing or of an older major CUDA version than CuPy, else None."""
    try:
        driver = cupy.cuda.runtime.driverGetVersion() // 1000
        needed = cupy.cuda.runtime.runtimeGetVersion() // 1000
    except Exception:  # whatever is broken here, the first error says more
        return None
    if driver == 0:
        return "CuPy is installed but there is no NVIDIA driver; a GPU of NVIDIA needs one"
    if driver >= needed:
        return None
    return (
        f"the NVIDIA driver is for CUDA {driver}, but CuPy was built for CUDA {needed}: update the driver, or use "
        f"pip install 'tinygrad2[cuda{driver}]'"
    )


@functools.cache
def why_no_cuda_kernels() -> str | None:
    """None if kernels that Numba compiles work on the GPU, else the reason why not; probed once.

    Without them CuPy does all the work: more slowly, with the same results. TINYGRAD2_NUMBA=0 turns them off.
    """
    if reason := _numba_is_off() or why_no_gpu():
        return reason
    import cupy

    try:
        from tinygrad2.kernels.cuda.select import masked

        passed = cupy.asnumpy(masked(cupy.arange(4, dtype=np.float32), cupy.arange(4) % 2 == 1))
    except Exception as error:  # numba-cuda, NVVM or NVRTC may be missing or of another version: all mean "no kernels"
        message = " ".join(str(error).split())
        return f"Numba's CUDA kernels do not work ({type(error).__name__}: {message}); CuPy does the work, more slowly"
    if passed.tolist() != [0, 1, 0, 3]:
        return f"Numba's CUDA kernels compute wrongly: a mask of [0, 1, 2, 3] gave {passed.tolist()}, not [0, 1, 0, 3]"
    return None


def _numba_is_off() -> str | None:
    off = os.environ.get("TINYGRAD2_NUMBA", "1") == "0"
    return "Numba is turned off by the environment variable TINYGRAD2_NUMBA=0" if off else None


@functools.cache
def why_no_numba() -> str | None:
    """None if the compiled CPU kernels may be used, else the reason why not (TINYGRAD2_NUMBA=0 turns them off)."""
    if reason := _numba_is_off():
        return reason
    try:
        import numba  # noqa: F401
    except ImportError as error:
        return f"Numba cannot be imported ({error}); NumPy does the work, more slowly"
    return None


def freeze(a: Array) -> Array:
    """A copy of `a`, read-only in NumPy; `a` itself where its memory is a `bytes` object, which nobody can write.

    A read-only array is copied too: its owner can make it writeable again.
    """
    if xp(a) is not np:
        return a.copy()
    if type(a) is np.ndarray and _is_bytes(a):
        return a
    frozen = np.array(a, order="C")
    frozen.setflags(write=False)
    return frozen


def _is_bytes(a: NDArray) -> bool:
    owner: Any = a
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return isinstance(owner, bytes)


def _is_basic(key: object) -> bool:
    """True if `key` holds only integers, slices, None and Ellipsis: such an index names no element twice."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(part is None or part is Ellipsis or isinstance(part, (slice, int, np.integer)) for part in parts)


def _names_rows_once(key: object, shape: tuple[int, ...]) -> bool:
    """True if `key` is one NumPy array that names no row twice (`add.at` would be many times slower)."""
    (at,) = key if isinstance(key, tuple) and len(key) == 1 else (key,)
    if not isinstance(at, np.ndarray):
        return False
    if at.dtype.kind == "b":
        return True
    # Modulo the length, since -1 and the last row are one row.
    return bool(shape) and at.ndim == 1 and np.unique(at % max(shape[0], 1)).size == at.size


def index_add(shape: tuple[int, ...], key: Any, g: Array) -> Array:
    """The adjoint of `a[key]` for `a` of `shape`: zeros with `g` added at `key`, repeated places adding up."""
    module = xp(g)
    out = module.zeros(shape, g.dtype)
    if _is_basic(key) or _names_rows_once(key, shape):
        out[key] += g
    else:
        module.add.at(out, key, g)
    return out
