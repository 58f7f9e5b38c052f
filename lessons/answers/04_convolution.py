"""Answers to lesson 4: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np


def windows(x, w, stride, padding=0):
    """What each position sees. x: (n, c, h, w); result: (n, c, rows, columns, kh, kw)."""
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    seen = np.lib.stride_tricks.sliding_window_view(wide, w.shape[2:], axis=(2, 3))
    return seen[:, :, ::stride, ::stride]


def flip(w):
    return w[:, :, ::-1, ::-1]


def conv(x, w, stride, padding):
    return np.einsum("ncabij,ocij->noab", windows(x, w, stride, padding), w)


# --- to the kernel


def dw(g, x, w, b, stride, padding):
    return np.einsum("noab,ncabij->ocij", g, windows(x, w, stride, padding))


def dw_by_positions(g, x, w, b, stride, padding):
    wide = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    result = np.zeros_like(w)
    for row in range(g.shape[2]):
        for column in range(g.shape[3]):
            top = row * stride
            left = column * stride
            window = wide[:, :, top : top + w.shape[2], left : left + w.shape[3]]
            result += np.tensordot(g[:, :, row, column], window, axes=(0, 0))
    return result


def dw_as_product(g, x, w, b, stride, padding):
    columns = windows(x, w, stride, padding).transpose(0, 2, 3, 1, 4, 5).reshape(-1, w[0].size)
    return (g.transpose(1, 0, 2, 3).reshape(len(b), -1) @ columns).reshape(w.shape)


def dw_without_stride(g, x, w, b, stride, padding):
    seen = windows(x, w, 1, padding)[:, :, : g.shape[2], : g.shape[3]]
    return np.einsum("noab,ncabij->ocij", g, seen)


def dw_channels_added(g, x, w, b, stride, padding):
    return dw(g, x, w, b, stride, padding).sum(1, keepdims=True) + 0 * w


# --- to the image


def dx(g, x, w, b, stride, padding, add=True, cut=True, step=None):
    n, c, height, width = x.shape
    rows, columns = g.shape[2:]
    step = step or stride
    wide = np.zeros((n, c, height + 2 * padding, width + 2 * padding), g.dtype)
    for i, j in np.ndindex(w.shape[2:]):
        place = np.s_[:, :, i : i + step * rows : step, j : j + step * columns : step]
        brought = np.einsum("noab,oc->ncab", g, w[:, :, i, j])
        wide[place] = wide[place] + brought if add else brought
    return wide[:, :, padding : padding + height, padding : padding + width] if cut else wide


def dx_by_positions(g, x, w, b, stride, padding):
    n, c, height, width = x.shape
    wide = np.zeros((n, c, height + 2 * padding, width + 2 * padding), g.dtype)
    for row, column in np.ndindex(g.shape[2:]):
        top = row * stride
        left = column * stride
        copies = np.tensordot(g[:, :, row, column], w, axes=1)
        wide[:, :, top : top + w.shape[2], left : left + w.shape[3]] += copies
    return wide[:, :, padding : padding + height, padding : padding + width]


def dx_as_full_convolution(g, x, w, b, stride, padding):
    """Put zeros between the entries of g, pad, and slide the flipped kernel, with its channels exchanged."""
    n, o, rows, columns = g.shape
    kh, kw = w.shape[2:]
    height = x.shape[2] + 2 * padding
    width = x.shape[3] + 2 * padding
    wide = np.zeros((n, o, height + kh - 1, width + kw - 1), g.dtype)
    wide[:, :, kh - 1 : kh - 1 + stride * rows : stride, kw - 1 : kw - 1 + stride * columns : stride] = g
    full = conv(wide, flip(w).transpose(1, 0, 2, 3), 1, 0)
    return full[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]]


# --- the transposed convolution


def transposed_by_slices(g, x, w, stride):
    result = np.zeros_like(x)
    rows, columns = x.shape[2:]
    for i, j in np.ndindex(w.shape[2:]):
        seen = g[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
        result += np.einsum("ncab,oc->noab", seen, w[:, :, i, j])
    return result


def transposed(g, x, w, stride):
    return conv(g, w, stride, 0)


# --- the double backward


def double(g, u, x, w, b, stride, padding):
    ux, uw, ub = u
    dg = conv(ux, w, stride, padding) + conv(x, uw, stride, padding) + ub[:, None, None]
    return dx(g, x, uw, b, stride, padding), dw(g, ux, w, b, stride, padding), 0 * b, dg


def double_other_helpers(g, u, x, w, b, stride, padding):
    ux, uw, ub = u
    both = np.concatenate([ux, x], 1)
    dg = conv(both, np.concatenate([w, uw], 1), stride, padding) + ub.reshape(1, -1, 1, 1)
    first = dx_by_positions(g, x, uw, b, stride, padding)
    return first, dw_as_product(g, ux, w, b, stride, padding), np.zeros_like(b), dg


def double_without(part):
    def rule(g, u, x, w, b, stride, padding):
        to_x, to_w, to_b, to_g = double(g, u, x, w, b, stride, padding)
        _, uw, ub = u
        if part == "uw":
            to_g = to_g - conv(x, uw, stride, padding)
        elif part == "ub":
            to_g = to_g - ub[:, None, None]
        else:
            to_x = 0 * x
            to_w = 0 * w
        return to_x, to_w, to_b, to_g

    return rule


def double_flipped(g, u, x, w, b, stride, padding):
    to_x, to_w, to_b, to_g = double(g, u, x, w, b, stride, padding)
    return to_x, flip(to_w), to_b, to_g


RIGHT = {
    "conv_db": [
        lambda g, x, w, b, stride, padding: np.einsum("noab->o", g),
        lambda g, x, w, b, stride, padding: g.sum(0).reshape(len(b), -1).sum(1),
    ],
    "conv_dw": [dw_by_positions, dw_as_product],
    "conv_dx": [dx_by_positions, dx_as_full_convolution],
    "transposed_dx": [transposed_by_slices, transposed],
    "conv_double": [double, double_other_helpers],
}

WRONG = {
    "conv_db": [
        ("right after multiplying by n", lambda g, x, w, b, stride, padding: g.sum((2, 3)).mean(0)),
        ("right after multiplying by output size/o", lambda g, x, w, b, stride, padding: g.mean((0, 2, 3))),
        ("right after .sum((0, 2, 3))", lambda g, x, w, b, stride, padding: g),
        ("they must add", lambda g, x, w, b, stride, padding: g[0].sum((1, 2))),
    ],
    "conv_dw": [
        ("Right after flipping both kernel axes", lambda *args, **how: flip(dw(*args, **how))),
        ("right after multiplying by n", lambda g, *args, **how: dw(g, *args, **how) / len(g)),
        ("the stride is ignored", dw_without_stride),
        ("but ⟨g, J v⟩ =", dw_channels_added),
        ("The cotangent is ignored", lambda g, *args, **how: dw(np.ones_like(g), *args, **how)),
    ],
    "conv_dx": [
        ("Right when w is flipped", lambda g, x, w, b, **how: dx(g, x, flip(w), b, **how)),
        ("overwrites each other, but it must add", lambda *args, **how: dx(*args, **how, add=False)),
        ("dx has shape", lambda *args, **how: dx(*args, **how, cut=False)),
        ("the stride is ignored", lambda *args, **how: dx(*args, **how, step=1)),
    ],
    "transposed_dx": [
        ("Right when w is flipped", lambda g, x, w, stride: transposed(g, x, flip(w), stride)),
        ("right after multiplying by kh·kw", lambda g, x, w, stride: transposed(g, x, w, stride) / w[0, 0].size),
        ("The cotangent is ignored", lambda g, x, w, stride: transposed(np.ones_like(g), x, w, stride)),
        (
            "stride=2: 0 of",
            lambda g, x, w, stride: transposed(g, x, w, 1)[:, :, : x.shape[2], : x.shape[3]],
        ),
    ],
    "conv_double": [
        ("The term conv2d(x, uw) is missing", double_without("uw")),
        ("The term ub is missing", double_without("ub")),
        ("The term windows(ux)·g is missing", double_without("curvature")),
        ("Right after flipping both kernel axes", double_flipped),
    ],
}
