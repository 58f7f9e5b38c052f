"""The page of the documentation that says which NumPy functions work on Tensors, written from the tables."""

from __future__ import annotations

from collections.abc import Iterable

from tinygrad2.autodiff import Primitive
from tinygrad2.ops.numpy_functions import (
    ACCUMULATIONS,
    CONSTANT,
    FUNCTIONS,
    IN_PLACE,
    PLAIN,
    REDUCTIONS,
    UFUNCS,
    Operation,
)
from tinygrad2.ops.numpy_protocol import name_of

PAGE = """# NumPy functions on Tensors

A function that is written for NumPy works on Tensors, and is differentiated to every order:

```python
f = lambda x: np.sum(np.exp(x) * x)
tg.grad(f)(np.array([0.5, 1.0]))
tg.hessian(f)(np.array([0.5, 1.0]))
```

This page is written by `tg.ops.numpy_table()`, from the tables that the functions are looked up in.

- The result is a Tensor. Values, shapes and axes are NumPy's.
- float32 stays float32. Arrays of two precisions together are an error: convert one with `.astype`.
- Integers and bools are arrays without gradient. Where NumPy makes float16 of them, the result is float64.
- `out=`, `where=`, `dtype=`, `a += t` and `np.add.at` are errors that say what to write.
- A function that is not on this page is NumPy's own for a Tensor without history. Where there is a history it is an
  error that names the function; `x.detach()` is x without history.

## With derivatives of every order

{smooth}

{reductions}

## With derivative 0

{constant}

## Without derivative: the result is NumPy's

{plain}

## Refused, because they write into an argument

| NumPy | write |
|---|---|
{in_place}
"""


def numpy_table() -> str:
    """The page as Markdown: every NumPy function that takes Tensors of any shape, by what its derivative is.

    >>> "np.linalg.inv" in tg.ops.numpy_table()
    True
    """
    piecewise = {u for u, f in UFUNCS.items() if isinstance(f, Primitive) and not f.differentiable}
    smooth = (set(UFUNCS) - piecewise) | (set(FUNCTIONS) - CONSTANT)
    methods = [f"{name_of(u)}.reduce" for u in REDUCTIONS] + [f"{name_of(u)}.accumulate" for u in ACCUMULATIONS]
    return PAGE.format(
        smooth=_listed(map(name_of, smooth)),
        reductions=_listed([*methods, "np.<any elementwise function>.outer"]),
        constant=_listed(map(name_of, piecewise | CONSTANT)),
        plain=_listed(map(name_of, PLAIN)),
        in_place="\n".join(f"| `{name_of(f)}` | `x = {cure}` |" for f, cure in sorted(IN_PLACE.items(), key=_named)),
    )


def _named(item: tuple[Operation, str]) -> str:
    return name_of(item[0])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))
