"""The idx format of MNIST: magic number, one big-endian size an axis, then unsigned bytes; plain or gzipped.

The caller knows the shape, so reading is bounded by it: a file that unpacks to more is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from .files import damaged

__all__ = ["read_idx"]

UNSIGNED_BYTES = 0x0800  # the magic number is this plus the number of axes: 2049 for labels, 2051 for images
CHUNK = 1 << 20


def read_idx(path: Path, shape: tuple[int, ...], sha256: str) -> np.ndarray:
    """The uint8 array (read-only) of that shape in the idx file at path; gzipped if its name ends in .gz.

    sha256: of the uncompressed file, which is the same on every mirror where the gzip wrapping differs
    Raises ValueError naming the file, what was expected and what was found.
    """
    header = b"".join(size.to_bytes(4, "big") for size in (UNSIGNED_BYTES + len(shape), *shape))
    expected = len(header) + math.prod(shape)
    content = _read_at_most(path, expected + 1, expected)
    magic = int.from_bytes(content[:4], "big")
    if len(content) >= 4 and magic != UNSIGNED_BYTES + len(shape):
        raise damaged(path, f"magic number {UNSIGNED_BYTES + len(shape)}", f"{magic}")
    if len(content) >= len(header) and content[: len(header)] != header:
        sizes = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, len(header), 4))
        raise damaged(path, f"shape {shape}", f"{sizes}")
    if len(content) != expected:
        found = f"more than {expected:,}" if len(content) > expected else f"{len(content):,}"
        raise damaged(path, f"{expected:,} uncompressed bytes", found)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise damaged(path, f"SHA-256 {sha256} of the uncompressed content", found)
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _read_at_most(path: Path, limit: int, expected: int) -> bytes:
    """The first `limit` bytes of the uncompressed file."""
    content = bytearray()
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            while len(content) < limit and (chunk := file.read(min(CHUNK, limit - len(content)))):
                content += chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as reason:
            found = f"a gzip stream that breaks after {len(content):,} ({reason})"
            raise damaged(path, f"{expected:,} uncompressed bytes", found) from reason
    return bytes(content)
