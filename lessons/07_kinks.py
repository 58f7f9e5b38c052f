# %% [markdown]
# # 7 Kinks, ties and the norm at zero
#
# **After this lesson you can**
#
# * say what a library gives where there is no derivative, and why two libraries may differ and both be right;
# * write the rules of $|x|$, of a maximum, of clipping and of a norm, with a decision at each kink;
# * differentiate a norm twice, and keep it harmless at 0;
# * find the places where a `where` does not protect from nan, and repair them.
#
# You need: the chain rule, a little NumPy, and the word *cotangent*: how fast the final number changes when this variable
# changes. The lesson takes about 40 minutes. Where you see **Predict**, write your number down before you run the next
# cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("07_kinks")

# %% [markdown]
# ## A number to start with
#
# ReLU is $x$ for positive $x$, and 0 for negative $x$. Here are four ways to write it. All four give the same value for
# every $x$. **Predict:** what does each give as the slope at $x = 0$?

# %%
spellings = {
    "relu(x)": lambda x: tg.relu(x),
    "maximum(x, 0)": lambda x: tg.maximum(x, 0.0),
    "(x + |x|) / 2": lambda x: (x + tg.abs(x)) / 2,
    "clip(x, 0, None)": lambda x: tg.clip(x, 0.0, None),
}
for name, f in spellings.items():
    print(f"{name:17} value at 0: {f(tg.Tensor(0.0)).item()}   slope at 0: {tg.grad(f)(0.0).item()}")

# %% [markdown]
# 0, ½, ½ and 1. Four programs for one function, three slopes. Which one is right? At 0 the curve has a **kink**: from the
# left it is flat, from the right it rises with slope 1. There *is* no slope at 0. So a library has to decide, and each of
# these four operations has decided for itself.
#
# ## Every slope between the two sides
#
# Look at $|x|$. From the left its slope is $-1$, from the right $1$. Draw a straight line through the kink that stays
# below the curve everywhere. There are many such lines: every slope $s$ from $-1$ to $1$ works. Such an $s$ is called a
# **subgradient**:
#
# $$f(y) \;\ge\; f(x) + s \, (y - x) \quad \text{for all } y \tag{1}$$
#
# In words: *the line with slope $s$ through the point of the curve is nowhere above the curve.* For ReLU at 0 these are all
# $s$ from 0 to 1. So 0, ½ and 1 are all subgradients, and none is wrong. For $|x|$ at 0, this library takes the middle, 0.

# %% tags=["picture"]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
across = np.linspace(-1, 1, 201)
for s in (-1, -0.5, 0, 0.5, 1):
    left.plot(across, s * across, color="tab:red" if s == 0 else "0.75", linewidth=1.5)
left.plot(across, np.abs(across), color="tab:blue", linewidth=2.5)
left.set(title="|x|, and lines through its kink", xlabel="x", ylim=(-1, 1.1))
walked = [0.3]
for _ in range(7):
    walked.append(walked[-1] - 0.2 * np.sign(walked[-1]))
right.plot(across, np.abs(across), color="tab:blue", linewidth=2.5)
right.plot(walked, np.abs(walked), "o-", color="tab:orange")
right.set(title="seven steps of 0.2 down |x| from 0.3", xlabel="x", xlim=(-0.5, 0.5), ylim=(-0.05, 0.5))
picture(
    figure,
    "Left: the curve of the absolute value, and a fan of five lines through its kink with the slopes -1, -0.5, 0, 0.5 and "
    "1. All stay below the curve; the one with slope 0 is marked. Right: descent from 0.3 with steps of 0.2 goes to 0.1, "
    "then jumps between -0.1 and 0.1 for ever.",
)

# %% [markdown]
# ### Exercise 1: the absolute value
#
# Write the backward rule of $y = |x|$. At 0, let the slope be 0.


# %% tags=["exercise"]
@tg.derivation(of=lambda x: np.abs(x), axes="n d")
def absolute(g, x):
    """g and x: (n, d). Return the cotangent of x."""
    raise NotImplementedError


lesson.check(absolute)

# %% [markdown] tags=["hint"]
# The slope is 1 where $x$ is positive, and $-1$ where it is negative. NumPy has a function for that.

# %% [markdown] tags=["hint"]
# `np.sign(x)` gives $-1$, 0 or 1.


# %% tags=["solution"]
@tg.derivation(of=lambda x: np.abs(x), axes="n d")
def absolute(g, x):
    """g and x: (n, d). Return the cotangent of x."""
    return g * np.sign(x)


lesson.check(absolute)

# %% [markdown]
# Try your rule with another decision at 0: the checker accepts it, too. It compares with measured slopes, and *at* a kink
# there is nothing to measure. So it moves to points beside it. **What a rule does at a kink, no measurement can judge.** It
# is a convention, and it has to be written down.
#
# ## Subgradients do not add up
#
# Away from kinks, derivatives add: the slope of a sum is the sum of the slopes. **Predict** the slope of
# $\mathrm{relu}(x) - \mathrm{relu}(-x)$ at 0. First simplify the function: for $x = 3$ it is 3, for $x = -3$ it is $-3$.

# %%
identity = lambda x: tg.relu(x) - tg.relu(-x)
print("values:", identity(tg.Tensor([3.0, -3.0, 0.25])).numpy())
print("slopes:", [tg.grad(identity)(x).item() for x in (3.0, -3.0, 0.0)])

# %% [markdown]
# The function *is* $x$. Its slope is 1 everywhere. But at 0 the tape gives 0, and 0 is not even a subgradient of $x$. Each
# ReLU has made a decision, both are fine alone, and their sum is wrong.
#
# > Where all operations are smooth, the tape gives *the* derivative. At a kink it gives what the operations have agreed
# > on, and that may be no derivative at all.
#
# How bad is that? A number that is drawn at random is almost never exactly 0. But some zeros are made on purpose: the
# background of an image, a bias that begins with 0, a unit that is off. These are the places to look at.
#
# **Predict** the same for `maximum(x, 0) - maximum(-x, 0)`.

# %%
print(tg.grad(lambda x: tg.maximum(x, 0.0) - tg.maximum(-x, 0.0))(0.0).item())

# %% [markdown]
# ½ + ½ = 1: right, by luck.
#
# ## Ties
#
# $\max(a, b)$ has a kink where $a = b$. Say both are 6, and the cotangent is $g = 5$. If $a$ alone grows, so does the
# maximum; if $a$ alone falls, it stays. **Predict:** what would be wrong with giving 5 to both?

# %% [markdown] tags=["answer"]
# If $a$ and $b$ both grow by 0.001, the maximum grows by 0.001, and the loss by 0.005. Giving 5 to both says 0.010.

# %% [markdown]
# So what is given must add up to $g$. Everything to the first is fine, and so is half each. In tinygrad2 `maximum` gives half
# each, `max` over an axis shares equally among the largest, and a max *pool* gives everything to the first (lesson 5):

# %%
tie = np.array([3.0, 3.0, 1.0])
print("max:    ", tg.grad(tg.max)(tie).numpy())
print("pool:   ", tg.grad(lambda x: tg.max_pool2d(x.reshape(1, 1, 3), (1, 3)).sum())(tie).numpy())
print("maximum:", [d.item() for d in tg.grad(tg.maximum, (0, 1))(6.0, 6.0)])

# %% [markdown]
# ### Exercise 2: the maximum of two
#
# Write the backward rule of $y = \max(a, b)$, entry by entry, with half each at a tie. This time the tests do look at
# ties.


# %% tags=["setup"]
def larger(a, b):
    return np.array(a, dtype=float) > np.array(b, dtype=float)


def at_ties(found, g, a, b):
    """What the two get at ties, and what there is to give: three arrays."""
    da, db = found
    return np.asarray(da)[a == b], np.asarray(db)[a == b], g[a == b]


TIES = [
    (np.array([5.0, -4.0, 7.0]), np.array([3.0, 2.0, -6.0]), np.array([2.0, 9.0, -8.0])),
    (np.array([5.0, -4.0, 7.0]), np.array([6.0, 2.0, -8.0]), np.array([6.0, 9.0, -8.0])),
]
SHARES = {
    "Return two arrays of the shape of g.": lambda d, g, a, b: (
        len(d) == 2 and all(np.shape(part) == g.shape for part in d)
    ),
    "Where a is larger, all of g goes to a. Where it is smaller, a gets nothing.": lambda d, g, a, b: np.array_equal(
        np.asarray(d[0])[a != b], (g * larger(a, b))[a != b]
    ),
    "Where b is larger, all of g goes to b. Where it is smaller, b gets nothing.": lambda d, g, a, b: np.array_equal(
        np.asarray(d[1])[a != b], (g * larger(b, a))[a != b]
    ),
    "At a tie both get all of g: together twice of what there is.": lambda d, g, a, b: (
        not (a == b).any() or not np.array_equal(sum(at_ties(d, g, a, b)[:2]), 2 * at_ties(d, g, a, b)[2])
    ),
    "At a tie the cotangent is lost: neither of the two gets any.": lambda d, g, a, b: (
        not (a == b).any() or sum(at_ties(d, g, a, b)[:2]).any()
    ),
    "At a tie one gets everything. That is a subgradient, but the convention here is half each.": lambda d, g, a, b: (
        np.array_equal(*at_ties(d, g, a, b)[:2])
    ),
    "At a tie the two parts must add up to g.": lambda d, g, a, b: np.array_equal(
        sum(at_ties(d, g, a, b)[:2]), at_ties(d, g, a, b)[2]
    ),
}


# %% tags=["exercise"]
@task(cases=TIES, holds=SHARES)
def maximum(g, a, b):
    """g, a, b: (d,). Return the cotangents of a and of b; half each where a = b."""
    raise NotImplementedError


lesson.check(maximum)

# %% [markdown] tags=["hint"]
# `a > b` is a mask for the one, `b > a` for the other. At a tie both masks are 0.

# %% [markdown] tags=["hint"]
# A weight for $a$: `(a > b) + 0.5 * (a == b)`.


# %% tags=["solution"]
@task(cases=TIES, holds=SHARES)
def maximum(g, a, b):
    """g, a, b: (d,). Return the cotangents of a and of b; half each where a = b."""
    weight = (a > b) + 0.5 * (a == b)
    return g * weight, g * (1 - weight)


lesson.check(maximum)

# %% [markdown]
# ### Exercise 3: clipping
#
# `clip(x, low, high)` is $x$ between the two bounds, and a bound outside of them. Pixels are clipped like this after an
# attack (lesson 8). Write its backward rule. Our convention: a bound itself is still inside.


# %% tags=["exercise"]
@tg.derivation(
    of=lambda x, low, high: np.clip(x, low, high), axes="n d", params={"low": [-0.5, -1.25], "high": [0.75, 1.5]}
)
def clip(g, x, low, high):
    """g and x: (n, d); low and high: numbers. Return the cotangent of x."""
    raise NotImplementedError


lesson.check(clip)

# %% [markdown] tags=["hint"]
# The slope is 1 inside and 0 outside. Outside there are two sides.

# %% [markdown] tags=["hint"]
# `(low <= x) & (x <= high)`


# %% tags=["solution"]
@tg.derivation(
    of=lambda x, low, high: np.clip(x, low, high), axes="n d", params={"low": [-0.5, -1.25], "high": [0.75, 1.5]}
)
def clip(g, x, low, high):
    """g and x: (n, d); low and high: numbers. Return the cotangent of x."""
    return g * ((low <= x) & (x <= high))


lesson.check(clip)

# %% [markdown]
# ## The length of a vector
#
# $\lVert x \rVert = \sqrt{\sum x_i^2}$ is the most useful function with a kink. Take $x = (3, 4)$: the length is 5. If
# $x_0$ grows by 0.001, then $\sum x_i^2$ grows by $6 \cdot 0.001$, and its root by $\frac{6}{2 \cdot 5} \cdot 0.001$.
# So the slope is $0.6 = 3/5$. In general
#
# $$\nabla \lVert x \rVert = \frac{x}{\lVert x \rVert}. \tag{2}$$
#
# In words: *the length grows fastest along $x$ itself, and then as fast as $x$ moves.* The gradient always has length 1.
# **Predict** it at $x = (0, 5)$. Then at $x = (0, 0)$: what does (2) say there?

# %%
root = lambda x: tg.sqrt((x * x).sum())
for at in ([3.0, 4.0], [0.0, 5.0], [0.0, 0.0]):
    print(at, "  √Σx²:", tg.grad(root)(np.array(at)).numpy(), "  norm:", tg.grad(tg.norm)(np.array(at)).numpy())

# %% [markdown]
# At 0 the formula is $0/0$, which is nan: "not a number". This is no mistake of anybody. The length is a cone, and its tip
# is a kink. Here *every* vector $s$ of length at most 1 is a subgradient. So `tg.norm` takes $s = 0$, which is one of
# them. The root of a sum does not know that it is a norm. So it gives nan.
#
# Why care about one point? Because nan spreads. Take the mean of many lengths, for instance the gradient norms of 50 images
# in a penalty. If *one* of them is 0, the gradient of the whole penalty is nan, and after the next step all weights are.
#
# ### Exercise 4: the norm of each row


# %% tags=["exercise"]
@tg.derivation(of="l2_norm")
def l2_norm(g, x):
    """g: (n,), x: (n, d); y is the length of each row of x. Return the cotangent of x, of shape (n, d)."""
    raise NotImplementedError


lesson.check(l2_norm)

# %% [markdown] tags=["hint"]
# `length = np.sqrt((x * x).sum(axis=1))` has the shape $(n,)$. Use (2) for each row.

# %% [markdown] tags=["hint"]
# `(g / length)[:, None] * x`. Whoever wants it safe at 0 divides only where `length > 0`.


# %% tags=["solution"]
@tg.derivation(of="l2_norm")
def l2_norm(g, x):
    """g: (n,), x: (n, d); y is the length of each row of x. Return the cotangent of x, of shape (n, d)."""
    length = np.sqrt((x * x).sum(axis=1))
    factor = np.divide(g, length, out=np.zeros_like(g), where=length > 0)
    return factor[:, None] * x


lesson.check(l2_norm)

# %% [markdown]
# ## Twice
#
# Penalties on gradients are differentiated again (lessons 3 and 9). So the slope of (2) is needed, too. Call
# $y = x / \lVert x \rVert$. When $x$ moves by $u$: the numerator moves by $u$, which gives $u / \lVert x \rVert$. The
# denominator grows by $\langle y, u \rangle$, which takes away $y \, \langle y, u \rangle / \lVert x \rVert$. Together
#
# $$H u = \frac{u - y \, \langle y, u \rangle}{\lVert x \rVert}, \qquad
# H = \frac{I - y \, y^\mathsf{T}}{\lVert x \rVert}. \tag{3}$$
#
# In words: *along $x$ the length is a straight line, so there is no curvature; across $x$ it is curved, and the more
# curved the shorter $x$ is.* **Predict** the Hessian at $(0, 5)$. And what happens near 0?

# %%
print("at (0, 5):\n", tg.hessian(tg.norm)(np.array([0.0, 5.0])).numpy())
for size in (1e-2, 1e-4, 1e-6):
    print(f"at (0, {size:g}): the largest entry is", round(tg.hessian(tg.norm)(np.array([0.0, size])).numpy().max(), 3))

# %% [markdown]
# $\mathrm{diag}(0.2, 0)$ at $(0, 5)$. Near 0 the curvature is $1/\lVert x \rVert$, without bound: that is a kink. At 0
# itself `tg.norm` gives 0 in second order, too.
#
# ### Exercise 5: the norm, twice
#
# First order gives $\mathrm dx = g \, x / \lVert x \rVert$ for each row. It is a function of $x$ and of $g$. Its result has
# the cotangent $u$, of the shape of $x$. Return the cotangents of $x$ and of $g$.


# %% tags=["exercise"]
@tg.derivation(of="l2_norm.double")
def l2_norm_double(g, u, x):
    """g: (n,), u and x: (n, d). First order: dx = g x/‖x‖. Return the cotangents of x (n, d) and of g (n,)."""
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))  # (n, 1)
    y = x / length
    raise NotImplementedError


lesson.check(l2_norm_double)

# %% [markdown] tags=["hint"]
# $\langle u, \mathrm dx \rangle = g \, \langle u, y \rangle$ for each row. What stands beside $g$?

# %% [markdown] tags=["hint"]
# $g$ gets `(u * y).sum(axis=1)`. $x$ gets $g \, H u$, since $H$ is symmetric: use (3).

# %% [markdown] tags=["hint"]
# `along = (u * y).sum(axis=1, keepdims=True)`; `return g[:, None] * (u - y * along) / length, along[:, 0]`


# %% tags=["solution"]
@tg.derivation(of="l2_norm.double")
def l2_norm_double(g, u, x):
    """g: (n,), u and x: (n, d). First order: dx = g x/‖x‖. Return the cotangents of x (n, d) and of g (n,)."""
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))  # (n, 1)
    y = x / length
    along = (u * y).sum(axis=1, keepdims=True)
    return g[:, None] * (u - y * along) / length, along[:, 0]


lesson.check(l2_norm_double)

# %% [markdown]
# ## Does `where` protect?
#
# $\sqrt{x}$ is not defined for negative $x$, and its slope at 0 is infinite. A frequent idea: compute the root only where
# $x > 0$, and take 0 elsewhere. `where(x > 0, sqrt(x), 0)`. **Predict** the value and the slope at $x = 0$.

# %%
careful = lambda x: tg.where(x > 0, tg.sqrt(x), 0.0)
print("value:", careful(tg.Tensor(0.0)).item(), "   slope:", tg.grad(careful)(0.0).item())

# %% [markdown]
# The value is 0, the slope is nan. `where` chooses the right *value*. But both branches are computed, and on the way back
# both get a cotangent. The branch that was not chosen gets the cotangent 0. Then the rule of the root multiplies this 0 by
# its slope, which is infinite. And $0 \cdot \infty$ is nan.
#
# > `where` hides a value. It does not hide a slope. What can break must not be computed.
#
# The cure is a second `where`, *inside*: give the root a harmless number where it is not needed.
#
# ### Exercise 6: a safe gradient
#
# $f(x) = \sqrt{x}$ for positive entries, and 0 for the others. Return the gradient of the sum of $f$. Use `tg.grad`,
# `tg.where` and `tg.sqrt`, or write the gradient in NumPy. It must be finite for every $x$.


# %% tags=["setup"]
ROOTS = [
    (np.array([4.0, 0.25, 9.0]),),
    (np.array([4.0, 0.0, 0.25]),),
    (np.array([0.0, -3.0, 16.0]),),
]
SAFE = {
    "The gradient has the shape of x.": lambda d, x: np.shape(d) == x.shape,
    "There is a nan. Where x is not positive, the root must not even see it.": lambda d, x: (
        not np.isnan(np.asarray(d, dtype=float)).any()
    ),
    "An entry is infinite. Where x is not positive, f is 0 and its slope is taken as 0.": lambda d, x: np.isfinite(
        np.asarray(d, dtype=float)
    ).all(),
    "Where x is not positive, the slope is taken as 0.": lambda d, x: not np.asarray(d, dtype=float)[x <= 0].any(),
    "Where x is positive, the slope is that of the root of x.": lambda d, x: np.allclose(
        np.asarray(d, dtype=float)[x > 0] * 2 * np.sqrt(x[x > 0]), 1, rtol=1e-9
    ),
}


# %% tags=["exercise"]
@task(cases=ROOTS, holds=SAFE)
def safe(x):
    """x: (d,), a NumPy array. Return the gradient of Σ f(x), of shape (d,), as a NumPy array."""
    raise NotImplementedError


lesson.check(safe)

# %% [markdown] tags=["hint"]
# `inside = tg.where(x > 0, x, 1.0)` is never 0 and never negative. Its root is safe.

# %% [markdown] tags=["hint"]
# `f = lambda x: tg.where(x > 0, tg.sqrt(tg.where(x > 0, x, 1.0)), 0.0).sum()`

# %% [markdown] tags=["hint"]
# `return tg.grad(f)(x).numpy()`


# %% tags=["solution"]
@task(cases=ROOTS, holds=SAFE)
def safe(x):
    """x: (d,), a NumPy array. Return the gradient of Σ f(x), of shape (d,), as a NumPy array."""

    def f(x):
        inside = tg.where(x > 0, x, 1.0)
        return tg.where(x > 0, tg.sqrt(inside), 0.0).sum()

    return tg.grad(f)(x).numpy()


lesson.check(safe)

# %% [markdown]
# ## Going down to a kink
#
# A minimum is often *at* a kink: $|x|$ is smallest at 0. **Predict:** gradient descent on $|x|$ begins at 0.3 with steps of
# 0.2. Where does it end?

# %%
point = 0.3
places = [point]
for _ in range(7):
    point = point - 0.2 * np.sign(point)
    places.append(round(float(point), 6))
print(places)

# %% [markdown]
# It never ends: 0.1, $-0.1$, 0.1, ... The slope does not become small near the minimum, so the steps do not either. (The
# picture above shows it on the right.) With a norm as a penalty, this is what you see when a penalty is almost 0 and
# begins to tremble. Steps that become smaller help; so does the square of the norm, whose slope does go to 0. And write the
# square as $\sum x^2$, not as `norm(x)**2`: **predict** the Hessian of both at 0.

# %%
print("Σx²:    ", tg.hessian(lambda x: (x * x).sum())(np.zeros(2)).numpy().tolist())
print("norm²:  ", tg.hessian(lambda x: tg.norm(x) ** 2)(np.zeros(2)).numpy().tolist())

# %% [markdown]
# The true Hessian is $2I$. Through the norm, the conventions at 0 are multiplied with each other, and 0 comes out. As with
# the two ReLUs: conventions are not derivatives.
#
# ## Break it on purpose: a small number in the root
#
# The usual advice against nan is $\sqrt{\sum x^2 + 10^{-12}}$. A millionth of a millionth cannot do any harm, can it?
# **Predict** the gradient and the Hessian at 0.

# %%
for epsilon in (1e-12, 1e-6, 1e-2):
    smooth = lambda x, epsilon=epsilon: tg.sqrt((x * x).sum() + epsilon)
    gradient = tg.grad(smooth)(np.zeros(2)).numpy()
    print(f"ε = {epsilon:g}: gradient {gradient}, Hessian", tg.hessian(smooth)(np.zeros(2)).numpy().round(6).tolist())

# %% [markdown]
# The gradient is 0, as it should be. The Hessian is a *million*, $1/\sqrt{\varepsilon}$. In first order the small number is
# harmless. In a penalty that is differentiated twice, a sample near 0 gets a million times the usual weight, once in a
# while, and a training explodes without a visible reason. With $\varepsilon = 0.01$ there is no explosion, but then it is
# another function: at 0 its value is 0.1.
#
# ## The conventions on one card
#
# | where | what tinygrad2 does |
# |---|---|
# | `relu` at 0 | slope 0 |
# | `abs` and `sign` at 0 | 0 |
# | `maximum(a, b)` at a tie | half each |
# | `max` over an axis | equal parts for all the largest |
# | max pool at a tie | all to the first |
# | `clip` at a bound | 1: the bound is inside |
# | `norm` at 0 | value, gradient and second derivative 0 |
#
# ## Summary
#
# * At a kink there is no derivative. A library takes one of the subgradients, and says which.
# * Subgradients do not add up. At kinks the tape may give what is no derivative at all.
# * A measurement cannot judge a rule at a kink.
# * At a tie the parts must add up to $g$.
# * $\nabla \lVert x \rVert = x / \lVert x \rVert$, and the curvature is $1/\lVert x \rVert$ across $x$. Use `norm`, which
#   knows its convention at 0, and not a root with a small number in it.
# * `where` hides values, not slopes.
#
# ## Quiz
#
# **1.** What does the tape give for $\mathrm{relu}(x) - \mathrm{relu}(-x)$ at 0, and what is right?

# %% [markdown] tags=["answer"]
# 0. Right is 1.

# %% [markdown]
# **2.** What is the gradient of `max` at $(3, 3, 1)$?

# %% [markdown] tags=["answer"]
# $(\frac12, \frac12, 0)$.

# %% [markdown]
# **3.** What are the gradient and the Hessian of $\lVert x \rVert$ at $(0, 5)$?

# %% [markdown] tags=["answer"]
# $(0, 1)$, and $\mathrm{diag}(0.2, 0)$.

# %% [markdown]
# **4.** `minimum(x, 1)` and `clip(x, -1, 1)` have the same values near $x = 1$. Which slopes do they give at 1?

# %% [markdown] tags=["answer"]
# $\frac12$ and 1. Both lie between 0 and 1.

# %% [markdown]
# **5.** You need $\lVert x \rVert^2$ in a loss that is differentiated twice. Do you write `norm(x)**2` or `(x * x).sum()`,
# and what are the Hessians at 0?

# %% [markdown] tags=["answer"]
# `(x * x).sum()`. Its Hessian is $2I$; that of `norm(x)**2` comes out as 0 at 0.

# %% [markdown]
# Run the next cell to compare question 4.

# %%
print(tg.grad(lambda x: tg.minimum(x, 1.0))(1.0).item(), tg.grad(lambda x: tg.clip(x, -1.0, 1.0))(1.0).item())

# %% [markdown]
# ## Further reading
#
# * S. M. Kakade and J. D. Lee, [Provably Correct Automatic Subdifferentiation for Qualified
#   Programs](https://arxiv.org/abs/1809.08530), NeurIPS 2018: the example relu(x) − relu(−x), and what can be done.
# * D. Bertoin and others, [Numerical influence of ReLU'(0) on backpropagation](https://arxiv.org/abs/2106.12915), NeurIPS
#   2021: when the convention matters in training.
# * S. Boyd and L. Vandenberghe, *Subgradients*, lecture notes, Stanford 2008.
#
# Next: lesson 8 uses the input gradient to attack a network. Each lesson stands alone.
