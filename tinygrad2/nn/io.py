"""Named arrays on disk, without pickle: .npz, or .safetensors where that package is installed.

A file is written whole or not at all.
"""

from __future__ import annotations

import errno
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np

__all__ = ["atomic_write", "load", "save"]

Arrays = dict[str, np.ndarray[Any, Any]]

# What to do where the disk, not the program, is at fault.
ADVICE = {
    errno.ENOSPC: "; the disk is full: make room, or choose another folder",
    errno.EDQUOT: "; your share of the disk is used up: make room, or choose another folder",
    errno.EROFS: "; nothing can be written to this disk: choose another folder",
}


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """An error of the disk inside the block names the file, and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # it has words of its own
            raise
        advice = ADVICE.get(error.errno, "")
        raise type(error)(f"cannot write {path}: {error.strerror}{advice}") from None


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """A file that appears under its name only when the block ends without an error: readers never see half of it.

    Raises OSError, with the name, where no file can be written.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with nn.atomic_write(Path(folder, "log.txt"), "w") as file:
    ...         _ = file.write("done")
    ...     Path(folder, "log.txt").read_text()
    'done'
    """
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"cannot write {target}: it is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: there is no folder {target.parent}")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        file = temporary.open(mode.replace("w", "x"), encoding=None if "b" in mode else "utf-8")
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "")
        raise type(error)(
            f"cannot write {target}: no file can be made in its folder ({error.strerror}){advice}"
        ) from None
    try:
        with writing(target):
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save(path: str | os.PathLike[str], arrays: Mapping[str, Any]) -> None:
    """Write named arrays to a .npz or .safetensors file, atomically: whole, or not at all.

    arrays: NumPy arrays of any shape, as `net.state_dict()` gives. Raises TypeError for arrays of Python objects.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     nn.save(Path(folder, "net.npz"), nn.Linear(2, 1).state_dict())
    ...     list(nn.load(Path(folder, "net.npz")))
    ['weight', 'bias']
    """
    plain = {name: np.require(a, requirements="C") for name, a in arrays.items()}
    for name, a in plain.items():
        if a.dtype.hasobject:
            raise TypeError(f"cannot save {name!r}: it holds Python objects, not numbers or strings")
    write, _ = _format(path)
    content = write(plain)
    with atomic_write(path) as file:
        file.write(content)


def load(path: str | os.PathLike[str]) -> Arrays:
    """Read named arrays; a missing, truncated or foreign file is an error that names it.

    Raises FileNotFoundError or ValueError. Nothing in a file is executed.

    >>> nn.load("nothing.npz")
    Traceback (most recent call last):
    FileNotFoundError: no such file: nothing.npz
    """
    source = Path(path)
    _, read = _format(path)
    if not source.is_file():
        raise FileNotFoundError(f"no such file: {source}")
    content = source.read_bytes()
    try:
        return read(content)
    except Exception as error:  # damaged bytes can raise anything in a parser
        raise ValueError(
            f"{source} is not a readable {source.suffix} file of plain arrays (truncated or damaged?): {error}"
        ) from error


def _write_npz(arrays: Arrays) -> bytes:
    """What np.savez writes, but any name is allowed and the same arrays give the same bytes."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, a in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, a, allow_pickle=False)
    return content.getvalue()


def _read_npz(content: bytes) -> Arrays:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")
        end = content.rfind(b"PK\5\6")  # this record counts the entries; zipfile does not notice if some are gone
        if len(archive.namelist()) != int.from_bytes(content[end + 10 : end + 12], "little"):
            raise ValueError("its table of contents is damaged")
        return {name.removesuffix(".npy"): _read_array(archive, name) for name in archive.namelist()}


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray[Any, Any]:
    with archive.open(name) as entry:
        return np.lib.format.read_array(entry, allow_pickle=False)


def _safetensors() -> Any:
    try:
        from safetensors import numpy as safetensors
    except ImportError:
        raise ModuleNotFoundError("a .safetensors file needs: pip install safetensors (or use .npz)") from None
    return safetensors


# How each kind of file is made of arrays, and read.
FORMATS: dict[str, tuple[Callable[[Arrays], bytes], Callable[[bytes], Arrays]]] = {
    ".npz": (_write_npz, _read_npz),
    ".safetensors": (lambda arrays: _safetensors().save(arrays), lambda content: _safetensors().load(content)),
}


def _format(path: str | os.PathLike[str]) -> tuple[Callable[[Arrays], bytes], Callable[[bytes], Arrays]]:
    suffix = Path(path).suffix
    if suffix not in FORMATS:
        raise ValueError(f"{path}: unknown kind of file {suffix!r}; expected a name ending in {' or '.join(FORMATS)}")
    if suffix == ".safetensors":
        _safetensors()  # say that it is missing before reading or making anything
    return FORMATS[suffix]
