"""Arrays and constants as JSON can hold them, and back, bit for bit.

nan and the infinities are the strings "nan", "inf" and "-inf". Arrays of more than LISTED entries are base64 text of
their little-endian bytes; of more than KEPT entries only a picture and a few figures are kept.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from tinygrad2.kernels import Array, Geometry, to_numpy

LISTED = 1 << 10
KEPT = 1 << 16
SMALL = 24  # rows and columns of the picture of an array that is not kept


class NotKept(ValueError):
    """The record does not hold an array or a constant, so that nothing can be computed from it again."""


def array_to_json(a: Array) -> dict[str, Any]:
    """An array of any shape: its shape, its dtype, and its entries in C order."""
    host = np.asarray(to_numpy(a))
    made: dict[str, Any] = {"shape": list(host.shape), "dtype": str(host.dtype)}
    if host.size <= LISTED:
        made["data"] = [_number(v, host.dtype) for v in host.reshape(-1)]
    elif host.size <= KEPT:
        little = np.ascontiguousarray(host.astype(host.dtype.newbyteorder("<")))
        made["base64"] = base64.b64encode(little.tobytes()).decode()
    if host.size > LISTED:
        made |= _summary(host)
    return made


def array_from_json(given: Mapping[str, Any]) -> Array:
    """The array of shape given["shape"]. Raises NotKept where only its summary is there."""
    dtype = np.dtype(given["dtype"])
    shape = tuple(given["shape"])
    if "data" in given:
        return np.array([_value(v) for v in given["data"]]).astype(dtype).reshape(shape)
    if "base64" in given:
        flat = np.frombuffer(base64.b64decode(given["base64"]), dtype.newbyteorder("<"))
        return flat.astype(dtype).reshape(shape)
    raise NotKept(f"the record holds only a summary of an array of shape {shape}: it has more than {KEPT:,} entries")


def _number(v: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "b":
        return bool(v)
    if dtype.kind in "iu":
        return int(v)
    if dtype.kind == "c":
        return [_number(v.real, np.dtype(np.float64)), _number(v.imag, np.dtype(np.float64))]
    if not math.isfinite(v):
        return str(float(v))
    plain = float(str(v))  # the shortest text that gives the same float32 again
    return int(plain) if plain.is_integer() and abs(plain) < 1e15 and math.copysign(1.0, plain) > 0 else plain


def _value(v: Any) -> Any:
    if isinstance(v, str):
        return float(v)
    return complex(*map(_value, v)) if isinstance(v, list) else v


def _summary(a: Array) -> dict[str, Any]:
    """Figures of a large array, and a small picture of its first plane."""
    real = a.astype(np.float64) if a.dtype.kind in "biuf" else np.abs(a)
    plane = real.reshape(-1, *real.shape[-2:])[0] if real.ndim > 1 else real.reshape(1, -1)
    rows = np.linspace(0, plane.shape[0] - 1, min(SMALL, plane.shape[0])).round().astype(int)
    columns = np.linspace(0, plane.shape[1] - 1, min(SMALL, plane.shape[1])).round().astype(int)
    small = plane[np.ix_(rows, columns)]
    figures = {
        "min": real.min(),
        "max": real.max(),
        "mean": real.mean(),
        "norm": np.linalg.norm(real.reshape(-1)),
    }
    return {
        "summary": {name: _number(float(f"{v:.5g}"), np.dtype(np.float64)) for name, v in figures.items()},
        "thumbnail": {
            "shape": list(small.shape),
            "data": [_number(float(f"{v:.3g}"), np.dtype(np.float64)) for v in small.reshape(-1)],
        },
    }


def constant_to_json(v: Any) -> Any:
    """A constant of an operation. What plain JSON lacks is an object with one key that says what it is."""
    if v is None or isinstance(v, bool | str):
        return v
    if isinstance(v, int | np.integer):
        return int(v)
    if isinstance(v, float | np.floating):
        return float(v) if math.isfinite(v) else {"float": str(float(v))}
    if v is Ellipsis:
        return {"ellipsis": True}
    if isinstance(v, tuple):
        return {"tuple": [constant_to_json(u) for u in v]}
    if isinstance(v, list):
        return [constant_to_json(u) for u in v]
    if isinstance(v, slice):
        return {"slice": [constant_to_json(u) for u in (v.start, v.stop, v.step)]}
    if isinstance(v, np.dtype):
        return {"dtype": str(v)}
    if isinstance(v, Geometry):
        return {"geometry": {f.name: constant_to_json(getattr(v, f.name)) for f in fields(v)}}
    if hasattr(v, "dtype") and hasattr(v, "shape"):
        return {"array": array_to_json(v)}
    return {"unknown": repr(v)}


def constant_from_json(v: Any) -> Any:
    """The constant again. Raises NotKept for what JSON cannot hold."""
    if isinstance(v, list):
        return [constant_from_json(u) for u in v]
    if not isinstance(v, dict):
        return v
    ((kind, held),) = v.items()
    if kind == "float":
        return float(held)
    if kind == "ellipsis":
        return ...
    if kind == "tuple":
        return tuple(constant_from_json(u) for u in held)
    if kind == "slice":
        return slice(*[constant_from_json(u) for u in held])
    if kind == "dtype":
        return np.dtype(held)
    if kind == "geometry":
        return Geometry(**{name: constant_from_json(u) for name, u in held.items()})
    if kind == "array":
        return array_from_json(held)
    raise NotKept(f"the record holds only the printed form of a constant: {held}")
