"""Einstein's summation: products of tensors whose axes have letters, summed over the letters that the result lacks.

Composed of diagonals, sums and matrix products, so that its derivatives of every order are sums of the same kind.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from tinygrad2.autodiff import Tensor, TensorLike
from tinygrad2.ops.elementwise import multiply
from tinygrad2.ops.families import matmul
from tinygrad2.ops.matrix import diagonal
from tinygrad2.ops.reduce import sum
from tinygrad2.ops.shape import as_tensor, reshape, squeeze, transpose

__all__ = ["einsum"]


@dataclass(frozen=True)
class Lettered:
    """A tensor of any shape, with one letter for each axis."""

    x: Tensor
    letters: str

    def size(self, letters: str) -> tuple[int, ...]:
        """The sizes of the axes with these letters; 1 for a letter that it lacks."""
        return tuple([self.x.shape[self.letters.index(c)] if c in self.letters else 1 for c in letters])

    def ordered(self, letters: str) -> Tensor:
        """The tensor with its axes in the order of the letters."""
        if letters == self.letters:
            return self.x
        return transpose(self.x, [self.letters.index(c) for c in letters])

    def without(self, letters: str) -> Lettered:
        """Summed over the axes with these letters."""
        axes = tuple([self.letters.index(c) for c in letters])
        return Lettered(sum(self.x, axes), _only(self.letters, letters, False)) if letters else self


def _only(letters: str, among: str, wanted: bool = True) -> str:
    """Those of the letters that are among the others, or are not."""
    return "".join([c for c in letters if (c in among) == wanted])


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """The products of the operands' entries, summed, as numpy.einsum: "ik,kj->ij" is the matrix product.

    operands: any shapes, one axis for each letter; equal letters have equal sizes, or size 1, which broadcasts. A
    letter twice in one operand takes its diagonal. "..." stands for further axes, which broadcast. Without "->" the
    result has the letters that occur once, in alphabetical order. The operands are multiplied from left to right.

    >>> tg.einsum("nk,nk->n", tg.Tensor([[1.0, 2.0]]), tg.Tensor([[3.0, 4.0]]))
    Tensor([11.], float64)
    """
    tensors = [as_tensor(x) for x in operands]
    terms, result = _parsed(subscripts, tensors)
    if all(x.dtype.kind in "biu" for x in tensors):
        return Tensor(np.einsum(subscripts, *[x.array for x in tensors]))
    parts = _without_ones([_diagonals(x, term) for x, term in zip(tensors, terms, strict=True)], subscripts)
    product, *rest = parts
    for i, part in enumerate(rest, 1):
        needed = result + "".join([other.letters for other in parts[i + 1 :]])
        product = _contract(product, part, needed)
    product = product.without(_only(product.letters, result, False))
    return product.ordered(result)


def _parsed(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with capital Greek letters for the axes behind "..."."""
    if not isinstance(subscripts, str):
        raise TypeError(f"einsum: the first argument is a formula such as 'ik,kj->ij', got {type(subscripts).__name__}")
    given, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = given.split(",")
    if len(terms) != len(tensors):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(tensors)}")
    strange = set(given.replace("...", "") + result.replace("...", "")) - {","}
    if bad := [c for c in sorted(strange) if not (c.isascii() and c.isalpha())]:
        raise ValueError(f"einsum: {subscripts!r} holds {bad[0]!r}; expected letters, ',', '->' and '...'")
    extra = [_behind_dots(term, x, subscripts) for term, x in zip(terms, tensors, strict=True)]
    dots = "".join([chr(ord("Α") + i) for i in range(max(extra))])
    terms = [term.replace("...", dots[len(dots) - n :]) for term, n in zip(terms, extra, strict=True)]
    counts = Counter("".join(terms))
    if not arrow:
        result = "..." + "".join(sorted([c for c in counts if counts[c] == 1 and c not in dots]))
    elif dots and "..." not in result:
        raise ValueError(f"einsum: {subscripts!r} has '...' in an operand, so the result needs it too")
    result = result.replace("...", dots)
    for c in result:
        if c not in counts or result.count(c) > 1:
            raise ValueError(
                f"einsum: in {subscripts!r} the result must name letters of the operands, each once: {c!r}"
            )
    return terms, result


def _behind_dots(term: str, x: Tensor, subscripts: str) -> int:
    """How many axes "..." stands for in this operand."""
    named = len(term.replace("...", ""))
    if named > x.ndim or ("..." not in term and named != x.ndim):
        raise ValueError(f"einsum: {term!r} in {subscripts!r} names {named} axes, but the operand has shape {x.shape}")
    return x.ndim - named


def _diagonals(x: Tensor, letters: str) -> Lettered:
    """The operand with every letter once: equal letters take the diagonal of their axes."""
    for c in dict.fromkeys(letters):
        while letters.count(c) > 1:
            first = letters.index(c)
            second = letters.index(c, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(f"einsum: axes {first} and {second} of shape {x.shape} are both {c!r}, but differ")
            x = diagonal(x, 0, first, second)
            letters = letters[:first] + letters[first + 1 : second] + letters[second + 1 :] + c
    return Lettered(x, letters)


def _without_ones(parts: list[Lettered], subscripts: str) -> list[Lettered]:
    """The operands without axes of size 1 that broadcast against a larger axis of the same letter."""
    sizes: dict[str, int] = {}
    for part in parts:
        for c, n in zip(part.letters, part.x.shape, strict=True):
            if sizes.setdefault(c, n) == 1:
                sizes[c] = n
            elif n not in (1, sizes[c]):
                name = "an axis in '...'" if not c.isascii() else repr(c)
                raise ValueError(f"einsum: in {subscripts!r} {name} has the sizes {sizes[c]} and {n}")
    return [_squeezed(part, "".join([c for c, n in sizes.items() if n != 1])) for part in parts]


def _squeezed(part: Lettered, larger: str) -> Lettered:
    axes = [i for i, c in enumerate(part.letters) if c in larger and part.x.shape[i] == 1]
    letters = "".join([c for i, c in enumerate(part.letters) if i not in axes])
    return Lettered(squeeze(part.x, axes), letters) if axes else part


def _contract(a: Lettered, b: Lettered, needed: str) -> Lettered:
    """The product of two operands, summed over the letters that nothing further needs."""
    a = a.without(_only(a.letters, b.letters + needed, False))
    b = b.without(_only(b.letters, a.letters + needed, False))
    common = _only(a.letters, b.letters)
    batch = _only(common, needed)
    summed = _only(common, needed, False)
    rows = _only(a.letters, common, False)
    columns = _only(b.letters, common, False)
    left = a.ordered(batch + rows + summed)
    right = b.ordered(batch + summed + columns)
    lead = a.size(batch)
    if not summed:
        left = reshape(left, (*lead, *a.size(rows), *(1,) * len(columns)))
        right = reshape(right, (*lead, *(1,) * len(rows), *b.size(columns)))
        return Lettered(multiply(left, right), batch + rows + columns)
    k = math.prod(a.size(summed))
    left = reshape(left, (*lead, math.prod(a.size(rows)), k))
    right = reshape(right, (*lead, k, math.prod(b.size(columns))))
    return Lettered(reshape(matmul(left, right), (*lead, *a.size(rows), *b.size(columns))), batch + rows + columns)
