"""Small zip archives, good and damaged in every way, for the tests of the data sets that come in one."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

Members = dict[str, bytes]


def packed(members: Mapping[str, bytes]) -> bytes:
    """A stored archive of these members."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return content.getvalue()


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def without(members: Members, name: str) -> Members:
    return {k: v for k, v in members.items() if k != name}


def flipped(content: bytes, inside: bytes) -> bytes:
    """One bit changed in the first place where `inside` is stored."""
    at = content.index(inside) + len(inside) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


# What can be wrong although the checksum is the expected one: from members and the first one's name to the archive.
DAMAGE: dict[str, tuple[Callable[[Members, str], bytes], str]] = {
    "empty": (lambda m, name: b"", "expected a readable zip archive, found File is not a zip file"),
    "a web page": (lambda m, name: b"<!DOCTYPE html>" * 9, "expected a readable zip archive, found File is not a zip"),
    "cut": (lambda m, name: packed(m)[:-30], "expected a readable zip archive, found File is not a zip file"),
    "cut in front": (lambda m, name: packed(m)[40:], "expected a readable zip archive, found"),
    "a flipped bit": (lambda m, name: flipped(packed(m), m[name]), "expected a readable zip archive, found Bad CRC-32"),
    "a member less": (lambda m, name: packed(without(m, name)), r"expected a member '.*', found none \(1 of"),
    "an escaping member": (lambda m, name: packed(m | {"../escaped": b"x"}), "known members, found '../escaped' too"),
    "an absolute member": (lambda m, name: packed(m | {"/tmp/escaped": b"x"}), "members, found '/tmp/escaped' too"),
    "an escaping name": (
        lambda m, name: packed(without(m, name) | {f"../{name}": m[name]}),
        r"expected a member '.*', found none \(1 of",
    ),
    "a member too long": (
        lambda m, name: packed(m | {name: bytes(50_000)}),
        "members of at most .* bytes, found 50,000",
    ),
}
