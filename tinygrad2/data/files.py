"""Where the files of data sets are, and archives, which are read into memory: no member is written to disk.

An archive must have the known SHA-256, and then hold exactly the expected members, none longer than expected.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

__all__ = ["damaged", "data_folder", "find", "read_zip"]


def data_folder(dataset: str) -> Path | None:
    """The folder that TINYGRAD2_DATA names, or None. Raises FileNotFoundError where that is no folder."""
    folder = os.environ.get("TINYGRAD2_DATA")
    if folder and not Path(folder).is_dir():
        raise FileNotFoundError(f"{dataset}: TINYGRAD2_DATA is {folder!r}, which is not a folder")
    return Path(folder) if folder else None


def find(dataset: str, name: str, source: str) -> Path:
    """That file in the data folder. Raises FileNotFoundError, which says what to do. source: where it comes from."""
    folder = data_folder(dataset)
    if folder is None:
        raise FileNotFoundError(
            f"{dataset}: TINYGRAD2_DATA is not set; set it to a folder that holds {name} (from {source})"
        )
    if not (folder / name).is_file():
        raise FileNotFoundError(
            f"{dataset}: there is no {name} in {folder}, which TINYGRAD2_DATA names (from {source})"
        )
    return folder / name


def damaged(path: Path, expected: str, found: str) -> ValueError:
    """The error for a file that is not what it should be."""
    return ValueError(f"{path}: expected {expected}, found {found}; delete the file and fetch it again")


def read_zip(path: Path, names: Sequence[str], sha256: str, most: int) -> list[bytes]:
    """The contents of these members, in this order. most: the bytes that the longest of them has, unpacked.

    Raises ValueError naming the file, what was expected and what was found.
    """
    content = path.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise damaged(path, f"SHA-256 {sha256}", found)
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            problem = _unexpected(archive, names, most)
            if problem is None:
                return [archive.read(name) for name in names]
    except Exception as reason:  # damaged bytes can raise anything in a parser
        raise damaged(path, "a readable zip archive", str(reason)) from reason
    raise damaged(path, *problem)


def _unexpected(archive: zipfile.ZipFile, names: Sequence[str], most: int) -> tuple[str, str] | None:
    """What was expected of the members and what was found, where that differs."""
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    if missing := sorted(set(names) - sizes.keys()):
        return f"a member {missing[0]!r}", f"none ({len(missing):,} of {len(names):,} are missing)"
    if unknown := sorted(sizes.keys() - set(names)):
        return f"the {len(names):,} known members", f"{unknown[0]!r} too"
    longest = max(sizes, key=sizes.__getitem__)
    if sizes[longest] > most:
        return f"members of at most {most:,} bytes", f"{sizes[longest]:,} in {longest!r}"
    return None
