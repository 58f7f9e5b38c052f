"""Products of matrices: by BLAS, in blocks that threads share, or by compiled tiles where these are faster.

What the inner loop of the tiles reads again and again is first copied to lie side by side: a panel of columns of b
(Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008). BLAS copies all of both matrices,
which costs too much in two products that networks are full of:

- x wᵀ for a batch of few rows x: the copy of w is used for few rows only. The tiles copy w alone.
- K cotangents times w behind a ReLU: cotangents of one sample are 0 behind the same dead units. Rows of a tile are such
  cotangents, so that the tile can leave out what is 0 in all of them.

Each number that tiles compute is one sum in the order of k. So neither the number of threads nor leaving out terms that
are 0 changes a bit. BLAS sums in another order. So the choice must always be the same: it follows from the product's
size, layout and zeros, and from one answer for each machine, which `calibrate.py` remembers: are tiles as fast
as BLAS? OpenBLAS is no faster. Apple's Accelerate uses special units for products and is many times faster.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numba
import numpy as np

from tinygrad2.kernels.arrays import NDArray
from tinygrad2.kernels.cpu import calibrate, threads
from tinygrad2.kernels.cpu.jit import alone, flat, helper
from tinygrad2.kernels.cpu.memory import empty
from tinygrad2.kernels.cpu.tiles import SHARED, VECTOR_BYTES, Matrix, Rows, multiply_shared, transpose

ALONE_BELOW = 1 << 18  # multiplications: BLAS uses one thread of itself
SERIAL_BELOW = 1 << 24  # multiplications: less is done before a second thread has woken up
BLOCKS_PER_THREAD = 2  # fewer and larger blocks are packed less often; more forgive a lost core better
TILED_FROM = 1 << 19  # multiplications: less is done by BLAS while a compiled function takes up its arguments
FEW_ROWS = 256  # of x in x wᵀ, at most: with more BLAS is as fast
FILLED_FROM = 0.9  # of the rows of a tile: so many cotangents must share what is skipped
LIVE_AT_MOST = 0.7  # of the numbers, or skipping the others costs more than it saves
SLOWER_AT_MOST = 1.25  # times BLAS in a product that both do at their best: what tiles leave out saves more
MEASURED = 256  # rows and columns of that product: 0.15 ms at 220 GFLOP/s


class Terms(NamedTuple):
    """Which rows of a make up the tiles, and which terms k of their sums are wanted; a group of rows has the same."""

    rows: NDArray  # (groups * many,) numbers of rows; the last one again where a tile has no more
    many: int  # rows of a group, a multiple of those of a tile
    at: NDArray  # (groups * K,), of each group first those k that are wanted
    counts: NDArray  # (groups,), how many these are


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
def _multiply(a, b, down, across, c, sizes, terms, first, last):  # type: ignore[no-untyped-def]
    """c[m, p] = sum over the wanted k of a[m, k]·b[k, p], all flat, for first <= p < last and the rows m of all groups.

    The last panel is moved back to end with the matrix: what it shares with the one before is written twice.
    """
    depth, width, vector = sizes
    wide = 2 * vector
    panel = np.empty(depth * wide, c.dtype)
    steps = np.empty(depth, np.intp)
    left = Matrix(a, terms.rows * depth, terms.at)
    right = Rows(panel, steps)
    to = Rows(c, terms.rows * width)
    for column in range(first, last, wide):
        p = min(column, last - wide)
        _columns(b, down, across, p, depth, panel, vector)
        for n in range(terms.counts.size):
            for j in range(terms.counts[n]):
                steps[j] = terms.at[n * depth + j] * wide
            for r in range(n * terms.many, (n + 1) * terms.many, SHARED):
                multiply_shared(left, (0, r, n * depth), right, (0, 0), to, (p, r), terms.counts[n])


def _steps(a: NDArray) -> tuple[NDArray, int, int]:
    """`a` flat, and how far apart in it are neighbours in a column, and in a row."""
    if a.flags.f_contiguous and not a.flags.c_contiguous:
        return flat(a.T), 1, a.shape[0]
    return flat(a), a.shape[1], 1


def product(a: NDArray, b: NDArray, sharing: int = 1) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N). sharing: so many blocks of rows of a are likely 0 at the same places."""
    if a.shape[0] * b.size >= TILED_FROM and b.shape[1] >= _wide(b):
        shared = _filled(sharing) >= FILLED_FROM
        few = SHARED <= len(a) <= FEW_ROWS and b.flags.f_contiguous
        if (shared or few) and tiles_keep_up(a.dtype):
            terms = live_terms(a, sharing) if shared else all_terms(a)
            if terms is not None:
                return tiled(a, b, terms)
    return by_blas(a, b)


def by_blas(a: NDArray, b: NDArray) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N), in blocks along the longer axis of the result, each one thread's alone."""
    work = a.shape[0] * b.size
    if work < ALONE_BELOW:
        return _matmul(a, b)
    count = numba.get_num_threads()
    if count == 1 or threads.busy():
        return _matmul(a, b)
    if work < SERIAL_BELOW:
        with threads.one_thread_per_product():
            return _matmul(a, b)
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    axis = int(out.shape[1] > out.shape[0])
    length = out.shape[axis]
    parts = BLOCKS_PER_THREAD * count
    blocks = [slice(length * k // parts, length * (k + 1) // parts) for k in range(parts)]
    if axis:
        threads.share(blocks, lambda block: _matmul(a, b[:, block], out[:, block]), count)
    else:
        threads.share(blocks, lambda block: _matmul(a[block], b, out[block]), count)
    return out


@np.errstate(invalid="ignore")  # BLAS fills its tiles with zeros, where inf * 0 raises a flag that no result deserves
def _matmul(a: NDArray, b: NDArray, out: NDArray | None = None) -> NDArray:
    return np.matmul(a, b, out=out)


_answers: dict[np.dtype[Any], bool] = {}
_lock = threading.Lock()


def tiles_keep_up(dtype: np.dtype[Any]) -> bool:
    """Whether tiles are about as fast as BLAS on this machine."""
    with _lock:
        if dtype not in _answers:
            folder = _multiply.stats.cache_path  # type: ignore[attr-defined]  # of Numba: None where it has none
            _answers[dtype] = calibrate.remembered(f"tiles {dtype}", folder, lambda: _keep_up(dtype))
        return _answers[dtype]


def _keep_up(dtype: np.dtype[Any]) -> bool:
    a = np.ones((MEASURED, MEASURED), dtype)
    y = np.empty(a.size, dtype)
    sizes = MEASURED, MEASURED, _wide(a) // 2
    by_tiles = lambda: _multiply(flat(a), flat(a), MEASURED, 1, y, sizes, all_terms(a), 0, MEASURED)
    return calibrate.ratio(by_tiles, lambda: _matmul(a, a)) <= SLOWER_AT_MOST


def _filled(sharing: int) -> float:
    """The share of the rows of tiles that so many cotangents fill."""
    return sharing / (-(-sharing // SHARED) * SHARED)


def _wide(a: NDArray) -> int:
    """The columns of a tile."""
    return 2 * VECTOR_BYTES // a.itemsize


def all_terms(a: NDArray) -> Terms:
    """The whole product: one group of all rows."""
    many = -(-len(a) // SHARED) * SHARED
    rows = np.minimum(np.arange(many), len(a) - 1)
    return Terms(rows, many, np.arange(a.shape[1]), np.array([a.shape[1]]))


def live_terms(a: NDArray, sharing: int) -> Terms | None:
    """a: (K*N, O), K = sharing. For each sample those o that are not 0 for all K cotangents.

    None where these are so many that the whole product is faster.
    """
    samples = a.shape[0] // sharing
    depth = a.shape[1]
    at = np.empty(samples * depth, np.intp)
    counts = np.empty(samples, np.intp)
    _find(flat(a), sharing, samples, depth, at, counts)
    if counts.sum() > LIVE_AT_MOST * _filled(sharing) * samples * depth:
        return None
    many = -(-sharing // SHARED) * SHARED
    cotangents = np.minimum(np.arange(many), sharing - 1)
    rows = cotangents * samples + np.arange(samples)[:, None]
    return Terms(rows.reshape(rows.size), many, at, counts)


def tiled(a: NDArray, b: NDArray, terms: Terms) -> NDArray:
    """a: (M, K), b: (K, N) -> (M, N), N at least the columns of a tile."""
    depth, columns = b.shape
    wide = _wide(a)
    y = empty((len(a), columns), a.dtype)
    a_ = flat(a)
    b_, down, across = _steps(b)
    y_ = y.reshape(y.size)
    sizes = depth, columns, wide // 2

    def some(begin: int, end: int) -> None:
        _multiply(a_, b_, down, across, y_, sizes, terms, begin * wide, min(end * wide, columns))

    threads.each(-(-columns // wide), len(a) * depth * wide, some)
    return y
