"""Answers to lesson 6: right ones written in other ways, and wrong ones with what the checker must say about them."""

import numpy as np

# --- softmax and a vector of length one


def probabilities(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def softmax_entry_by_entry(z):
    y = probabilities(z)
    jacobian = np.zeros((len(z), len(z)), z.dtype)
    for i, j in np.ndindex(jacobian.shape):
        jacobian[i, j] = y[i] * ((i == j) - y[j])
    return jacobian


def softmax_rows(z):
    y = probabilities(z)
    return y[:, None] * (np.eye(len(z), dtype=z.dtype) - y)


def softmax_row_by_row(g, z):
    dz = np.zeros_like(z)
    for n in range(len(z)):
        dz[n] = softmax_rows(z[n]).T @ g[n]
    return dz


def softmax_expanded(g, z):
    y = probabilities(z)
    return y * g - y * np.einsum("nk,nk->n", y, g)[:, None]


def length(x):
    return np.sqrt(x @ x)


def identity(x):
    return np.eye(len(x), dtype=x.dtype)


def unit_column_by_column(x):
    columns = [(e * (x @ x) - x * (x @ e)) / length(x) ** 3 for e in identity(x)]
    return np.stack(columns, axis=1)


# --- measuring


def central(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def one_side(f, x, h):
    return (f(x + h) - f(x)) / h


# --- the network


def slopes(x, w1):
    return 1 - np.tanh(w1 @ x) ** 2


def mlp_column_by_column(x, w1, w2):
    return np.stack([w2 @ (slopes(x, w1) * w1[:, j]) for j in range(len(x))], axis=1)


# --- batch normalisation


def parts(x, eps):
    s = 1 / np.sqrt(x.var(0) + eps)
    return s, s * (x - x.mean(0))


def batch_norm(g, x, weight, bias, eps, keep=("mean", "spread"), mean=np.mean):
    s, hat = parts(x, eps)
    g = g * weight
    inner = g
    if "mean" in keep:
        inner = inner - mean(g, axis=0)
    if "spread" in keep:
        inner = inner - hat * mean(g * hat, axis=0)
    return s * inner


def batch_norm_by_matrices(g, x, weight, bias, eps):
    n = len(x)
    s, hat = parts(x, eps)
    dx = np.zeros_like(x)
    for d in range(x.shape[1]):
        jacobian = np.eye(n, dtype=x.dtype) - (1 + np.outer(hat[:, d], hat[:, d])) / n
        dx[:, d] = weight[d] * s[d] * (jacobian.T @ g[:, d])
    return dx


def batch_norm_in_steps(g, x, weight, bias, eps):
    n = len(x)
    centred = x - x.mean(0)
    spread = np.sqrt((centred**2).mean(0) + eps)
    g_hat = g * weight
    g_var = -(g_hat * centred).sum(0) / (2 * spread**3)
    g_centred = g_hat / spread + 2 * centred * g_var / n
    return g_centred - g_centred.sum(0) / n


RIGHT = {
    "two_jacobian": [
        lambda x: np.stack([x[::-1], np.array([1, 3], x.dtype)]),
        lambda x: np.diag(np.array([0, 3], x.dtype)) + np.array([[x[1], x[0]], [1, 0]], x.dtype),
    ],
    "softmax_jacobian": [softmax_entry_by_entry, softmax_rows],
    "softmax": [softmax_row_by_row, softmax_expanded],
    "slope": [
        lambda f, x: (4 * central(f, x, 1e-3) - central(f, x, 2e-3)) / 3,
        lambda f, x: f(x + 1e-20j).imag / 1e-20,
        lambda f, x: central(f, x, 2e-6),
    ],
    "normalize_jacobian": [
        unit_column_by_column,
        lambda x: identity(x) / length(x) - np.outer(x, x) / length(x) ** 3,
    ],
    "mlp_jacobian": [mlp_column_by_column, lambda x, w1, w2: (w2 / np.cosh(w1 @ x) ** 2) @ w1],
    "batch_norm_dx": [batch_norm_by_matrices, batch_norm_in_steps],
}

WRONG = {
    "two_jacobian": [
        ("Right after transposing J", lambda x: np.array([[x[1], 1], [x[0], 3]], x.dtype)),
        (
            "it is treated as if every entry depended on the same entry alone",
            lambda x: np.array([[x[1], 0], [0, 3]], x.dtype),
        ),
        ("the result is reversed", lambda x: np.array([[x[0], x[1]], [1, 3]], x.dtype)),
        ("the Jacobian must have shape (2, 2), one row per output", lambda x: np.array([x[1] + x[0], 4], x.dtype)),
    ],
    "softmax_jacobian": [
        (
            "not diagonal: every output depends on every input",
            lambda z: np.diag(probabilities(z) * (1 - probabilities(z))),
        ),
        ("The term -y yᵀ is missing", lambda z: np.diag(probabilities(z))),
        (
            "The term -y yᵀ has the wrong sign",
            lambda z: np.diag(probabilities(z)) + np.outer(probabilities(z), probabilities(z)),
        ),
        ("one row per output", lambda z: probabilities(z) * (1 - probabilities(z))),
    ],
    "softmax": [
        (
            "The term -y² g (as for sigmoid) does not belong there",
            lambda g, z: g * probabilities(z) * (1 - probabilities(z)),
        ),
        ("The cotangent is ignored", lambda g, z: 0 * z),
        ("The term -y Σ(g y) is missing", lambda g, z: g * probabilities(z)),
        (
            "Would an all-ones cotangent have caught it?  no",
            lambda g, z: probabilities(z) * (g - g.mean(1, keepdims=True)),
        ),
    ],
    "slope": [
        ("the digits cancel", lambda f, x: central(f, x, 1e-14)),
        ("the step is much too large", lambda f, x: central(f, x, 0.1)),
        ("Look at the picture", lambda f, x: one_side(f, x, 1e-7)),
        ("Divide by the distance between the two points", lambda f, x: 2 * central(f, x, 1e-5)),
        ("the digits cancel", lambda f, x: central(f, np.float32(x), np.float32(1e-2))),
    ],
    "normalize_jacobian": [
        ("The term -y yᵀ/‖x‖ is missing", lambda x: identity(x) / length(x)),
        ("right after dividing the result by ‖x‖", lambda x: identity(x) - np.outer(x, x) / (x @ x)),
        ("there is a factor ((x * x).sum()) too many", lambda x: (identity(x) - np.outer(x, x)) / length(x)),
        ("The term -y yᵀ/‖x‖ has the wrong sign", lambda x: (identity(x) + np.outer(x, x) / (x @ x)) / length(x)),
    ],
    "mlp_jacobian": [
        ("Right after transposing J", lambda x, w1, w2: w1.T @ np.diag(slopes(x, w1)) @ w2.T),
        ("The factor 1 - tanh²(w1 x) is missing", lambda x, w1, w2: w2 @ w1),
        ("is taken as (1 - (w1 @ x)²) in place of", lambda x, w1, w2: w2 @ np.diag(1 - (w1 @ x) ** 2) @ w1),
        ("is taken as np.tanh(w1 @ x) in place of", lambda x, w1, w2: w2 @ np.diag(np.tanh(w1 @ x)) @ w1),
    ],
    "batch_norm_dx": [
        (
            "The term -s mean(γ g) is missing. The term -s x̂ mean(γ g x̂) is missing",
            lambda g, x, weight, bias, eps: batch_norm(g, x, weight, bias, eps, keep=()),
        ),
        (
            "The term -s x̂ mean(γ g x̂) is missing",
            lambda g, x, weight, bias, eps: batch_norm(g, x, weight, bias, eps, keep=("mean",)),
        ),
        ("The factor weight is missing", lambda g, x, weight, bias, eps: batch_norm(g, x, 1, bias, eps)),
        ("has the factor n too much", lambda g, x, weight, bias, eps: batch_norm(g, x, weight, bias, eps, mean=np.sum)),
    ],
}
