"""One answer per machine: which of two ways is taken, where both are right but round differently.

The answer is a measurement. It must not change from one run to the next, because the same seed must give the same bits.
So it is kept in a file beside the machine code that Numba keeps, and the first process that writes it decides for all.
Where no file can be kept, nothing is measured, and the answer is no.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

from tinygrad2.kernels.cpu.threads import blas, one_thread_per_product

TURNS = 20  # of each way, in turn, of which the shortest counts: other processes may want the cores


def remembered(question: str, folder: str | None, measure: Callable[[], bool]) -> bool:
    """The answer that stands in `folder` for this processor, NumPy and BLAS; else it is measured and written there.

    False where no answer can be kept: a measurement that each process makes again could differ between two runs.
    """
    if folder is None:
        return False
    name = re.sub(r"[^\w.]+", "-", f"{question} {_machine()}")
    file = Path(folder) / f"{name}.txt"
    if _read(file) is None and os.access(folder, os.W_OK):
        _write_first(file, "yes" if measure() else "no")
    return _read(file) is True  # what stands there now: another process may have been faster


def _machine() -> str:
    library = blas()
    name = "" if library is None else f"{library.internal_api} {library.version} {library.info().get('architecture')}"
    return f"{llvm.get_host_cpu_name()} numpy {np.__version__} {name}"


def _read(file: Path) -> bool | None:
    try:
        return {"yes": True, "no": False}.get(file.read_text())
    except OSError:
        return None


def _write_first(file: Path, text: str) -> None:
    """Write the file, whole, unless it is there already or the folder cannot be written."""
    own = file.with_suffix(f".{os.getpid()}")
    try:
        own.write_text(text)
        file.hardlink_to(own)
    except OSError:
        pass
    finally:
        own.unlink(missing_ok=True)


def ratio(one: Callable[[], object], other: Callable[[], object]) -> float:
    """The time of `one` over that of `other`, on one thread: of each the shortest of some turns."""
    best = [float("inf"), float("inf")]
    with one_thread_per_product():
        for _ in range(TURNS):
            for i, call in enumerate((one, other)):
                begin = time.perf_counter()
                call()
                best[i] = min(best[i], time.perf_counter() - begin)
    return best[0] / best[1]
