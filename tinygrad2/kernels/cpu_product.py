"""Matrix products compiled for the CPU, for machines whose BLAS leaves half of every vector register empty.

One idea: what the inner loop reads again and again is first copied to lie side by side, a panel of columns of b and,
if a is transposed, the rows of a (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008).
Every number of the result is one sum in the order of k, whoever computes it: threads do not change a bit. Nor does
leaving out terms that are 0: rows of a tile may be cotangents of one sample, which are 0 behind the same dead units.
"""

from __future__ import annotations

import numpy as np

from tinygrad2.kernels import cpu, workers
from tinygrad2.kernels.cpu import NDArray
from tinygrad2.kernels.cpu_blocks import each
from tinygrad2.kernels.memory import empty
from tinygrad2.kernels.tiles import SHARED, VECTOR_BYTES, alone, flat, helper, multiply_shared, transpose

NARROW = ("Haswell", "Zen")  # what OpenBLAS takes a processor for that it knows no vectors of 64 bytes of
FILLED_FROM = 0.9  # of the rows of a tile: so many cotangents must share what is skipped
LIVE_AT_MOST = 0.7  # of the numbers, or skipping the others costs more than it saves
TILED_FROM = 1 << 19  # multiplications: less is done by BLAS while a compiled function takes up its arguments


@helper
def _rows(a, along, first, last, depth):  # type: ignore[no-untyped-def]
    """Rows first <= m < last of a, neighbours in a column side by side -> tiles (depth, SHARED) of rows."""
    tiles = -(-(last - first) // SHARED)
    packed = np.empty(tiles * depth * SHARED, a.dtype)
    for k in range(depth):
        for t in range(tiles):
            s, z = k * along + min(first + t * SHARED, last - SHARED), (t * depth + k) * SHARED
            for i in range(SHARED):
                packed[np.uintp(z + i)] = a[np.uintp(s + i)]
    return packed


@helper
def _columns(b, down, across, p, depth, panel, vector):  # type: ignore[no-untyped-def]
    """Columns p to p + 2*vector of b -> panel: (depth, 2*vector)."""
    wide = 2 * vector
    if down == 1:
        for j in range(0, wide, vector):
            for k in range(0, depth - vector + 1, vector):
                transpose(b, (p + j) * across + k, across, panel, k * wide + j, wide)
        for k in range(depth - depth % vector, depth):
            for j in range(wide):
                panel[np.uintp(k * wide + j)] = b[np.uintp((p + j) * across + k)]
    else:
        for k in range(depth):
            for j in range(wide):
                panel[np.uintp(k * wide + j)] = b[np.uintp(k * down + p + j)]


@alone
def _multiply(a, a_steps, b, b_steps, c, sizes, rows, columns):  # type: ignore[no-untyped-def]
    """c[m, p] = sum_k a[m, k]·b[k, p], all flat, for m in the range `rows` and p in the range `columns`.

    The last tile is moved back to end with the matrix: what it shares with the tile before is written twice, alike.
    """
    (depth, width, vector), (first, last), wide = sizes, rows, 2 * sizes[2]
    numbers, steps, panel = np.arange(last), np.arange(depth), np.empty(depth * wide, c.dtype)
    to, across, side = numbers * width, steps * wide, np.arange(SHARED)
    lefts, along, packed = numbers * a_steps[0], steps * SHARED, np.empty(0, c.dtype)
    if a_steps[0] == 1:
        packed = _rows(a, a_steps[1], first, last, depth)
    for column in range(columns[0], columns[1], wide):
        p = min(column, columns[1] - wide)
        _columns(b, b_steps[0], b_steps[1], p, depth, panel, vector)
        for t in range(-(-(last - first) // SHARED)):
            r = min(first + t * SHARED, last - SHARED)
            if packed.size:
                z = t * depth * SHARED
                multiply_shared(packed, z, side, 0, along, 0, panel, 0, across, 0, c, p, to, r, depth)
            else:
                multiply_shared(a, 0, lefts, r, steps, 0, panel, 0, across, 0, c, p, to, r, depth)


@alone
def _find(a, sharing, samples, depth, at, counts):  # type: ignore[no-untyped-def]
    """a: (K, N, O), flat -> at: (N, O), for each sample first those o where not all K are 0; and how many these are."""
    for n in range(samples):
        some = np.zeros(depth, np.bool_)
        for k in range(sharing):
            start = (k * samples + n) * depth
            for o in range(depth):
                some[np.uintp(o)] |= a[np.uintp(start + o)] != 0
        count = 0
        for o in range(depth):
            at[n * depth + count] = o
            count += some[o]
        counts[n] = count


@alone
def _multiply_live(a, b, b_steps, c, lists, sizes, columns):  # type: ignore[no-untyped-def]
    """c[m, p] = sum_o a[m, o]·b[o, p] over the live o of the sample of row m; tiles are of rows of one sample."""
    (rows, at, counts), (depth, width, vector, many) = lists, sizes
    wide = 2 * vector
    panel, across = np.empty(depth * wide, c.dtype), np.empty(depth, np.intp)
    lefts, to = rows * depth, rows * width
    for column in range(columns[0], columns[1], wide):
        p = min(column, columns[1] - wide)
        _columns(b, b_steps[0], b_steps[1], p, depth, panel, vector)
        for n in range(counts.size):
            for j in range(counts[n]):
                across[j] = at[n * depth + j] * wide
            for r in range(n * many, (n + 1) * many, SHARED):
                multiply_shared(a, 0, lefts, r, at, n * depth, panel, 0, across, 0, c, p, to, r, counts[n])


def _steps(a: NDArray) -> tuple[NDArray, tuple[int, int]]:
    """`a` flat, and how far apart in it are neighbours in a column, and in a row."""
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return flat(a.T), (1, a.shape[0])
    return flat(a), (a.shape[1], 1)


def product(a: NDArray, b: NDArray, sharing: int = 1) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N). By BLAS, unless it leaves half of each vector register empty."""
    if not _tiles_pay(a, b):
        return cpu.product(a, b)
    y = live(a, b, sharing) if _filled(sharing) >= FILLED_FROM and b.shape[1] >= _wide(a) else None
    return tiled(a, b) if y is None else y


def _tiles_pay(a: NDArray, b: NDArray) -> bool:
    return a.size * b.shape[1] >= TILED_FROM and VECTOR_BYTES == 64 and workers.blas_core() in NARROW


def _filled(sharing: int) -> float:
    """The share of the rows of tiles that so many cotangents fill."""
    return sharing / (-(-sharing // SHARED) * SHARED)


def _wide(a: NDArray) -> int:
    """The columns of a tile."""
    return 2 * VECTOR_BYTES // a.itemsize


def live(a: NDArray, b: NDArray, sharing: int) -> NDArray | None:
    """a: (K*N, O), b: (O, I) -> (K*N, I), K = sharing, by only those o that are not 0 for all K cotangents of a sample.

    None where these are so many that the whole product is faster.
    """
    samples, depth = a.shape[0] // sharing, a.shape[1]
    at, counts = np.empty(samples * depth, np.intp), np.empty(samples, np.intp)
    a_ = flat(a)
    _find(a_, sharing, samples, depth, at, counts)
    if counts.sum() > LIVE_AT_MOST * _filled(sharing) * samples * depth:
        return None
    columns, wide = b.shape[1], _wide(a)
    y = empty((len(a), columns), a.dtype)
    b_, b_steps = _steps(b)
    rows = np.minimum(np.arange(-(-sharing // SHARED) * SHARED), sharing - 1)  # the last one fills up the last tile
    numbers = rows * samples + np.arange(samples)[:, None]
    c, lists, sizes = y.reshape(y.size), (numbers.ravel(), at, counts), (depth, columns, wide // 2, len(rows))

    def some(begin: int, end: int) -> None:
        _multiply_live(a_, b_, b_steps, c, lists, sizes, (begin * wide, min(end * wide, columns)))

    each(-(-columns // wide), len(a) * depth * wide, some)
    return y


def tiled(a: NDArray, b: NDArray) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N). What has no whole tile in it is left to BLAS."""
    (rows, depth), columns, wide = a.shape, b.shape[1], _wide(a)
    vector = wide // 2
    if rows < SHARED or columns < wide:
        return cpu.product(a, b)
    y = empty((rows, columns), a.dtype)
    c, sizes = y.reshape(y.size), (depth, columns, vector)
    (a, a_steps), (b, b_steps) = _steps(a), _steps(b)

    def some_rows(begin: int, end: int) -> None:
        _multiply(a, a_steps, b, b_steps, c, sizes, (begin * SHARED, min(end * SHARED, rows)), (0, columns))

    def some_columns(begin: int, end: int) -> None:
        _multiply(a, a_steps, b, b_steps, c, sizes, (0, rows), (begin * wide, min(end * wide, columns)))

    if a_steps[0] == 1:  # whose rows each block copies once
        each(-(-rows // SHARED), SHARED * depth * columns, some_rows)
    else:
        each(-(-columns // wide), rows * depth * wide, some_columns)
    return y
