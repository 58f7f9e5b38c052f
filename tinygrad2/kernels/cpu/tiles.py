"""Tiles of products held in vector registers: what every compiled convolution is made of.

One idea: the operands are flat arrays, and lists of offsets say where each row and each step of the sum lies. So
windows, strides, patterns of pooling and filters need no copy in another order; `conv.py`, `pattern.py` and
`products.py` only write lists. A compiler that sees plain loops does not find the blocking, hence vectors spelt out for
LLVM.

A tile is called with its operands and, for each one, where to start in the array and in its lists. The operands are
made once, before the loops: a tuple that is made inside a loop counts references to its arrays, which takes as long as
a small tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from tinygrad2.kernels.arrays import NDArray

_FEATURES = llvm.get_host_cpu_features()
VECTOR_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx") else 16
MANY_REGISTERS = any(_FEATURES.get(name) for name in ("avx512f", "neon"))  # 32 vector registers, not 16
ROWS = 8 if MANY_REGISTERS else 4  # of a tile of `multiply_rows`, which is WIDTH vectors wide, or 1
WIDTH = 3
SHARED = 10 if MANY_REGISTERS else 5  # rows of `multiply_shared`, 2 vectors wide
RUN = 8  # vectors in the only row of `multiply_one`
SIDE = 5 if MANY_REGISTERS else 3  # of the square tile `dots_square`
MANY = 12  # columns of `dots_one`, which has one row

_INDEX = ir.IntType(64)
_LANE = ir.IntType(32)


class Matrix(NamedTuple):
    """A[m, k] is array[rows[m] + steps[k]]. A call starts at (array, rows, steps), three numbers."""

    array: NDArray
    rows: NDArray
    steps: NDArray


class Rows(NamedTuple):
    """Row m begins at array[starts[m]], and its numbers are neighbours. A call starts at (array, starts)."""

    array: NDArray
    starts: NDArray


class _Code:
    """LLVM instructions on vectors of a Numba dtype."""

    def __init__(self, dtype: Any, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.build = builder
        self._arguments = arguments
        self._types = signature.args
        self._context = context
        self.bytes = dtype.bitwidth // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.vector = ir.VectorType(context.get_data_type(dtype), self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)

    def starts(self, k: int) -> list[Any]:
        """For each array of operand k its place at the index that stands in argument k + 1."""
        operand = self._arguments[k]
        indices = self._arguments[k + 1]
        places = []
        for i, kind in enumerate(self._types[k]):
            data = self._data(kind, self.build.extract_value(operand, i))
            places.append(self.build.gep(data, [self.build.extract_value(indices, i)]))
        return places

    def start(self, k: int) -> Any:
        """The place of argument k, an array, at the index that is argument k + 1."""
        return self.build.gep(self._data(self._types[k], self._arguments[k]), [self._arguments[k + 1]])

    def _data(self, kind: Any, array: Any) -> Any:
        return self._context.make_array(kind)(self._context, self.build, array).data

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
        build = self.build
        before = build.block
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


def _index(count: int) -> Any:
    """The type of `count` numbers where a call starts in an operand."""
    return types.UniTuple(types.intp, count)  # type: ignore[no-untyped-call]


def _rows_tile(rows: int, width: int, accumulate: bool) -> Any:
    """C[m, :] (+)= sum_k A[m, k]·B[k, :] for `rows` numbers m; C and B are `width` vectors wide. a: Matrix; b, c: Rows.

    Rows of C may overlap: with `accumulate` they are added one after the other.
    """

    @intrinsic
    def tile(typing, a, from_a, b, from_b, c, from_c, depth):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            code = _Code(a[0].dtype, context, builder, signature, arguments)
            a_array, a_rows, a_steps = code.starts(0)
            b_array, b_starts = code.starts(2)
            c_array, c_starts = code.starts(4)
            lefts = code.through(a_array, a_rows, rows)

            def step(k, sums):  # type: ignore[no-untyped-def]
                right = code.at(b_array, builder.load(code.at(b_starts, k)))
                left = builder.load(code.at(a_steps, k))
                vectors = [code.load(code.at(right, j * code.lanes)) for j in range(width)]
                new = []
                for m in range(rows):
                    number = code.spread(code.at(lefts[m], left))
                    new += [code.multiply_add(number, v, s) for v, s in zip(vectors, sums[m * width :], strict=False)]
                return new

            sums = code.sum_over(arguments[-1], rows * width, step)
            for m, row in enumerate(code.through(c_array, c_starts, rows)):
                for j in range(width):
                    place = code.at(row, j * code.lanes)
                    value = sums[m * width + j]
                    code.store(code.add(code.load(place), value) if accumulate else value, place)
            return context.get_dummy_value()

        return types.void(a, _index(3), b, _index(2), c, _index(2), types.intp), generate

    return tile


def _dots_tile(rows: int, columns: int) -> Any:
    """c[m*columns + n] = sum_k <A[m, k], B[n, k]>, products of vectors that begin there. a, b: Matrix; c: an array."""

    @intrinsic
    def tile(typing, a, from_a, b, from_b, c, from_c, depth):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            code = _Code(a[0].dtype, context, builder, signature, arguments)
            a_array, a_rows, a_steps = code.starts(0)
            b_array, b_rows, b_steps = code.starts(2)
            target = code.start(4)
            lefts = code.through(a_array, a_rows, rows)
            rights = code.through(b_array, b_rows, columns)

            def step(k, sums):  # type: ignore[no-untyped-def]
                left = builder.load(code.at(a_steps, k))
                right = builder.load(code.at(b_steps, k))
                others = [code.load(code.at(p, right)) for p in rights]
                new = []
                for m in range(rows):
                    mine = code.load(code.at(lefts[m], left))
                    new += [code.multiply_add(mine, v, s) for v, s in zip(others, sums[m * columns :], strict=False)]
                return new

            for e, s in enumerate(code.sum_over(arguments[-1], rows * columns, step)):
                builder.store(code.total(s), code.at(target, e))
            return context.get_dummy_value()

        return types.void(a, _index(3), b, _index(3), c, types.intp, types.intp), generate

    return tile


def _transpose_tile() -> Any:
    """c[ic + j*below + i] = a[ia + i*down + j] for all i and j less than the numbers in a vector."""

    @intrinsic
    def tile(typing, a, ia, down, c, ic, below):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            code = _Code(a.dtype, context, builder, signature, arguments)
            source = code.start(0)
            target = code.start(3)
            lanes = range(code.lanes)
            rows = [code.load(code.at(source, builder.mul(arguments[2], _INDEX(i)))) for i in lanes]
            step = 1
            while step < code.lanes:  # exchange blocks off the diagonal: of 2*2 numbers, then of 2*2 such blocks ...
                upper = [code.lanes + (j ^ step) if j & step else j for j in lanes]
                lower = [code.lanes + j if j & step else j ^ step for j in lanes]
                for i in (i for i in lanes if not i & step):
                    pair = rows[i], rows[i + step]
                    rows[i] = code.shuffle(*pair, upper)
                    rows[i + step] = code.shuffle(*pair, lower)
                step *= 2
            for j in lanes:
                code.store(rows[j], code.at(target, builder.mul(arguments[5], _INDEX(j))))
            return context.get_dummy_value()

        return types.void(a, types.intp, types.intp, c, types.intp, types.intp), generate

    return tile


multiply_rows = _rows_tile(ROWS, WIDTH, accumulate=False)
multiply_rows_1 = _rows_tile(ROWS, 1, accumulate=False)
add_rows = _rows_tile(ROWS, WIDTH, accumulate=True)
add_rows_1 = _rows_tile(ROWS, 1, accumulate=True)
multiply_shared = _rows_tile(SHARED, 2, accumulate=False)
multiply_one = _rows_tile(1, RUN, accumulate=False)
add_one = _rows_tile(1, RUN, accumulate=True)
dots_square = _dots_tile(SIDE, SIDE)
dots_one = _dots_tile(1, MANY)
transpose = _transpose_tile()
