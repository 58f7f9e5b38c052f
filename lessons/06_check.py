# %% [markdown]
# # 6 Check your Jacobian
#
# **After this lesson you can**
#
# * derive the Jacobians of softmax, of a vector of length one, and of a small network;
# * say what a test of a derivative can see and what it cannot, and choose its numbers;
# * measure a slope to ten digits, and say why a smaller step is not always better;
# * read a report of the checker, and repair a derivation with it.
#
# You need: the chain rule, matrix products, a little NumPy. The lesson takes about 45 minutes. Where you see **Predict**,
# write your number down before you run the next cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("06_check")

# %% [markdown]
# ## A number to start with
#
# Somebody has written the backward rule of softmax. It takes the cotangent $g$ of the output, and returns that of the
# input. It is very short:


# %%
def lazy(g, z):
    return 0 * z


# %% [markdown]
# The test goes like this: take some $z$, take $g = (1, 1, 1, 1)$, and compare with the true answer. **Predict:** does the
# lazy rule pass? How large is the true answer?

# %%
z = np.array([0.3, -1.2, 2.0, 0.7])
_, pullback = tg.vjp(tg.softmax, z)
print("true answer for g of ones:", pullback(np.ones(4))[0].numpy(), "   lazy:", lazy(np.ones(4), z))
print("true answer for another g:", pullback(np.array([4.0, -1.0, 2.0, 3.0]))[0].numpy().round(3))

# %% [markdown]
# It passes. The outputs of softmax are probabilities, and their sum is always 1. A $g$ of ones asks: how fast does this
# sum change? It does not. So the true answer is 0, and a rule that returns nothing but zeros looks perfect. The same
# happens with batch normalisation, whose outputs always have the sum 0.
#
# Many published tests use `loss = y.sum()`. That *is* a cotangent of ones. This lesson is about better tests.
#
# ## Rows and columns
#
# Take two functions of two numbers: $y = (x_0 x_1,\; x_0 + 3 x_1)$ at $x = (2, 5)$. There are four slopes: how fast each
# of the two results changes with each of the two inputs. The **Jacobian** is the table of them:
#
# $$J_{ij} = \frac{\partial y_i}{\partial x_j} \tag{1}$$
#
# In words: *one row per output, one column per input.* **Predict** all four numbers.

# %%
print(tg.jacobian(lambda x: tg.stack([x[0] * x[1], x[0] + 3 * x[1]]))(np.array([2.0, 5.0])).numpy())

# %% [markdown]
# The first row is $(x_1, x_0) = (5, 2)$, the second is $(1, 3)$. What if you had written the columns as rows? The table
# would still be of size $2 \times 2$. A test that looks at shapes notices nothing.
#
# ### Exercise 1: your first table
#
# Write the Jacobian of $y = (x_0 x_1,\; x_0 + 3 x_1)$ for any $x$.


# %% tags=["setup"]
def two(x):
    return np.stack([x[0] * x[1], x[0] + 3 * x[1]])


# %% tags=["exercise"]
@tg.derivation(of=two, axes="d", sizes={"d": (2, 2)}, kind="jacobian")
def two_jacobian(x):
    """x: (2,). Return J, of shape (2, 2): a row per output, a column per input."""
    raise NotImplementedError


lesson.check(two_jacobian)

# %% [markdown] tags=["hint"]
# `np.array([[a, b], [c, d]], dtype=x.dtype)`, where `a, b` are the slopes of the first output.

# %% [markdown] tags=["hint"]
# The first row is `[x[1], x[0]]`. The second does not contain $x$.


# %% tags=["solution"]
@tg.derivation(of=two, axes="d", sizes={"d": (2, 2)}, kind="jacobian")
def two_jacobian(x):
    """x: (2,). Return J, of shape (2, 2): a row per output, a column per input."""
    return np.array([[x[1], x[0]], [1, 3]], dtype=x.dtype)


lesson.check(two_jacobian)

# %% [markdown]
# `dtype=x.dtype` is there for a reason: a network in float32 must stay in float32. The checker looks at this, too.
#
# ## Softmax
#
# Softmax turns numbers $z$ into probabilities: $y_i = e^{z_i} / S$ with $S = \sum_j e^{z_j}$. Say the result is
# $y = (0.2, 0.3, 0.5)$. Now let $z_0$ grow by 0.001.
#
# * $e^{z_0}$ grows by 0.1 %. That would raise $y_0$ by $0.2 \cdot 0.001$.
# * But $S$ grows, too. $e^{z_0}$ is a fifth of $S$, so $S$ grows by $0.2 \cdot 0.1\,\%$. That lowers *every* $y_i$ by
#   $y_i \cdot 0.2 \cdot 0.001$.
#
# Together $y_0$ grows by $0.2 \cdot (1 - 0.2) \cdot 0.001$, and $y_1$ falls by $0.3 \cdot 0.2 \cdot 0.001$. In symbols,
# with $\delta_{ij} = 1$ for $i = j$ and 0 otherwise:
#
# $$J_{ij} = y_i \, (\delta_{ij} - y_j) \tag{2}$$
#
# In words: *a logit pulls its own probability up, and pushes all the others down, each in proportion to its size.*
#
# Many people remember "the derivative of softmax is $y(1 - y)$". **Predict:** what is left out? Take
# $y = (0.2, 0.3, 0.5)$ and $g = (4, -1, 2)$. Compute $y(1-y)\,g$. Then add up the three entries of the right answer, and
# of this one.

# %%
y = np.array([0.2, 0.3, 0.5])
g = np.array([4.0, -1.0, 2.0])
right = tg.vjp(tg.softmax, np.log(y))[1](g)[0].numpy()
diagonal = y * (1 - y) * g
print("right:", right.round(4), "  sum:", right.sum().round(4))
print("y(1-y)g:", diagonal.round(4), "  sum:", diagonal.sum().round(4))

# %% [markdown]
# $(0.5, -0.75, 0.25)$ with the sum 0, against $(0.64, -0.21, 0.5)$ with the sum 0.93. The formula $y(1-y)$ is the diagonal
# of (2) alone. It belongs to the sigmoid, where every output has its own input. And the sum must be 0: if all logits grow
# by the same amount, softmax does not change.
#
# ### Exercise 2: the Jacobian of softmax


# %% tags=["exercise"]
@tg.derivation(of="softmax.jacobian")
def softmax_jacobian(z):
    """z: (k,). Return J, of shape (k, k)."""
    y = np.exp(z - z.max())
    y /= y.sum()
    raise NotImplementedError


lesson.check(softmax_jacobian)

# %% [markdown] tags=["hint"]
# (2) is a difference of two matrices. One has the entries $y_i$ on its diagonal, and zeros elsewhere.

# %% [markdown] tags=["hint"]
# `np.diag(y)` is the first. The second has the entries $y_i y_j$: `np.outer(y, y)`.


# %% tags=["solution"]
@tg.derivation(of="softmax.jacobian")
def softmax_jacobian(z):
    """z: (k,). Return J, of shape (k, k)."""
    y = np.exp(z - z.max())
    y /= y.sum()
    return np.diag(y) - np.outer(y, y)


lesson.check(softmax_jacobian)

# %% [markdown]
# ### Exercise 3: the same without a matrix
#
# For 1,000 classes the matrix has a million entries. A backward rule needs only the product $J^\mathsf{T} g$. Write it for
# a batch, without ever building $J$. From (2):
#
# $$\bar z_j = \sum_i g_i \, y_i (\delta_{ij} - y_j) = y_j \, \bigl( g_j - \textstyle\sum_i y_i g_i \bigr) \tag{3}$$
#
# In words: *subtract from each cotangent their mean, weighted with the probabilities; then multiply by the
# probability.* The bar means "the cotangent of".


# %% tags=["exercise"]
@tg.derivation(of="softmax")
def softmax(g, z):
    """g and z: (n, k); softmax acts along each row. Return the cotangent of z, of shape (n, k)."""
    y = np.exp(z - z.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    raise NotImplementedError


lesson.check(softmax)

# %% [markdown] tags=["hint"]
# The weighted mean is one number for each row: `(y * g).sum(axis=1, keepdims=True)`.

# %% [markdown] tags=["hint"]
# `return y * (g - ...)` with the weighted mean.


# %% tags=["solution"]
@tg.derivation(of="softmax")
def softmax(g, z):
    """g and z: (n, k); softmax acts along each row. Return the cotangent of z, of shape (n, k)."""
    y = np.exp(z - z.max(axis=1, keepdims=True))
    y /= y.sum(axis=1, keepdims=True)
    return y * (g - (y * g).sum(axis=1, keepdims=True))


lesson.check(softmax)

# %% [markdown]
# ## How to read a report
#
# Let us give the lazy rule to the checker. **Predict:** which line of the report says that the test from the beginning was
# useless?

# %%
tg.check_vjp(tg.softmax, lazy, z)

# %% [markdown]
# From top to bottom: at which step it failed; two numbers that should be equal, ⟨dx, v⟩ and ⟨g, J v⟩; the smallest case
# that fails, with the right entry and its reason; what kind of mistake explains *all* cases; and whether a cotangent of
# ones would have caught it. Here it says no.
#
# The two numbers are the test that all else is built on. For any direction $v$,
#
# $$\langle J^\mathsf{T} g,\; v \rangle = \langle g,\; J v \rangle, \tag{4}$$
#
# In words: *your cotangents, applied to a small move $v$, must say how much the loss really changes.* And the right side
# can be **measured**: $J v$ is how fast $f$ changes when $x$ moves in the direction $v$. No formula is needed, only $f$.
#
# ## How to measure a slope
#
# $f'(x)$ is about $\dfrac{f(x + h) - f(x)}{h}$ for a small $h$. Let us measure the slope of the sine at 1. **Predict:**
# which $h$ is best: $10^{-5}$, $10^{-10}$ or $10^{-14}$? And is it better to look at both sides,
#
# $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h}\;? \tag{5}$$

# %%
for h in (1e-1, 1e-5, 1e-10, 1e-14):
    one = (np.sin(1 + h) - np.sin(1)) / h
    both = (np.sin(1 + h) - np.sin(1 - h)) / (2 * h)
    print(f"h = {h:.0e}   error, one side: {abs(one - np.cos(1)):.0e}   both sides: {abs(both - np.cos(1)):.0e}")

# %% [markdown]
# $10^{-5}$ with both sides has eleven right digits. $10^{-14}$ has two. Two errors work against each other:
#
# * **The curve is not straight.** On one side the error is about $h$ times a constant. With both sides the largest part
#   cancels, and about $h^2$ is left. A smaller $h$ helps.
# * **Numbers have 16 digits.** $\sin(1 + h)$ and $\sin(1 - h)$ agree in almost all of them. The difference has only the few
#   that are left, and dividing by $h$ makes the error large: about $10^{-16} / h$. A smaller $h$ hurts.
#
# **Predict:** with float32, numbers have 7 digits. Where is the best $h$ then: further left or further right? How many
# digits does it give?

# %% tags=["picture"]
steps = 10.0 ** np.arange(-15, -0.4, 0.5)
single = np.float32


def error(slopes):
    return np.maximum(np.abs(np.asarray(slopes, dtype=np.float64) - np.cos(1)), 1e-17)


curves = {
    "one side, float64": [(np.sin(1 + h) - np.sin(1)) / h for h in steps],
    "both sides, float64": [(np.sin(1 + h) - np.sin(1 - h)) / (2 * h) for h in steps],
    "both sides, float32": [(np.sin(single(1 + h)) - np.sin(single(1 - h))) / single(2 * h) for h in steps],
    "complex step, float64": [np.sin(1 + 1j * h).imag / h for h in steps],
}
figure, axes = plt.subplots(figsize=(8, 4))
for (name, slopes), style in zip(curves.items(), ["--", "-", "-", ":"], strict=True):
    axes.loglog(steps, error(slopes), style, marker=".", label=name)
axes.set(xlabel="step h", ylabel="error of the slope", title="the slope of the sine at 1")
axes.legend(fontsize=8)
axes.grid(alpha=0.3)
picture(
    figure,
    "Error against step, both axes logarithmic. One side: a valley with its lowest point of 1e-8 near h = 1e-8. Both sides: "
    "a valley of about 1e-11 near 1e-5. Both sides in float32: a flat valley of about 1e-5 between 1e-4 and 1e-2. The complex step falls with "
    "the square of h to 1e-16 and stays there.",
)

# %% [markdown]
# With float32 the valley lies further right, between $10^{-4}$ and $10^{-2}$, and it is shallow: five digits. **So check in
# float64, also a network that runs in float32.** The dotted line is a trick: put $x + \mathrm{i}h$ into the function and take the imaginary part. No
# difference is taken, so nothing cancels, and $h$ can be as small as you like. It works where the function can take
# complex numbers.
#
# ### Exercise 4: measure
#
# Write a function that measures the slope of $f$ at $x$ with a relative error below $10^{-9}$. You may call $f$ as often as
# you like. In the tests $f$ is sine, exponential or tanh.


# %% tags=["setup"]
SLOPES = {np.sin: np.cos, np.exp: np.exp, np.tanh: lambda x: 1 - np.tanh(x) ** 2}


def off(found, f, x):
    """The relative error of a slope."""
    return abs(float(found) / SLOPES[f](x) - 1)


POINTS = [(np.sin, 1.0), (np.exp, 2.5), (np.tanh, -0.4), (np.sin, 2.3)]
MEASURED = {
    "That is not near the slope. Divide by the distance between the two points.": lambda s, f, x: off(s, f, x) < 0.2,
    "The error is above a millionth: the step is much too large, or so small that the digits cancel.": lambda s, f, x: (
        off(s, f, x) < 1e-6
    ),
    "The error is above 1e-9. Look at the picture: which curve goes below that, and where?": lambda s, f, x: (
        off(s, f, x) < 1e-9
    ),
}


# %% tags=["exercise"]
@task(cases=POINTS, holds=MEASURED)
def slope(f, x):
    """f: a function of a number, x: a number. Return f'(x) with a relative error below 1e-9."""
    raise NotImplementedError


lesson.check(slope)

# %% [markdown] tags=["hint"]
# One side is never better than about $10^{-8}$. Use (5).

# %% [markdown] tags=["hint"]
# Where is the valley of "both sides, float64"?


# %% tags=["solution"]
@task(cases=POINTS, holds=MEASURED)
def slope(f, x):
    """f: a function of a number, x: a number. Return f'(x) with a relative error below 1e-9."""
    h = 1e-5
    return (f(x + h) - f(x - h)) / (2 * h)


lesson.check(slope)

# %% [markdown]
# ### Differences are not the truth
#
# A measurement is as good as the function is smooth. ReLU is $\max(x, 0)$. At $x = 0.0001$ its slope is 1. **Predict:**
# what does (5) give with $h = 0.001$?

# %%
relu = lambda x: max(x, 0.0)
print((relu(1e-4 + 1e-3) - relu(1e-4 - 1e-3)) / 2e-3)

# %% [markdown]
# 0.55. The two points lie on different sides of the kink. A checker has to notice that, and to take another point. Ours
# does. Lesson 7 is about kinks.
#
# ## A vector of length one
#
# $y = x / \lVert x \rVert$ has the length 1 and the direction of $x$. Take $x = (3, 4)$, so $\lVert x \rVert = 5$ and
# $y = (0.6, 0.8)$. If the length were a constant, $J$ would be $I / 5$. But it is not: when $x_0$ grows by 0.001, the length
# grows by $y_0 \cdot 0.001$. (The gradient of $\lVert x \rVert$ is $x / \lVert x \rVert$.) Dividing by a larger number makes
# each $y_i$ smaller by $y_i \, y_0 \cdot 0.001 / 5$. So
#
# $$J = \frac{1}{\lVert x \rVert} \left( I - y \, y^\mathsf{T} \right). \tag{6}$$
#
# In words: *a move along $x$ changes nothing; a move across $x$ changes $y$ by the move divided by the length.*
# **Predict:** what is $J x$?

# %%
unit = lambda x: x / np.sqrt((x * x).sum())
J = tg.jacobian(unit)(np.array([3.0, 4.0])).numpy()
print(J.round(6), "   J x:", (J @ np.array([3.0, 4.0])).round(12))

# %% [markdown]
# $J x = 0$: a longer $x$ has the same direction.
#
# ### Exercise 5: the Jacobian of $x / \lVert x \rVert$


# %% tags=["exercise"]
@tg.derivation(of="normalize.jacobian")
def normalize_jacobian(x):
    """x: (d,). Return J of x/‖x‖, of shape (d, d)."""
    raise NotImplementedError


lesson.check(normalize_jacobian)

# %% [markdown] tags=["hint"]
# `length = np.sqrt(x @ x)`, `y = x / length`. Then (6).

# %% [markdown] tags=["hint"]
# `np.eye(len(x), dtype=x.dtype)` is $I$, and `np.outer(y, y)` is $y\,y^\mathsf{T}$.


# %% tags=["solution"]
@tg.derivation(of="normalize.jacobian")
def normalize_jacobian(x):
    """x: (d,). Return J of x/‖x‖, of shape (d, d)."""
    length = np.sqrt(x @ x)
    y = x / length
    return (np.eye(len(x), dtype=x.dtype) - np.outer(y, y)) / length


lesson.check(normalize_jacobian)

# %% [markdown]
# ## A network
#
# $y = W_2 \tanh(W_1 x)$. Go through it in steps, and write down the Jacobian of each: $W_1$; then a diagonal matrix, since
# each tanh has its own input and the slope $1 - \tanh^2$; then $W_2$. The chain rule multiplies them, *the last step
# first*:
#
# $$J = W_2 \; \mathrm{diag}\bigl( 1 - \tanh^2(W_1 x) \bigr) \; W_1 \tag{7}$$
#
# ### Exercise 6: the Jacobian of a network


# %% tags=["exercise"]
@tg.derivation(of="mlp.jacobian")
def mlp_jacobian(x, w1, w2):
    """x: (d,), w1: (h, d), w2: (k, h). Return J of w2 tanh(w1 x), of shape (k, d)."""
    raise NotImplementedError


lesson.check(mlp_jacobian)

# %% [markdown] tags=["hint"]
# `h = np.tanh(w1 @ x)` are the hidden values. Their slopes are `1 - h**2`.

# %% [markdown] tags=["hint"]
# `np.diag(1 - h**2)` is the matrix in the middle. Three matrices, multiplied with `@`.


# %% tags=["solution"]
@tg.derivation(of="mlp.jacobian")
def mlp_jacobian(x, w1, w2):
    """x: (d,), w1: (h, d), w2: (k, h). Return J of w2 tanh(w1 x), of shape (k, d)."""
    h = np.tanh(w1 @ x)
    return w2 @ np.diag(1 - h**2) @ w1


lesson.check(mlp_jacobian)

# %% [markdown]
# For a whole network, every layer can be checked in one call: its reverse layer against the tape, and the tape against
# measurements, in first and second order.

# %%
net = nn.Sequential(nn.Linear(4, 3, rng=0), nn.Tanh(), nn.Linear(3, 2, rng=1))
tg.verify.verify_network(net, np.random.default_rng(0).standard_normal((5, 4)))

# %% [markdown]
# ## Batch normalisation: samples that know of each other
#
# Batch normalisation subtracts the mean of the batch and divides by its spread:
# $\hat x_n = s\,(x_n - \mu)$ with $s = 1/\sqrt{\mathrm{var} + \varepsilon}$. Take one feature and three samples,
# $x = (1, 3, 8)$, and $g = (5, 7, -2)$. A frequent rule says: $\mu$ and $s$ are numbers, so $\bar x = s \, g$.
# **Predict:** $\mu$ and $s$ change when $x$ changes. What must the three entries of the right answer add up to?


# %%
def batch_norm(x, eps=1e-5):
    mean = x.mean(0)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(0) + eps)


samples = np.array([[1.0], [3.0], [8.0]])
g3 = np.array([[5.0], [7.0], [-2.0]])
right = tg.vjp(batch_norm, samples)[1](g3)[0].numpy().ravel()
constant = (g3 / np.sqrt(samples.var(0) + 1e-5)).ravel()
print("right:", right.round(3), "  sum:", abs(right.sum()).round(9))
print("statistics as constants:", constant.round(3), "  sum:", constant.sum().round(3))

# %% [markdown]
# If all samples grow by the same amount, the mean takes it away. So the entries must add up to 0:
# $(-0.610, 0.854, -0.244)$. With constant statistics the result is $(1.698, 2.378, -0.679)$: even the sign of the first
# entry is wrong. $x$ acts on three ways: directly, through the mean, and through the spread. Each way brings a term:
#
# $$\bar x_n = s \, \Bigl( g_n - \mathrm{mean}(g) - \hat x_n \, \mathrm{mean}(g \odot \hat x) \Bigr) \tag{8}$$
#
# In words: *take from $g$ its mean, and take from it the part that goes along $\hat x$; then scale.* Compare with (6): there
# a move along $y$ was taken away. Here moves along $\hat x$ and along $(1, 1, \dots, 1)$ are.
#
# ### Exercise 7, if you like: batch normalisation
#
# In the library there are a weight $\gamma$ and a bias $\beta$ per feature: $y = \gamma \, \hat x + \beta$. First go back
# through these, then use (8). Means are taken over the batch, axis 0.


# %% tags=["exercise"]
@tg.derivation(of="batch_norm.dx")
def batch_norm_dx(g, x, weight, bias, eps):
    """g and x: (n, d), weight and bias: (d,), eps: a number. Return the cotangent of x, of shape (n, d)."""
    raise NotImplementedError


lesson.check(batch_norm_dx)

# %% [markdown] tags=["hint"]
# Back through $\gamma \, \hat x + \beta$: `g = g * weight`. That is the cotangent of $\hat x$.

# %% [markdown] tags=["hint"]
# `s = 1 / np.sqrt(x.var(0) + eps)` and `hat = s * (x - x.mean(0))`.

# %% [markdown] tags=["hint"]
# `return s * (g - g.mean(0) - hat * (g * hat).mean(0))`


# %% tags=["solution"]
@tg.derivation(of="batch_norm.dx")
def batch_norm_dx(g, x, weight, bias, eps):
    """g and x: (n, d), weight and bias: (d,), eps: a number. Return the cotangent of x, of shape (n, d)."""
    s = 1 / np.sqrt(x.var(0) + eps)
    hat = s * (x - x.mean(0))
    g = g * weight
    return s * (g - g.mean(0) - hat * (g * hat).mean(0))


lesson.check(batch_norm_dx)

# %% [markdown]
# One more trap. Suppose that you test batch normalisation with a batch of *two*, to keep it small. **Predict** the output
# for $x = (1, 3)$, and the size of the Jacobian.

# %%
pair = np.array([[1.0], [3.0]])
print("output:", batch_norm(pair).ravel())
print("Jacobian:", tg.jacobian(batch_norm)(pair).numpy().reshape(2, 2).tolist())

# %% [markdown]
# Of two different numbers, one is above the mean and one below, both by the same amount. So the output is always $-1$ and
# $1$, up to the small $\varepsilon$, and no slope is larger than $5 \cdot 10^{-6}$. The rule "return 0" passes again. Use
# three samples or more.
#
# ## Break it on purpose: one point
#
# Somebody believes that the derivative of $x^3$ is $6x$, and tests it at $x = 2$. **Predict:** does the test notice?

# %%
print("measured at 2:", round(((2 + 1e-5) ** 3 - (2 - 1e-5) ** 3) / 2e-5, 6), "   claimed:", 6 * 2)
tg.check_vjp(lambda x: x**3, lambda g, x: 6 * x * g, np.array([2.0]))

# %% [markdown]
# At 2, $3x^2$ and $6x$ are both 12. One point proves nothing. The checker tries the given point first, then points nearby,
# then others. The line after WRONG says at which step the rule failed: the given point was passed.
#
# ## Summary
#
# * $J$ has a row per output and a column per input. A square table hides an exchange of the two.
# * Outputs that depend on several inputs give Jacobians that are not diagonal: softmax, $x/\lVert x \rVert$, batch
#   normalisation. Whatever the function ignores, $J$ takes away.
# * A cotangent of ones, a batch of two, one point: each can make a wrong rule look right. Take numbers that are all
#   different, and several points.
# * Measure with both sides, in float64, at $h \approx 10^{-5}$. Smaller is not better. At a kink, no $h$ is good.
#
# ## Quiz
#
# **1.** Softmax of three equal logits: what are the entries of $J$ on the diagonal, and off it?

# %% [markdown] tags=["answer"]
# $\frac13 \cdot \frac23 = \frac29$ on it, $-\frac19$ off it.

# %% [markdown]
# **2.** What is $J x$ for $y = x / \lVert x \rVert$ at $x = (3, 4)$? What are the entries of $J$?

# %% [markdown] tags=["answer"]
# 0. The rows of $J$ are $(0.128, -0.096)$ and $(-0.096, 0.072)$.

# %% [markdown]
# **3.** What does (5) give for $x^3$ at 2 with $h = 0.1$? What do you get from four thirds of the value for $h = 0.05$ minus
# one third of the value for $h = 0.1$?

# %% [markdown] tags=["answer"]
# 12.01 and 12.0025, so $\frac{4 \cdot 12.0025 - 12.01}{3} = 12$. This is called Richardson extrapolation: the error of the
# order $h^2$ cancels.

# %% [markdown]
# **4.** The rule says that the slope of ReLU at $10^{-4}$ is 1, the measurement with $h = 10^{-3}$ says 0.55. Which is wrong?

# %% [markdown] tags=["answer"]
# The measurement: its two points lie on both sides of the kink.

# %% [markdown]
# **5.** $A$ has the rows $(2, -1, 0.5)$ and $(3, 4, -2)$, $v = (1, 2, 3)$, $u = (5, -7)$. What are $\langle u, A v \rangle$ and
# $\langle A^\mathsf{T} u, v \rangle$?

# %% [markdown] tags=["answer"]
# $-27.5$ both times: $A v = (1.5, 5)$, and $5 \cdot 1.5 - 7 \cdot 5 = -27.5$.

# %% [markdown]
# Run the next cell to compare.

# %%
print(
    "1:", tg.jacobian(tg.softmax)(np.full(3, 0.7)).numpy()[0].round(4), "   2/9, 1/9:", round(2 / 9, 4), round(1 / 9, 4)
)
measured = lambda h: ((2 + h) ** 3 - (2 - h) ** 3) / (2 * h)
print("3:", round(measured(0.1), 6), round(measured(0.05), 6), round((4 * measured(0.05) - measured(0.1)) / 3, 6))
A = np.array([[2.0, -1.0, 0.5], [3.0, 4.0, -2.0]])
print("5:", np.array([5, -7]) @ (A @ np.array([1, 2, 3])), (A.T @ np.array([5, -7])) @ np.array([1, 2, 3]))

# %% [markdown]
# ## Further reading
#
# * S. Ioffe and C. Szegedy, [Batch Normalization](https://arxiv.org/abs/1502.03167), 2015: the backward pass stands in
#   section 3.
# * J. R. R. A. Martins, P. Sturdza and J. J. Alonso, *The complex-step derivative approximation*, ACM Transactions on
#   Mathematical Software 2003.
# * N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002: why digits cancel.
#
# Next: lesson 7 looks at the points where there is no derivative. Each lesson stands alone.
