"""Named arrays on disk, without pickle: .npz, or .safetensors where that package is installed. A file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that appears under its name only when the block ends without an error: readers never see half of it."""
    target = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    except FileNotFoundError:
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist") from None
    except PermissionError:
        raise PermissionError(f"cannot write {target}: the folder {target.parent} is read-only") from None
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Write named arrays to a .npz or .safetensors file, atomically."""
    plain = {name: np.ascontiguousarray(a) if np.ndim(a) else np.asarray(a) for name, a in arrays.items()}
    if Path(path).suffix == ".safetensors":
        content = _safetensors().save(plain)
        with atomic_write(path) as file:
            file.write(content)
    else:
        with atomic_write(path) as file:
            np.savez(file, allow_pickle=False, **plain)  # type: ignore[arg-type]


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Read named arrays; a missing, truncated or foreign file is an error that names it."""
    source = Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    if source.suffix == ".safetensors":
        safetensors = _safetensors()
        try:
            return dict(safetensors.load(source.read_bytes()))
        except Exception as error:  # safetensors raises its own Rust error class
            raise ValueError(f"{source} is not a readable .safetensors file: {error}") from error
    try:
        with np.load(source, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise ValueError("it holds one bare array, not named ones")
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, KeyError) as error:
        raise ValueError(f"{source} is not a readable .npz file of plain arrays (truncated or damaged?): {error}") from error


def _safetensors() -> Any:
    try:
        from safetensors import numpy as safetensors
    except ImportError:
        raise ModuleNotFoundError("reading and writing .safetensors needs: pip install safetensors (or use .npz)") from None
    return safetensors
