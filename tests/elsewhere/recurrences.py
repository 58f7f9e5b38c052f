"""Recurrences, unrolled for a few steps."""

from __future__ import annotations

import numpy as np

from .form import Function, Wrong, draw, sigmoid

# --- a plain recurrent network


def rnn(x, h0, w, u):
    h = h0
    for t in range(len(x)):
        h = np.tanh(w @ x[t] + u @ h)
    return h


def rnn_states(x, h0, w, u):
    states = [h0]
    for step in x:
        states.append(np.tanh(w @ step + u @ states[-1]))
    return states


def rnn_by(slope=lambda h, x, previous, w, u: 1 - h**2, state=0, first=0, transposed=True, summed=True, input_w=True):
    def vjp(g, x, h0, w, u):
        states = rnn_states(x, h0, w, u)
        dx, dw, du = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u)
        dh = g
        for t in reversed(range(first, len(x))):
            da = dh * slope(states[t + 1], x[t], states[t], w, u)
            step_w, step_u = np.outer(da, x[t]), np.outer(da, states[t + state])
            dw, du = (dw + step_w, du + step_u) if summed else (step_w, step_u)
            dx[t] = (w.T if input_w else w) @ da
            dh = (u.T if transposed else u) @ da
        return dx, dh, dw, du

    return vjp


def rnn_vjp_forward_mode(g, x, h0, w, u):
    states = rnn_states(x, h0, w, u)
    backwards = [g]
    for h in reversed(states[1:]):
        backwards.append(u.T @ ((1 - h * h) * backwards[-1]))
    da = np.stack([(1 - h * h) * d for h, d in zip(reversed(states[1:]), backwards, strict=False)])[::-1]
    return da @ w, backwards[-1], da.T @ x, da.T @ np.stack(states[:-1])


RNN = Function(
    "rnn",
    rnn,
    draw(1, (3, 3), (3,), (3, 3), (3, 3), scale=0.8),
    (rnn_by(), rnn_vjp_forward_mode),
    (
        Wrong(
            "last step alone",
            rnn_by(first=2),
            "only-part",
            "Only the last step is differentiated; the earlier ones are left out.",
            ("truncated after one step", "earlier steps missing", "not unrolled", "missing-term", "missing-sum"),
            "for t in range(len(x))",
        ),
        Wrong(
            "weights of the first step",
            rnn_by(summed=False),
            "missing-sum",
            "The weights' gradients are not added over the steps: each step overwrites the one before.",
            ("= instead of +=", "only-part", "overwritten", "sum over time missing"),
            "h = np.tanh(w @ x[t] + u @ h)",
        ),
        Wrong(
            "tanh derivative at the wrong value",
            rnn_by(slope=lambda h, x, p, w, u: 1 - (w @ x + u @ p) ** 2),
            "wrong-point",
            "The derivative of tanh is 1 - a**2 with the pre-activation a instead of the output h.",
            ("pre-activation instead of output", "wrong-variable"),
            "np.tanh(w @ x[t] + u @ h)",
        ),
        Wrong(
            "no tanh derivative",
            rnn_by(slope=lambda h, x, p, w, u: 1),
            "missing-inner-derivative",
            "The derivative of tanh is missing.",
            ("missing 1 - h**2", "tanh not differentiated", "chain rule"),
            "np.tanh(w @ x[t] + u @ h)",
        ),
        Wrong(
            "state of the same step",
            rnn_by(state=1),
            "wrong-index",
            "The recurrent weights' gradient uses the new state instead of the one before.",
            ("h_t instead of h_{t-1}", "shift", "off by one", "du wrong"),
            "u @ h",
        ),
        Wrong(
            "recurrent weights not transposed",
            rnn_by(transposed=False),
            "transpose",
            "The recurrent matrix is not transposed on the way back through time.",
            ("u instead of u.T", "missing transpose"),
            "u @ h",
        ),
        Wrong(
            "input weights not transposed",
            rnn_by(input_w=False),
            "transpose",
            "The input matrix is not transposed in the gradient of x.",
            ("w instead of w.T", "missing transpose", "dx wrong"),
            "w @ x[t]",
        ),
    ),
)

# --- GRU cell


def gru(x, h, w, u):
    r = sigmoid(w[0] @ x + u[0] @ h)
    z = sigmoid(w[1] @ x + u[1] @ h)
    n = np.tanh(w[2] @ x + u[2] @ (r * h))
    return (1 - z) * n + z * h


def gru_by(direct=True, reset=True, update=True, z_sign=1, recurrent=None, gates="right", reset_state=True):
    def vjp(g, x, h, w, u):
        r = sigmoid(w[0] @ x + u[0] @ h)
        z = sigmoid(w[1] @ x + u[1] @ h)
        n = np.tanh(w[2] @ x + u[2] @ (r * h))
        keep, new = (z, 1 - z) if gates == "right" else (1 - z, z)
        dan = g * new * (1 - n**2)
        drh = u[2].T @ dan
        daz = z_sign * g * (h - n) * z * (1 - z) if update else 0 * g
        dar = drh * h * r * (1 - r) if reset else 0 * g
        dh = u[0].T @ dar + u[1].T @ daz
        if direct:
            dh = dh + g * keep
        if reset_state:
            dh = dh + drh * r
        dx = w[0].T @ dar + w[1].T @ daz + w[2].T @ dan
        dw = np.stack([np.outer(d, x) for d in (dar, daz, dan)])
        du = np.stack([np.outer(dar, h), np.outer(daz, h), np.outer(dan, recurrent(r, h) if recurrent else r * h)])
        return dx, dh, dw, du

    return vjp


GRU = Function(
    "gru",
    gru,
    draw(2, (3,), (3,), (3, 3, 3), (3, 3, 3), scale=0.8),
    (gru_by(),),
    (
        Wrong(
            "no direct path",
            gru_by(direct=False),
            "missing-term",
            "The direct path of the old state, g times z, is missing from its gradient.",
            ("skip path missing", "missing path", "z * h not differentiated in h", "dh wrong"),
            "(1 - z) * n + z * h",
        ),
        Wrong(
            "reset gate constant",
            gru_by(reset=False),
            "detached",
            "The reset gate is treated as a constant.",
            ("missing-term", "path through r missing", "reset gate not differentiated", "missing path"),
            "r = sigmoid(w[0] @ x + u[0] @ h)",
        ),
        Wrong(
            "update gate constant",
            gru_by(update=False),
            "detached",
            "The update gate is treated as a constant.",
            ("missing-term", "path through z missing", "update gate not differentiated", "missing path"),
            "z = sigmoid(w[1] @ x + u[1] @ h)",
        ),
        Wrong(
            "update gate's sign",
            gru_by(z_sign=-1),
            "sign-in-term",
            "The update gate's gradient has the wrong sign: n - h instead of h - n.",
            ("sign of the z path", "n and h exchanged"),
            "(1 - z) * n + z * h",
        ),
        Wrong(
            "gate exchanged with its complement",
            gru_by(gates="other"),
            "swapped",
            "z and 1-z are exchanged in the backward pass.",
            ("complement of the gate", "other convention of the GRU", "z instead of 1 - z"),
            "(1 - z) * n + z * h",
        ),
        Wrong(
            "recurrent weights without the reset",
            gru_by(recurrent=lambda r, h: h),
            "missing-factor",
            "The candidate's recurrent weights see h instead of r times h.",
            ("reset gate forgotten in du", "wrong-variable", "h instead of r * h", "du wrong"),
            "u[2] @ (r * h)",
        ),
        Wrong(
            "state not through the candidate",
            gru_by(reset_state=False),
            "missing-term",
            "The old state's path into the candidate is missing.",
            ("missing path", "r * h not differentiated in h", "product rule", "dh wrong"),
            "u[2] @ (r * h)",
        ),
    ),
)

# --- LSTM cell


def lstm(x, h, c, w):
    i, f, o, a = np.split(w @ np.concatenate([x, h]), 4)
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(a)
    return np.concatenate([sigmoid(o) * np.tanh(new), new])


def lstm_by(through_h=True, forget="old", slope="new", order=(0, 1, 2, 3), derivative=True, cell=True, both=True):
    def vjp(g, x, h, c, w):
        joined = np.concatenate([x, h])
        i, f, o, a = np.split(w @ joined, 4)
        i, f, o, a = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(a)
        new = f * c + i * a
        dh, dc = np.split(g, 2)
        if not both:
            dc = np.zeros_like(dc)
        if through_h:
            dc = dc + dh * o * (1 - np.tanh(new if slope == "new" else c) ** 2)
        di, df, do = dc * a, dc * (c if forget == "old" else new), dh * np.tanh(new)
        if derivative:
            di, df, do = di * i * (1 - i), df * f * (1 - f), do * o * (1 - o)
        parts = (di, df, do, dc * i * (1 - a**2))
        d = np.concatenate([parts[k] for k in order])
        dx, dh_old = np.split(w.T @ d, [len(x)])
        return dx, dh_old, dc * f if cell else dc, np.outer(d, joined)

    return vjp


LSTM = Function(
    "lstm",
    lstm,
    draw(3, (3,), (2,), (2,), (8, 5), scale=0.9),
    (lstm_by(),),
    (
        Wrong(
            "cell without the output",
            lstm_by(through_h=False),
            "missing-term",
            "The path from the new hidden state into the new cell, through tanh, is missing.",
            ("detached", "cell gradient misses o (1 - tanh**2)", "missing path", "tanh(new) not differentiated"),
            "sigmoid(o) * np.tanh(new)",
        ),
        Wrong(
            "cell output ignored",
            lstm_by(both=False),
            "missing-term",
            "The gradient that comes in at the new cell itself is ignored.",
            ("only-part", "second half of g unused", "missing path"),
            "np.concatenate([sigmoid(o) * np.tanh(new), new])",
        ),
        Wrong(
            "forget gate by the new cell",
            lstm_by(forget="new"),
            "wrong-index",
            "The forget gate's gradient uses the new cell instead of the old one.",
            ("c_t instead of c_{t-1}", "wrong-variable", "shift", "off by one"),
            "sigmoid(f) * c",
        ),
        Wrong(
            "tanh at the old cell",
            lstm_by(slope="old"),
            "wrong-point",
            "The derivative of tanh is taken at the old cell instead of the new one.",
            ("wrong-index", "wrong-variable", "c instead of new"),
            "np.tanh(new)",
        ),
        Wrong(
            "gates in another order",
            lstm_by(order=(1, 0, 2, 3)),
            "swapped",
            "The gradients of the input and forget gates are exchanged.",
            ("wrong-order", "gates swapped", "i and f exchanged"),
            "i, f, o, a = np.split(w @ np.concatenate([x, h]), 4)",
        ),
        Wrong(
            "no sigmoid derivatives",
            lstm_by(derivative=False),
            "missing-inner-derivative",
            "The derivatives of the gates' sigmoids are missing.",
            ("missing s (1 - s)", "sigmoid not differentiated", "chain rule"),
            "sigmoid(f) * c + sigmoid(i) * np.tanh(a)",
        ),
        Wrong(
            "old cell not gated",
            lstm_by(cell=False),
            "missing-factor",
            "The old cell's gradient lacks the forget gate.",
            ("missing f", "dc wrong", "missing-inner-derivative", "forget gate forgotten"),
            "sigmoid(f) * c",
        ),
    ),
)

# --- exponential moving average


def smooth(x, a):
    y = [x[0]]
    for t in range(1, len(x)):
        y.append(a * y[-1] + (1 - a) * x[t])
    return np.stack(y)


def smooth_by(carry=True, gain=lambda a: 1 - a, first=True, da="right", reverse=True):
    def vjp(g, x, a):
        y = smooth(x, a)
        dx, total = np.zeros_like(x), np.zeros(())
        back = np.zeros_like(g[0])
        for t in reversed(range(1, len(x))):
            back = g[t] + (a * back if carry else 0)
            dx[t] = gain(a) * back
            if da == "right":
                total = total + back * (y[t - 1] - x[t])
            elif da == "direct":
                total = total + g[t] * (y[t - 1] - x[t])
            elif da == "state":
                total = total + back * y[t - 1]
            else:
                total = total + back * (y[t] - x[t])
        dx[0] = g[0] + (a * back if carry else 0)
        if not first:
            dx[0] = (1 - a) * dx[0]
        return dx, total

    return vjp


def smooth_vjp_matrix(g, x, a):
    n = len(x)
    t, s = np.indices((n, n))
    power = np.where(t >= s, a ** np.maximum(t - s, 0), 0)
    weights = power * np.where(s == 0, 1, 1 - a)
    slope = np.where(t > s, (t - s) * a ** np.maximum(t - s - 1, 0), 0)
    dweights = slope * np.where(s == 0, 1, 1 - a) - power * (s > 0)
    return weights.T @ g, g @ dweights @ x


SMOOTH = Function(
    "moving_average",
    smooth,
    (draw(4, (5,))[0], np.array(0.7)),
    (smooth_by(), smooth_vjp_matrix),
    (
        Wrong(
            "no memory",
            smooth_by(carry=False),
            "only-part",
            "The recurrence is not followed back: each x only gets the gradient of its own step.",
            ("missing-term", "y[t-1] treated as a constant", "detached", "not accumulated", "later steps missing"),
            "a * y[-1]",
        ),
        Wrong(
            "no gain",
            smooth_by(gain=lambda a: 1),
            "missing-factor",
            "The factor 1-a of the new value is missing.",
            ("missing 1 - a", "factor-in-term", "missing-inner-derivative"),
            "(1 - a) * x[t]",
        ),
        Wrong(
            "gain for memory",
            smooth_by(gain=lambda a: a),
            "swapped",
            "The new value's factor is taken as a instead of 1-a.",
            ("a instead of 1 - a", "wrong-variable", "wrong-constant"),
            "(1 - a) * x[t]",
        ),
        Wrong(
            "first value gained",
            smooth_by(first=False),
            "extra-factor",
            "The first value gets the factor 1-a, although the average starts with it unweighted.",
            ("initial condition", "wrong at x[0]", "extra 1 - a"),
            "y = [x[0]]",
        ),
        Wrong(
            "coefficient by the own step",
            smooth_by(da="direct"),
            "only-part",
            "The coefficient's gradient ignores that earlier states depend on it as well.",
            ("missing-term", "detached", "recurrence not followed in da", "second input wrong"),
            "a * y[-1]",
        ),
        Wrong(
            "coefficient without the new value",
            smooth_by(da="state"),
            "missing-term",
            "The coefficient's gradient leaves out the 1-a in front of the new value.",
            ("missing -x[t]", "second use of a missing", "second input wrong"),
            "(1 - a) * x[t]",
        ),
        Wrong(
            "coefficient by the new state",
            smooth_by(da="index"),
            "wrong-index",
            "The coefficient's gradient uses the new state instead of the one before.",
            ("y[t] instead of y[t-1]", "shift", "off by one", "second input wrong"),
            "a * y[-1]",
        ),
    ),
)

# --- leaky integrator

DT = 0.2


def leaky(v0, current, tau):
    v = v0
    trace = []
    for i in current:
        v = v + DT * (i - v / tau)
        trace.append(v)
    return np.stack(trace)


def leaky_by(decay=lambda tau: 1 - DT / tau, gain=DT, power=2, sign=1, index=0, carry=True):
    def vjp(g, v0, current, tau):
        v = [v0, *leaky(v0, current, tau)]
        di, dtau, back = np.zeros_like(current), np.zeros(()), np.zeros(())
        for t in reversed(range(len(current))):
            back = back + g[t] if carry else g[t]
            di[t] = gain * back
            dtau = dtau + sign * back * DT * v[t + index] / tau**power
            back = back * decay(tau)
        return back, di, dtau

    return vjp


def leaky_vjp_powers(g, v0, current, tau):
    n = len(current)
    v = np.array([v0, *leaky(v0, current, tau)])
    t, s = np.indices((n, n))
    reach = np.where(t >= s, (1 - DT / tau) ** np.maximum(t - s, 0), 0)
    return g @ (1 - DT / tau) ** np.arange(1, n + 1), DT * reach.T @ g, g @ reach @ v[:-1] * DT / tau**2


LEAKY = Function(
    "leaky_integrator",
    leaky,
    (np.array(0.8), draw(5, (4,))[0], np.array(0.6)),
    (leaky_by(), leaky_vjp_powers),
    (
        Wrong(
            "no memory",
            leaky_by(carry=False),
            "only-part",
            "Later steps are not carried back: each current only gets the gradient of its own step.",
            ("missing-term", "detached", "not accumulated", "recurrence not followed"),
            "v = v + DT * (i - v / tau)",
        ),
        Wrong(
            "no leak",
            leaky_by(decay=lambda tau: 1),
            "missing-term",
            "The leak is not differentiated in v: the state is carried back with the factor 1.",
            ("missing -DT/tau", "wrong decay", "missing-factor"),
            "DT * (i - v / tau)",
        ),
        Wrong(
            "leak alone",
            leaky_by(decay=lambda tau: -DT / tau),
            "missing-term",
            "The state is carried back by the leak alone; the 1 of v + ... is missing.",
            ("identity path missing", "missing 1", "residual path forgotten"),
            "v = v + DT * (i - v / tau)",
        ),
        Wrong(
            "current without its step",
            leaky_by(gain=1),
            "factor",
            "The time step is missing from the currents' gradient.",
            ("missing DT", "factor DT", "factor 5", "factor 0.2", "missing-inner-derivative"),
            "DT * (i - v / tau)",
        ),
        Wrong(
            "time constant's power",
            leaky_by(power=1),
            "wrong-power",
            "The time constant's gradient has 1/tau instead of 1/tau**2.",
            ("derivative of 1/tau", "factor tau", "wrong-derivative", "third input wrong", "factor"),
            "v / tau",
        ),
        Wrong(
            "time constant's sign",
            leaky_by(sign=-1),
            "sign",
            "The time constant's gradient has the wrong sign.",
            ("derivative of -v/tau", "sign", "third input has the wrong sign"),
            "v / tau",
        ),
        Wrong(
            "state of the next step",
            leaky_by(index=1),
            "wrong-index",
            "The time constant's gradient uses the state after the step instead of before.",
            ("v[t+1] instead of v[t]", "shift", "off by one", "third input wrong"),
            "v / tau",
        ),
    ),
)

# --- discounted returns


def returns(r, gamma):
    out = np.zeros_like(r)
    total = 0.0
    for t in reversed(range(len(r))):
        total = r[t] + gamma * total
        out[t] = total
    return out


def returns_vjp(g, r, gamma):
    out = returns(r, gamma)
    dr = np.zeros_like(r)
    dgamma, back = np.zeros(()), 0.0
    for t in range(len(r)):
        back = g[t] + gamma * back
        dr[t] = back
        if t + 1 < len(r):
            dgamma = dgamma + back * out[t + 1]
    return dr, dgamma


def returns_vjp_matrix(g, r, gamma):
    t, s = np.indices((len(r), len(r)))
    lag = np.maximum(s - t, 0)
    return (np.where(s >= t, gamma**lag, 0)).T @ g, g @ (np.where(s > t, lag * gamma ** (lag - 1.0), 0)) @ r


def returns_dgamma(dgamma):
    def vjp(g, r, gamma):
        dr = returns_vjp(g, r, gamma)[0]
        return dr, np.asarray(dgamma(g, dr, r, returns(r, gamma), gamma))

    return vjp


def returns_same_direction(g, r, gamma):
    return returns(g, gamma), returns_vjp(g, r, gamma)[1]


RETURNS = Function(
    "discounted_returns",
    returns,
    (draw(6, (5,))[0], np.array(0.8)),
    (returns_vjp, returns_vjp_matrix),
    (
        Wrong(
            "same direction",
            returns_same_direction,
            "wrong-order",
            "The gradient of the rewards is discounted from the end again, instead of from the start.",
            ("transpose", "wrong direction", "not reversed", "backward in the same order as forward"),
            "for t in reversed(range(len(r)))",
        ),
        Wrong(
            "no discount",
            lambda g, r, gamma: (np.cumsum(g), returns_vjp(g, r, gamma)[1]),
            "missing-factor",
            "The discount is missing from the gradient of the rewards: a plain cumulative sum.",
            ("gamma forgotten", "missing gamma", "missing-inner-derivative"),
            "r[t] + gamma * total",
        ),
        Wrong(
            "own step alone",
            lambda g, r, gamma: (g, returns_vjp(g, r, gamma)[1]),
            "only-part",
            "Each reward only gets the gradient of its own return.",
            ("missing-term", "detached", "recurrence not followed", "earlier returns missing"),
            "gamma * total",
        ),
        Wrong(
            "discount by the own step",
            returns_dgamma(lambda g, dr, r, out, gamma: g[:-1] @ out[1:]),
            "only-part",
            "The discount's gradient ignores that the later returns depend on it too.",
            (
                "missing-term",
                "detached",
                "recurrence not followed in dgamma",
                "second input wrong",
                "reward instead of return",
            ),
            "gamma * total",
        ),
        Wrong(
            "discount by the same return",
            returns_dgamma(lambda g, dr, r, out, gamma: dr @ out),
            "wrong-index",
            "The discount's gradient uses the return of the same step instead of the next one.",
            ("shift", "off by one", "out[t] instead of out[t+1]", "second input wrong"),
            "gamma * total",
        ),
        Wrong(
            "discount counted twice",
            returns_dgamma(lambda g, dr, r, out, gamma: gamma * (dr[:-1] @ out[1:])),
            "extra-factor",
            "The discount's gradient is multiplied by the discount once more.",
            ("factor", "factor gamma", "factor 0.8", "extra gamma", "second input wrong"),
            "gamma * total",
        ),
    ),
)

# --- three steps of gradient descent with momentum on 1/2 x·(a x)


def momentum(x0, a, lr, mu):
    x, v = x0, np.zeros_like(x0)
    for _ in range(3):
        v = mu * v + a * x
        x = x - lr * v
    return x


def momentum_by(velocity=True, first=0, da_index=0, dlr_index=1, state=True, lr_sign=-1):
    def vjp(g, x0, a, lr, mu):
        xs, vs = [x0], [np.zeros_like(x0)]
        for _ in range(3):
            vs.append(mu * vs[-1] + a * xs[-1])
            xs.append(xs[-1] - lr * vs[-1])
        dx, dv = g, np.zeros_like(g)
        da, dlr, dmu = np.zeros_like(a), np.zeros(()), np.zeros(())
        for t in reversed(range(first, 3)):
            dlr = dlr + lr_sign * (dx @ vs[t + dlr_index])
            dv = (dv if velocity else 0) - lr * dx
            dmu = dmu + dv @ vs[t]
            da = da + dv * xs[t + da_index]
            dx = (dx if state else 0) + a * dv
            dv = mu * dv
        return dx, da, dlr, dmu

    return vjp


MOMENTUM = Function(
    "momentum",
    momentum,
    (draw(7, (3,))[0], np.array([0.5, 1.2, 2.0]), np.array(0.3), np.array(0.6)),
    (momentum_by(),),
    (
        Wrong(
            "last step alone",
            momentum_by(first=2),
            "only-part",
            "Only the last of the three steps is differentiated.",
            ("not unrolled", "earlier steps missing", "missing-term", "truncated", "missing-sum"),
            "for _ in range(3)",
        ),
        Wrong(
            "velocity constant",
            momentum_by(velocity=False),
            "detached",
            "The velocity of the step before is treated as a constant.",
            ("missing-term", "mu * v not differentiated in v", "path through the velocity missing"),
            "v = mu * v + a * x",
        ),
        Wrong(
            "curvature by the new point",
            momentum_by(da_index=1),
            "wrong-index",
            "The curvature's gradient uses the point after the step instead of before.",
            ("x[t+1] instead of x[t]", "shift", "off by one", "da wrong"),
            "a * x",
        ),
        Wrong(
            "learning rate by the old velocity",
            momentum_by(dlr_index=0),
            "wrong-index",
            "The learning rate's gradient uses the velocity before its update.",
            ("v[t] instead of v[t+1]", "shift", "off by one", "dlr wrong"),
            "x = x - lr * v",
        ),
        Wrong(
            "no identity",
            momentum_by(state=False),
            "missing-term",
            "The direct path x to x - lr v is missing: only that through the velocity is followed.",
            ("identity path missing", "residual path forgotten", "missing path"),
            "x = x - lr * v",
        ),
        Wrong(
            "learning rate's sign",
            momentum_by(lr_sign=1),
            "sign",
            "The learning rate's gradient has the wrong sign.",
            ("sign of dlr", "third input has the wrong sign", "minus forgotten"),
            "x = x - lr * v",
        ),
    ),
)

# --- Newton's iteration for a square root


def newton(s, x0):
    x = x0
    for _ in range(3):
        x = 0.5 * (x + s / x)
    return x


def newton_by(direct=lambda x: 0.5 / x, step=lambda s, x: 0.5 * (1 - s / x**2), first=0, index=0):
    def vjp(g, s, x0):
        xs = [x0]
        for _ in range(3):
            xs.append(0.5 * (xs[-1] + s / xs[-1]))
        ds, dx = np.zeros_like(s), g
        for t in reversed(range(first, 3)):
            ds = ds + dx * direct(xs[t + index])
            dx = dx * step(s, xs[t + index])
        return ds, dx

    return vjp


def newton_vjp_tangents(g, s, x0):
    x, by_s, by_x = x0, 0 * s, 0 * s + 1
    for _ in range(3):
        by_s = (by_s + 1 / x - s * by_s / x**2) / 2
        by_x = (by_x - s * by_x / x**2) / 2
        x = (x + s / x) / 2
    return g * by_s, g * by_x


NEWTON = Function(
    "newton_root",
    newton,
    (np.array([2.0, 5.0, 0.7]), np.array([4.0, 0.9, 2.5])),
    (newton_by(), newton_vjp_tangents),
    (
        Wrong(
            "last step alone",
            newton_by(first=2),
            "only-part",
            "Only the last of the three steps is differentiated.",
            ("not unrolled", "earlier steps missing", "missing-term", "truncated"),
            "for _ in range(3)",
        ),
        Wrong(
            "quotient constant in x",
            newton_by(step=lambda s, x: 0.5),
            "missing-term",
            "The quotient s/x is not differentiated in x.",
            ("missing -s/x**2", "quotient rule", "detached"),
            "s / x",
        ),
        Wrong(
            "quotient added",
            newton_by(step=lambda s, x: 0.5 * (1 + s / x**2)),
            "sign-in-term",
            "The derivative of 1/x has the wrong sign.",
            ("sign of -s/x**2", "derivative of 1/x", "wrong-derivative"),
            "s / x",
        ),
        Wrong(
            "quotient not squared",
            newton_by(step=lambda s, x: 0.5 * (1 - s / x)),
            "wrong-power",
            "The derivative of 1/x has x instead of x squared.",
            ("derivative of 1/x", "denominator not squared", "wrong-derivative"),
            "s / x",
        ),
        Wrong(
            "no half for s",
            newton_by(direct=lambda x: 1 / x),
            "factor",
            "The 1/2 is missing from the derivative in s.",
            ("factor 2", "ds doubled", "missing 1/2"),
            "x = 0.5 * (x + s / x)",
        ),
        Wrong(
            "next iterate",
            newton_by(index=1),
            "wrong-index",
            "The derivatives are taken at the iterate after the step instead of before.",
            ("wrong-point", "x[t+1] instead of x[t]", "shift", "off by one"),
            "x = 0.5 * (x + s / x)",
        ),
    ),
)

# --- gated linear recurrence


def gated(a, b):
    h = np.zeros_like(b[0])
    out = []
    for t in range(len(a)):
        h = a[t] * h + b[t]
        out.append(h)
    return np.stack(out)


def gated_by(coefficient=1, state=-1, carry=True, own=True):
    def vjp(g, a, b):
        h = gated(a, b)
        da, db = np.zeros_like(a), np.zeros_like(b)
        n = len(a)
        for t in reversed(range(n)):
            back = g[t]
            if carry and t + 1 < n:
                back = back + a[t + coefficient] * db[t + 1]
            db[t] = back
            if t + state >= 0:
                da[t] = (back if own else g[t]) * h[t + state]
        return da, db

    return vjp


def gated_vjp_matrix(g, a, b):
    n = len(a)
    h = gated(a, b)
    db = np.stack([sum(np.prod(a[s + 1 : t + 1], axis=0) * g[t] for t in range(s, n)) for s in range(n)])
    return db * np.concatenate([np.zeros_like(b[:1]), h[:-1]]), db


GATED = Function(
    "gated_recurrence",
    gated,
    (draw(8, (4, 2), scale=0.3, shift=0.7)[0], draw(9, (4, 2))[0]),
    (gated_by(), gated_vjp_matrix),
    (
        Wrong(
            "gate of the same step",
            gated_by(coefficient=0),
            "wrong-index",
            "On the way back the gate of the same step is used instead of the next step's.",
            ("a[t] instead of a[t+1]", "shift", "off by one"),
            "h = a[t] * h + b[t]",
        ),
        Wrong(
            "state of the same step",
            gated_by(state=0),
            "wrong-index",
            "The gate's gradient uses the new state instead of the one before.",
            ("h[t] instead of h[t-1]", "shift", "off by one", "da wrong"),
            "a[t] * h",
        ),
        Wrong(
            "no memory",
            gated_by(carry=False),
            "only-part",
            "The recurrence is not followed back: every step only gets its own gradient.",
            ("missing-term", "detached", "not accumulated", "later steps missing"),
            "a[t] * h",
        ),
        Wrong(
            "gates by their own step",
            gated_by(own=False),
            "only-part",
            "The gates' gradient uses the incoming gradient of the step, not what is carried back from later ones.",
            ("missing-term", "detached", "da wrong", "g instead of the accumulated gradient", "wrong-variable"),
            "a[t] * h",
        ),
        Wrong(
            "exchanged",
            lambda g, a, b: gated_by()(g, a, b)[::-1],
            "swapped",
            "The gradients of a and b are exchanged.",
            ("da and db in the wrong order", "wrong-order"),
        ),
    ),
)

FUNCTIONS = (RNN, GRU, LSTM, SMOOTH, LEAKY, RETURNS, MOMENTUM, NEWTON, GATED)
