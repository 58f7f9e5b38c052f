"""Where CUDA is installed, as CuPy finds it."""

from __future__ import annotations


def cuda_folder() -> str | None:
    """The folder, or None where CuPy finds none: then Numba looks among the installed Python packages."""
    try:
        from cupy.cuda import get_cuda_path
    except ImportError:
        return None
    folder: str | None = get_cuda_path()
    return folder
