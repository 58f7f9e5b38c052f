"""Tiles of products held in vector registers: what every compiled convolution is made of.

One idea: the operands are flat arrays, and lists of offsets say where each row and each step of the sum lies. So
windows, strides, patterns of pooling and filters need no copy in another order; `cpu_conv.py` and `cpu_pattern.py`
only write lists. A compiler that sees plain loops does not find the blocking, hence vectors spelt out for LLVM.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from tinygrad2.kernels.cpu import FASTMATH, NDArray, compile_cached

_FEATURES = llvm.get_host_cpu_features()
VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
MANY_REGISTERS = any(_FEATURES.get(name) for name in ("avx512f", "neon"))  # 32 vector registers, not 16
ROWS = 8 if MANY_REGISTERS else 4  # of a tile of `multiply_rows`, which is WIDTH vectors wide, or 1
WIDTH = 3
SHARED = 10 if MANY_REGISTERS else 5  # rows of `multiply_shared`, 2 vectors wide
RUN = 8  # vectors in the only row of `multiply_one`
SIDE = 5 if MANY_REGISTERS else 3  # of the square tile `dots_square`
MANY = 12  # columns of `dots_one`, which has one row

_INDEX, _LANE = ir.IntType(64), ir.IntType(32)


def alone(function: Callable[..., None]) -> Callable[..., None]:
    """Compiled for one thread; it releases the interpreter, so that others work on other images."""
    # Numba takes machine code for stale when the file of `function` changes, but not when this one does.
    function.__qualname__ = f"{function.__qualname__}_{zlib.crc32(Path(__file__).read_bytes()):08x}"
    return compile_cached(function, nogil=True, error_model="numpy", fastmath=FASTMATH)


def helper(function: Any) -> Any:
    """Compiled into the kernels of the same file that call it."""
    return numba.njit(error_model="numpy", fastmath=FASTMATH)(function)


def read_only(a: NDArray) -> NDArray:
    """A view that cannot be written: one compiled signature serves every input."""
    view = a.view()
    view.flags.writeable = False
    return view


def flat(a: NDArray) -> NDArray:
    """`a` as a flat, contiguous, read-only array."""
    return read_only(np.ascontiguousarray(a).reshape(a.size))


class _Code:
    """LLVM instructions on vectors of one array's dtype."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.build, self._arguments, self._types, self._context = builder, arguments, signature.args, context
        dtype = signature.args[0].dtype
        self.bytes = dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(context.get_data_type(dtype), self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def start(self, k: int) -> Any:
        """Argument k, an array, at the index that is argument k + 1."""
        data = self._context.make_array(self._types[k])(self._context, self.build, self._arguments[k]).data
        return self.build.gep(data, [self._arguments[k + 1]])

    def at(self, pointer: Any, index: Any) -> Any:
        return self.build.gep(pointer, [_INDEX(index) if isinstance(index, int) else index])

    def through(self, pointer: Any, offsets: Any, count: int) -> list[Any]:
        """The places of `count` rows: pointer + offsets[m]."""
        return [self.at(pointer, self.build.load(self.at(offsets, m))) for m in range(count)]

    def load(self, pointer: Any) -> Any:
        return self.build.load(self.build.bitcast(pointer, self.vector.as_pointer()), align=self.bytes)

    def store(self, value: Any, pointer: Any) -> None:
        self.build.store(value, self.build.bitcast(pointer, self.vector.as_pointer()), align=self.bytes)

    def spread(self, pointer: Any) -> Any:
        """One number in all lanes."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        one = self.build.insert_element(nothing, self.build.load(pointer), _LANE(0))
        return self.shuffle(one, nothing, [0] * self.lanes)

    def shuffle(self, a: Any, b: Any, which: list[int]) -> Any:
        """The numbers `which` of the lanes of a, and after them those of b."""
        return self.build.shuffle_vector(a, b, ir.Constant(ir.VectorType(_LANE, self.lanes), which))

    def add(self, a: Any, b: Any) -> Any:
        return self.build.fadd(a, b, flags=("contract",))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        return self.add(c, self.build.fmul(a, b, flags=("contract",)))

    def total(self, a: Any) -> Any:
        """The sum of the lanes."""
        number = self.vector.element
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            self.build.module,
            ir.FunctionType(number, [number, self.vector]),
            f"llvm.vector.reduce.fadd.v{self.lanes}f{8 * self.bytes}",
        )
        return self.build.call(function, [number(0.0), a], fastmath=("reassoc",))

    def sum_over(self, depth: Any, count: int, step: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """`count` vectors that start as 0 after sums = step(k, sums) for 0 <= k < depth, kept in registers."""
        build, before = self.build, self.build.block
        head, body, end = (build.append_basic_block(name) for name in ("head", "body", "end"))
        build.branch(head)
        build.position_at_end(head)
        k, *sums = (build.phi(t) for t in (_INDEX, *[self.vector] * count))
        build.cbranch(build.icmp_signed("<", k, depth), body, end)
        build.position_at_end(body)
        after = [build.add(k, _INDEX(1)), *step(k, sums)]
        for phi, first, value in zip((k, *sums), (_INDEX(0), *[self.zero] * count), after, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(value, build.block)
        build.branch(head)
        build.position_at_end(end)
        return sums


def _rows_tile(rows: int, width: int, accumulate: bool) -> Any:
    """C[m, :] (+)= sum_k A[m, k]·B[k, :] for `rows` numbers m; C and B are `width` vectors wide.

    A[m, k] is a[am[m] + ak[k]], B[k, :] is b[bk[k]:], C[m, :] is c[cm[m]:]; each array comes with an index to start at.
    Rows of C may overlap: with `accumulate` they are added one after the other.
    """

    @intrinsic
    def tile(typing, a, ia, am, iam, ak, iak, b, ib, bk, ibk, c, ic, cm, icm, depth):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            code = _Code(context, builder, signature, arguments)
            pa, pam, pak, pb, pbk, pc, pcm = (code.start(k) for k in range(0, 14, 2))
            lefts = code.through(pa, pam, rows)

            def step(k, sums):  # type: ignore[no-untyped-def]
                right, left = code.at(pb, builder.load(code.at(pbk, k))), builder.load(code.at(pak, k))
                vectors = [code.load(code.at(right, j * code.lanes)) for j in range(width)]
                new = []
                for m in range(rows):
                    number = code.spread(code.at(lefts[m], left))
                    new += [code.multiply_add(number, v, s) for v, s in zip(vectors, sums[m * width :], strict=False)]
                return new

            sums = code.sum_over(arguments[-1], rows * width, step)
            for m, row in enumerate(code.through(pc, pcm, rows)):
                for j in range(width):
                    place, value = code.at(row, j * code.lanes), sums[m * width + j]
                    code.store(code.add(code.load(place), value) if accumulate else value, place)
            return context.get_dummy_value()

        index = types.intp
        return types.void(a, index, am, index, ak, index, b, index, bk, index, c, index, cm, index, index), generate

    return tile


def _dots_tile(rows: int, columns: int) -> Any:
    """c[m*columns + n] = sum_k <A[m, k], B[n, k]>, products of vectors: A[m, k] is a[am[m] + ak[k]:], and B alike."""

    @intrinsic
    def tile(typing, a, ia, am, iam, ak, iak, b, ib, bn, ibn, bk, ibk, c, ic, depth):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            code = _Code(context, builder, signature, arguments)
            pa, pam, pak, pb, pbn, pbk, pc = (code.start(k) for k in range(0, 14, 2))
            lefts, rights = code.through(pa, pam, rows), code.through(pb, pbn, columns)

            def step(k, sums):  # type: ignore[no-untyped-def]
                left, right = builder.load(code.at(pak, k)), builder.load(code.at(pbk, k))
                others = [code.load(code.at(p, right)) for p in rights]
                new = []
                for m in range(rows):
                    mine = code.load(code.at(lefts[m], left))
                    new += [code.multiply_add(mine, v, s) for v, s in zip(others, sums[m * columns :], strict=False)]
                return new

            for e, s in enumerate(code.sum_over(arguments[-1], rows * columns, step)):
                builder.store(code.total(s), code.at(pc, e))
            return context.get_dummy_value()

        index = types.intp
        return types.void(a, index, am, index, ak, index, b, index, bn, index, bk, index, c, index, index), generate

    return tile


def _transpose_tile() -> Any:
    """c[ic + j*below + i] = a[ia + i*down + j] for all i and j less than the numbers in a vector."""

    @intrinsic
    def tile(typing, a, ia, down, c, ic, below):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            code = _Code(context, builder, signature, arguments)
            source, target = code.start(0), code.start(3)
            lanes = range(code.lanes)
            rows = [code.load(code.at(source, builder.mul(arguments[2], _INDEX(i)))) for i in lanes]
            step = 1
            while step < code.lanes:  # exchange blocks off the diagonal: of 2*2 numbers, then of 2*2 such blocks ...
                upper = [code.lanes + (j ^ step) if j & step else j for j in lanes]
                lower = [code.lanes + j if j & step else j ^ step for j in lanes]
                for i in (i for i in lanes if not i & step):
                    pair = rows[i], rows[i + step]
                    rows[i], rows[i + step] = code.shuffle(*pair, upper), code.shuffle(*pair, lower)
                step *= 2
            for j in lanes:
                code.store(rows[j], code.at(target, builder.mul(arguments[5], _INDEX(j))))
            return context.get_dummy_value()

        return types.void(a, types.intp, types.intp, c, types.intp, types.intp), generate

    return tile


multiply_rows, multiply_rows_1 = (_rows_tile(ROWS, width, accumulate=False) for width in (WIDTH, 1))
add_rows, add_rows_1 = (_rows_tile(ROWS, width, accumulate=True) for width in (WIDTH, 1))
multiply_shared = _rows_tile(SHARED, 2, accumulate=False)
multiply_one, add_one = (_rows_tile(1, RUN, accumulate) for accumulate in (False, True))
dots_square, dots_one = _dots_tile(SIDE, SIDE), _dots_tile(1, MANY)
transpose = _transpose_tile()
