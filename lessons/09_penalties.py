# %% [markdown]
# # 9 Penalties on the Jacobian
#
# **After this lesson you can**
#
# * say what six penalties from the literature measure, and compute each of them for a small matrix by hand;
# * write the backward rules of four of them, and have them checked;
# * find the axis mistake that most gradient penalties in published code have had at some time;
# * say why a small penalty is not yet a robust network.
#
# You need: matrix products, the chain rule, softmax. The lesson takes about 45 minutes. Where you see **Predict**,
# write your number down before you run the next cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn, robust
from tinygrad2.lessons import Lesson, picture

lesson = Lesson("09_penalties")

# %% [markdown]
# ## A number to start with
#
# Here is the smallest classifier: one matrix, three inputs, two classes. The two outputs are the logits $z = W x$.

# %% tags=["setup"]
W = np.array([[3.0, -1.0, 2.0], [-2.0, 4.0, 0.5]])
x = np.array([1.5, 0.3, 2.0])


def linear_net(weight):
    """The network z = weight · x, in float64."""
    net = nn.Linear(weight.shape[1], weight.shape[0], bias=False).astype(np.float64)
    net.load_state_dict({"weight": weight})
    return net


# %%
print("z =", W @ x)

# %% [markdown]
# The first class wins by 9. Its lead is $f(x) = z_0 - z_1$, and the slope of the lead is the difference of the rows,
# $(5, -5, 1.5)$. So the nearest point where both classes are equal is $9 / \lVert (5, -5, 1.5) \rVert = 1.245$ away.
#
# Now multiply $W$ by 3. All logits become three times as large. So does the slope. The nearest boundary stays where it
# is: $27 / (3 \cdot 7.228) = 1.245$. Nobody is fooled more easily, and nobody less easily.
#
# Two penalties are used to make networks robust. One punishes the slope of the *loss*, $\lVert \partial
# \mathrm{CE}/\partial x \rVert^2$, where CE is the cross-entropy. The other punishes the slopes of the *logits*, the
# entries of the Jacobian $J$. For this network $J = W$.
#
# **Predict:** we multiply $W$ by 3. How many times as large does each of the two become?

# %%
for factor in (1, 3):
    trace = linear_net(factor * W).trace(x[None])  # a batch of one sample; its label is 0
    loss_slope = robust.input_gradient(trace, [0]).item()
    logit_slope = robust.jacobian_frobenius(trace).item()
    print(f"W × {factor}:   loss gradient {loss_slope:.2g}   Jacobian {logit_slope:.4g}")

# %% [markdown]
# The Jacobian penalty becomes 3 times as large: 17.6 instead of 5.9. The loss gradient almost disappears:
# $1.7 \cdot 10^{-21}$ instead of $8 \cdot 10^{-7}$. So a training that punishes the loss gradient can make its penalty
# tiny by multiplying the last layer by 3, without moving any boundary. A penalty is only as good as what it measures.
# This lesson looks at six of them.
#
# ## Six penalties on one matrix
#
# Rows of $J$ are outputs, columns are inputs: $J_{kd} = \partial z_k / \partial x_d$. The label is $t$, and $j^*$ is
# the strongest other class.
#
# | penalty | in words | source |
# |---|---|---|
# | $\sum_{kd} \lvert J_{kd} \rvert$ | all entries, by size | $\ell_1$ double backpropagation, eq. 3 |
# | $\sum_d \lvert \sum_k J_{kd} \rvert$ | add the rows first: cheap | the same paper, footnote 1 |
# | $\lVert J \rVert_F = \sqrt{\sum_{kd} J_{kd}^2}$ | all entries, squared | Jacobian regularisation, eq. 6 |
# | $\lVert J_{j^*} - J_t \rVert^2$ | one difference of rows | logit-gradient regularisation, eq. 3 |
# | $\frac{1}{K^2} \sum_{lm} \lVert J_m - J_l \rVert^2$ | all differences of rows | Hein and Andriushchenko |
# | $\lVert \partial \mathrm{CE} / \partial x \rVert^2$ | the slope of the loss | Drucker and LeCun; Ross and Doshi-Velez |
#
# **Predict** the first five for $W = \begin{pmatrix} 3 & -1 & 2 \\ -2 & 4 & 0.5 \end{pmatrix}$. No calculator is
# needed, except for one root.

# %%
trace = linear_net(W).trace(x[None])
print("l1:             ", robust.jacobian_l1(trace, mode="printed").item())
print("l1, cheap:      ", robust.jacobian_l1_cheap(trace, mode="printed").item())
print("Frobenius:      ", robust.jacobian_frobenius(trace).item())
print("margin, squared:", robust.logit_margin(trace, [0]).item())
print("cross-Lipschitz:", robust.cross_lipschitz(trace).item())

# %% [markdown]
# $12.5 = 3 + 1 + 2 + 2 + 4 + 0.5$. The rows add up to $(1, 3, 2.5)$, which gives 6.5. The squares add up to 34.25, and
# $\sqrt{34.25} = 5.852$. The difference of the rows is $(5, -5, 1.5)$, whose square is 52.25. And 26.125 is half of it:
# of the four pairs $(l, m)$ two are a row with itself, so $\frac14 (0 + 52.25 + 52.25 + 0)$.
#
# (`mode="printed"` is the formula as the paper prints it. The library's default divides by the number of entries.)

# %% tags=["picture"]
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 2.9), width_ratios=[3, 3, 2])
for axes, matrix, title in [
    (left, W, "J: rows are outputs"),
    (middle, np.array([W.sum(0), W[0] - W[1]]), "what two penalties see of it"),
]:
    axes.imshow(matrix, cmap="RdBu_r", vmin=-6, vmax=6)
    for (row, column), value in np.ndenumerate(matrix):
        axes.text(column, row, f"{value:g}", ha="center", va="center", color="white" if abs(value) > 3.5 else "black")
    axes.set_title(title, fontsize=10)
    axes.set_xticks([])
left.set_yticks([0, 1], ["J₀", "J₁"])
middle.set_yticks([0, 1], ["J₀ + J₁\n(cheap)", "J₀ − J₁\n(margin)"])
right.barh(["σ₁", "σ₂"], np.linalg.svd(W)[1], color="tab:green")
right.axvline(np.linalg.norm(W), color="0.3", linestyle="--")
right.set_title("singular values; dashed: ‖J‖_F", fontsize=10)
right.invert_yaxis()
figure.tight_layout()
picture(
    figure,
    "Left: the entries of J as coloured squares, rows (3, -1, 2) and (-2, 4, 0.5). Middle: the sum of the rows, "
    "(1, 3, 2.5), and their difference, (5, -5, 1.5). Right: two bars for the singular values 5.16 and 2.76, and a "
    "dashed line at the Frobenius norm, 5.85.",
)

# %% [markdown]
# ### One cotangent of ones
#
# The cheap penalty needs one backward pass with the cotangent $u = (1, 1)$. The exact ones need a pass for each row.
# **Predict:** for $J$ with the rows $(8, -8)$ and $(0, 16)$, what comes back for $u = (1, 1)$? Is it $J$?

# %%
other = np.array([[8.0, -8.0], [0.0, 16.0]])
print(linear_net(other).trace(np.array([[2.0, -3.0]])).reverse()(np.array([[1.0, 1.0]])).numpy())

# %% [markdown]
# $(8, 8)$ is the sum of the rows. Entries of opposite sign have cancelled: $-8 + 16 = 8$. A backward pass always gives
# *one* combination of rows. Many programs call `backward(ones)` and call the result "the gradient".
#
# ## The Frobenius norm
#
# To train with a penalty, we need its slope in the weights. Start with the plainest case, where $J$ is the weight
# matrix itself. Let one entry grow: $W_{00} = 3 \to 3.001$. Then $\sum W^2$ grows by $2 \cdot 3 \cdot 0.001 = 0.006$,
# to 34.256. A root grows by half of the growth below it, divided by the root: $0.006 / (2 \cdot 5.852) = 0.000513$. So
# the slope is $0.513$, which is $3 / 5.852$. In symbols:
#
# $$\frac{\partial \lVert W \rVert_F}{\partial W} = \frac{W}{\lVert W \rVert_F} \tag{1}$$
#
# In words: *the slope of a length is the vector itself, made to have length 1.*
#
# ### Exercise 1: the norm of a matrix
#
# $g$ is the cotangent of the norm, one number.


# %% tags=["exercise"]
@tg.derivation(of=lambda w: np.sqrt((w * w).sum()), axes="o i")
def frobenius(g, w):
    """g: a number, w: (o, i). Return the cotangent of w, of the same shape."""
    raise NotImplementedError


lesson.check(frobenius)

# %% [markdown] tags=["hint"]
# Use (1). Do not forget $g$.

# %% [markdown] tags=["hint"]
# `np.sqrt((w * w).sum())` is the norm.


# %% tags=["solution"]
@tg.derivation(of=lambda w: np.sqrt((w * w).sum()), axes="o i")
def frobenius(g, w):
    """g: a number, w: (o, i). Return the cotangent of w, of the same shape."""
    return g * w / np.sqrt((w * w).sum())


lesson.check(frobenius)

# %% [markdown]
# ## Through a network
#
# A network with one hidden layer of ReLU has the Jacobian $J = W_2 D W_1$. Here $D$ is a diagonal matrix of ones and
# zeros: which hidden units are on. We punish $P = \lVert W_2 D W_1 \rVert_F^2$. It is a product, squared. So first
# the cotangent of $J$, then back to both factors:
#
# $$\bar J = 2 g J, \qquad \bar W_1 = D \, W_2^\mathsf{T} \bar J, \qquad \bar W_2 = \bar J \, W_1^\mathsf{T} D \tag{2}$$
#
# In words: *each weight matrix gets the cotangent of the product, multiplied by the other factors.* No other derivative
# is needed, although $P$ contains a derivative already. $D$ jumps when a unit switches on or off, and does not change
# in between: its slope is 0.
#
# ### Exercise 2: the Jacobian of a small network


# %% tags=["setup"]
def squared_jacobian(w1, w2, x):
    """‖W₂ D W₁‖², D from the sign of w1 · x. w1: (h, i), w2: (k, h), x: (i,); result: a number."""
    on = w1 @ x > 0
    jacobian = (w2 * on) @ w1
    return (jacobian * jacobian).sum()


# %% tags=["exercise"]
@tg.derivation(of=squared_jacobian, axes="h i, k h, i", wrt=("w1", "w2"))
def network(g, w1, w2, x):
    """g: a number, w1: (h, i), w2: (k, h), x: (i,). Return the cotangents of w1 and of w2."""
    raise NotImplementedError


lesson.check(network)

# %% [markdown] tags=["hint"]
# Compute `on` and `jacobian` as in the function above. The cotangent of the Jacobian is `2 * g * jacobian`.

# %% [markdown] tags=["hint"]
# $J = A B$ with $A = $ `w2 * on`, of shape $(k, h)$, and $B = $ `w1`. So $\bar B = A^\mathsf{T} \bar J$ and
# $\bar A = \bar J B^\mathsf{T}$.

# %% [markdown] tags=["hint"]
# $\bar W_2$ is $\bar A$ where the unit is on, and 0 where it is off: `(dj @ w1.T) * on`.


# %% tags=["solution"]
@tg.derivation(of=squared_jacobian, axes="h i, k h, i", wrt=("w1", "w2"))
def network(g, w1, w2, x):
    """g: a number, w1: (h, i), w2: (k, h), x: (i,). Return the cotangents of w1 and of w2."""
    on = w1 @ x > 0
    dj = 2 * g * (w2 * on) @ w1
    return (w2 * on).T @ dj, (dj @ w1.T) * on


lesson.check(network)

# %% [markdown]
# In the library this is one line: the trace knows the Jacobian, and the penalty goes onto the tape.

# %%
net = nn.Sequential(nn.Linear(4, 6, rng=1), nn.ReLU(), nn.Linear(6, 3, rng=2))
trace = net.trace(np.array([[0.5, -2.0, 1.5, 3.0]], np.float32))
robust.jacobian_frobenius(trace, reduction="squares").backward()
for name, parameter in net.named_parameters():
    print(name, "not reached" if parameter.grad is None else f"largest entry {abs(parameter.grad.numpy()).max():.3f}")

# %% [markdown]
# The first bias gets zeros, and the second is not part of the Jacobian at all. Biases only decide which units are on.
#
# ## A batch has one Jacobian per sample
#
# Jacobian regularisation takes one root over the whole batch: $\sqrt{\sum_i \lVert J_i \rVert_F^2}$. One could also
# take the mean of the norms, or the mean of the squares.
#
# **Predict:** a batch of four equal samples, each with $\lVert J_i \rVert_F = 5.852$. What are the three numbers?

# %%
four = linear_net(W).trace(np.repeat(x[None], 4, axis=0))
for reduction in ("root", "mean", "squares"):
    print(f"{reduction:8}", round(robust.jacobian_frobenius(four, reduction=reduction).item(), 3))

# %% [markdown]
# 11.70 is $\sqrt4 \cdot 5.852$. So the root grows with the batch: a batch of 100 makes it 10 times as large. A weight
# $\lambda$ that is good for one batch size is wrong for another. If you read $\lambda = 0.1$ in a paper, you also need
# to know the batch size, and whether the loss beside it is a sum or a mean.
#
# ### The wrong axis
#
# A famous penalty pulls the *length* of each sample's gradient $v_i$ towards 1: the mean of $(\lVert v_i \rVert -
# 1)^2$. It is used for critics of images (WGAN-GP). Take two samples with the gradients $(3, 4)$ and $(0, 12)$.
#
# **Predict:** three programs take the norm over different axes. Their results are 144, 69.85 and 68.5. Which is right?

# %%
v = np.array([[3.0, 4.0], [0.0, 12.0]])
for name, lengths in [
    ("over everything", np.linalg.norm(v)),
    ("axis=0", np.linalg.norm(v, axis=0)),
    ("axis=1", np.linalg.norm(v, axis=1)),
]:
    print(f"{name:16} lengths {lengths}   penalty {np.mean((lengths - 1) ** 2):.2f}")

# %% [markdown]
# The samples are the rows, so their lengths are 5 and 12, and the penalty is $(4^2 + 11^2)/2 = 68.5$. The norm over
# `axis=0` mixes the samples. It gives 69.85, which is so near that no one notices. The norm over everything treats the
# batch as one long vector: its penalty is smallest when *that* has length 1. With four equal samples, each is then
# pulled towards length $\frac12$.
#
# ### Exercise 3: length one
#
# The mean of $(\lVert v_i \rVert - 1)^2$ over the $n$ rows of $v$.


# %% tags=["setup"]
def length_penalty(v):
    """The mean of (‖v_i‖ - 1)². v: (n, d), one gradient per row; result: a number."""
    return np.mean((np.sqrt((v * v).sum(axis=1)) - 1) ** 2)


# %% tags=["exercise"]
@tg.derivation(of=length_penalty, axes="n d")
def length_one(g, v):
    """g: a number, v: (n, d). Return the cotangent of v, of the same shape."""
    raise NotImplementedError


lesson.check(length_one)

# %% [markdown] tags=["hint"]
# For one row: the slope of $(\ell - 1)^2$ is $2(\ell - 1)$, and the slope of the length $\ell$ is $v / \ell$, as in
# (1).

# %% [markdown] tags=["hint"]
# The mean divides by $n$. `np.sqrt((v * v).sum(axis=1, keepdims=True))` is a column of lengths.


# %% tags=["solution"]
@tg.derivation(of=length_penalty, axes="n d")
def length_one(g, v):
    """g: a number, v: (n, d). Return the cotangent of v, of the same shape."""
    length = np.sqrt((v * v).sum(axis=1, keepdims=True))
    return g * 2 * (length - 1) * v / length / len(v)


lesson.check(length_one)

# %% [markdown]
# ## Only differences of rows can fool a network
#
# Add $(5, 5, 5)$ to *both* rows of $W$. Both logits grow by the same number, for every $x$. **Predict:** what happens
# to $\lVert W \rVert_F$, to the squared margin slope, and to the distance of the boundary?

# %%
for name, weight in [("W", W), ("W + 5", W + 5.0)]:
    net = linear_net(weight)
    trace = net.trace(x[None])
    found = robust.margin_bound(net, x[None])
    print(
        f"{name:6} z {trace.output.numpy()[0]}   ‖J‖_F {found.frobenius[0]:.2f}   "
        f"margin² {robust.logit_margin(trace, [0]).item():.2f}   distance {found.linearized[0]:.3f}"
    )

# %% [markdown]
# $\lVert W \rVert_F$ rises from 5.85 to 15.79. The difference of the rows, and so the distance, are as before. A larger
# Frobenius norm does not mean a less robust network. What is true is a one-sided bound (Jakubovitz and Giryes, eq. 17):
#
# $$d \;=\; \min_k \frac{\lvert z_{t} - z_k \rvert}{\lVert J_{t} - J_k \rVert} \;\ge\;
# \min_k \frac{\lvert z_{t} - z_k \rvert}{\sqrt2 \, \lVert J \rVert_F} \tag{3}$$
#
# In words: *to first order, the boundary is at least as far as the lead, divided by $\sqrt2$ times the Frobenius norm.*
# For $W$ the bound is 1.087, and the distance 1.245. Look at the fraction: the lead stands above, the norm below. A
# penalty that shrinks both together moves no boundary.
#
# The cross-Lipschitz penalty takes all differences of rows, and nothing else. With the mean row $\bar J$ it can be
# written with one sum:
#
# $$\Omega = \frac{1}{K^2} \sum_{l,m} \lVert J_m - J_l \rVert^2 = \frac{2}{K} \sum_k \lVert J_k - \bar J \rVert^2 \tag{4}$$
#
# In words: *the mean of the squared distances of all pairs is twice the mean squared distance from the mean.*
#
# ### Exercise 4: the cross-Lipschitz penalty
#
# Return the cotangent of $J$. In the function below, $J$ is called `j`.


# %% tags=["setup"]
def cross(j):
    """1/K² Σ_l Σ_m ‖j_m - j_l‖². j: (k, d); result: a number."""
    differences = j[:, None] - j[None]
    return (differences * differences).sum() / len(j) ** 2


# %% tags=["exercise"]
@tg.derivation(of=cross, axes="k d", sizes={"k": (2, 5)})
def cross_lipschitz(g, j):
    """g: a number, j: (k, d). Return the cotangent of j, of the same shape."""
    raise NotImplementedError


lesson.check(cross_lipschitz)

# %% [markdown] tags=["hint"]
# Use the right side of (4). First derive it as if $\bar J$ were a constant.

# %% [markdown] tags=["hint"]
# $\bar J$ is no constant, but its part vanishes, because $\sum_k (J_k - \bar J) = 0$. So the slope is
# $\frac4K (J_k - \bar J)$.


# %% tags=["solution"]
@tg.derivation(of=cross, axes="k d", sizes={"k": (2, 5)})
def cross_lipschitz(g, j):
    """g: a number, j: (k, d). Return the cotangent of j, of the same shape."""
    return g * 4 / len(j) * (j - j.mean(axis=0))


lesson.check(cross_lipschitz)

# %% [markdown]
# ## Few rows instead of all
#
# A network with 1,000 classes has 1,000 rows. Hoffman, Roberts and Yaida send back a few *random* cotangents instead:
# for a random unit vector $u$ with $K$ entries, $K \lVert J^\mathsf{T} u \rVert^2$ is $\lVert J \rVert_F^2$ on average.
#
# **Predict:** for our $W$, $\lVert W \rVert_F^2 = 34.25$ and $K = 2$. How far from 34.25 is a single estimate,
# typically?

# %%
trace = linear_net(W).trace(x[None])
rng = np.random.default_rng(0)
estimates = np.array([robust.projected_frobenius(trace, rng=rng).item() for _ in range(2000)])
print(f"one estimate after the other: {estimates[:4].round(1)} ...")
print(f"mean {estimates.mean():.2f}, standard deviation {estimates.std():.2f}")
print(f"the standard deviation by the formula: {robust.projection_variance(trace)[0] ** 0.5:.2f}")

# %% [markdown]
# The mean is right, but a single estimate is off by 13 of 34. In training this noise averages out over many steps and
# many samples. As a *measurement* of one network it needs many projections.
#
# ## The slope of the loss
#
# Back to the penalty that nearly vanished. With the probabilities $p = \mathrm{softmax}(z)$ and the target $t$ as a
# vector, such as $(1, 0)$, the slope of the cross-entropy is
#
# $$u = p - t, \qquad v = \frac{\partial \mathrm{CE}}{\partial x} = J^\mathsf{T} u. \tag{5}$$
#
# For our $x$, $p_0 = 0.99988$. So $u = (-0.00012, 0.00012)$: the loss gradient is the margin's slope $(5, -5, 1.5)$,
# multiplied by a factor that says how *unsure* the network is. If the lead grows from 9 to 27, the factor falls to
# $2 \cdot 10^{-12}$. This is called saturation. The penalty is small where the network is sure, however near the
# boundary is.
#
# So its training signal also comes in two parts: make the slopes smaller, or make $u$ smaller. The next exercise shows
# both parts. $W$ is used twice: in $z = x W^\mathsf{T}$, which makes $u$, and in $v = u W$.
#
# ### Exercise 5: the loss-gradient penalty
#
# $P$ is the mean of $\lVert v_i \rVert^2$ over the batch. Return the cotangent of $W$. This is the longest exercise of
# the lesson. Go step by step.


# %% tags=["setup"]
def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def mean_squared_slope(x, t, w):
    """The mean of ‖∂CE_i/∂x_i‖² for z = x wᵀ. x: (n, d), targets t: (n, k), w: (k, d); result: a number."""
    v = (softmax(x @ w.T) - t) @ w
    return (v * v).sum() / len(x)


# %% tags=["exercise"]
@tg.derivation(of=mean_squared_slope, axes="n d, n k, k d", sizes={"k": (2, 4)}, wrt="w")
def loss_slope(g, x, t, w):
    """g: a number, x: (n, d), t: (n, k), w: (k, d). Return the cotangent of w."""
    raise NotImplementedError


lesson.check(loss_slope)

# %% [markdown] tags=["hint"]
# Forward once more: `p = softmax(x @ w.T)`, `u = p - t`, `v = u @ w`. The cotangent of `v` is `dv = 2 * g * v /
# len(x)`.

# %% [markdown] tags=["hint"]
# From $v = u W$: $W$ gets `u.T @ dv`, and $u$ gets `du = dv @ w.T`.

# %% [markdown] tags=["hint"]
# $u = p - t$, so $p$ gets `du`. Back through softmax: `dz = p * (du - (p * du).sum(axis=1, keepdims=True))`. And from
# $z = x W^\mathsf{T}$, $W$ gets `dz.T @ x`. Add both.


# %% tags=["solution"]
@tg.derivation(of=mean_squared_slope, axes="n d, n k, k d", sizes={"k": (2, 4)}, wrt="w")
def loss_slope(g, x, t, w):
    """g: a number, x: (n, d), t: (n, k), w: (k, d). Return the cotangent of w."""
    p = softmax(x @ w.T)
    u = p - t
    dv = 2 * g * (u @ w) / len(x)
    du = dv @ w.T
    dz = p * (du - (p * du).sum(axis=1, keepdims=True))
    return u.T @ dv + dz.T @ x


lesson.check(loss_slope)

# %% [markdown]
# ## Break it on purpose: batch normalisation
#
# Every penalty above assumes that a sample's output depends on this sample alone. Batch normalisation in train mode
# subtracts the mean of the *batch*, and divides by its standard deviation. Take three samples with one feature each:
# 1, 3 and 8. **Predict:** by how much does the first output change when the first input moves? And when the *second*
# moves?

# %%
batch = np.array([[1.0], [3.0], [8.0]])
norm = nn.BatchNorm1d(1).astype(np.float64)
for mode in (norm.train, norm.eval):
    mode()
    pullback = norm.trace(batch).reverse()
    print(f"training={norm.training!s:5}", pullback(np.array([[1.0], [0.0], [0.0]])).numpy().ravel().round(3))

# %% [markdown]
# In train mode, the second sample moves the first output more ($-0.152$) than the first sample does ($0.109$). There is
# no Jacobian of one sample any more, and a penalty "per sample" is not what it says. In eval mode the layer divides by
# a fixed number, and the samples are independent. So use eval mode for such penalties, or another normalisation.
#
# ## On real digits
#
# We train a small network on digits of $8 \times 8$ pixels, five times, each time with another penalty. The weights of
# the penalties were chosen by hand. $\rho$ is the size of the smallest change that fools the network, divided by the
# size of the image. **Predict:** which column tells more about $\rho$: the Jacobian alone, or the lead divided by it?

# %%
digits = tg.data.centre(tg.data.load("digits"))


def train(name, weight, options):
    """A network trained with cross-entropy + weight · penalty."""
    net = nn.models.mlp(in_features=64, hidden=(48,), rng=0)
    optimizer = nn.Adam(net.parameters(), lr=3e-3)
    for epoch in range(20):
        for i in tg.data.batches(len(digits.x_train), batch_size=50, seed=0, epoch=epoch):
            net.zero_grad()
            trace = net.trace(digits.x_train[i])
            loss = tg.cross_entropy(trace.output, digits.y_train[i])
            if weight:
                loss = loss + weight * robust.penalty(name)(trace, digits.y_train[i], **options)
            loss.backward()
            optimizer.step()
    return net.eval()


RUNS = [
    ("jacobian_frobenius", 0.0, {}),
    ("input_gradient", 100.0, {}),
    ("jacobian_l1", 3.0, {}),
    ("jacobian_frobenius", 0.3, {"reduction": "squares"}),
    ("logit_margin", 0.3, {}),
    ("cross_lipschitz", 0.3, {}),
]
print(f"{'penalty':19} accuracy  mean ‖J‖_F  lead/‖J‖_F   ρ")
for name, weight, options in RUNS:
    net = train(name, weight, options)
    images = digits.x_test[:100]
    found = robust.margin_bound(net, images)
    accuracy = robust.accuracy(net, digits.x_test, digits.y_test)
    print(
        f"{name if weight else 'none':19} {accuracy:7.1%}  {found.frobenius.mean():9.3f}  "
        f"{found.margin_to_jacobian.mean():9.3f}  {robust.rho(net, images).mean():6.3f}"
    )

# %% [markdown]
# With each penalty, a larger change is needed to fool the network, at about the same accuracy. The Jacobian alone does
# not tell how much: the network with the loss-gradient penalty has one of the largest Jacobians and the largest $\rho$.
# Its lead has grown, too. The lead divided by $\lVert J \rVert_F$ is the better guide, as (3) says, but no perfect one.
#
# Do not read this table as a ranking. It is one seed, one small network, and weights that were chosen by hand. A
# comparison needs several seeds, the best weight for each penalty, and stronger attacks.
#
# ## Summary
#
# * Penalties differ in *what* they see: all entries, sums of rows, differences of rows, or the slope of the loss.
# * Only differences of rows move boundaries. What all rows share, and a common factor of lead and slope, changes
#   nothing.
# * The loss-gradient penalty also vanishes where the network is sure. Multiply the last layer by 3, and it is gone.
# * Say which axis is the sample, whether a sum or a mean is taken, and in which mode batch normalisation is. Without
#   that, a weight $\lambda$ has no meaning.
#
# ## Quiz
#
# Questions 1 to 4 use $J = \begin{pmatrix} 2 & -1 \\ -3 & 5 \end{pmatrix}$.
#
# **1.** What are the $\ell_1$ penalty and its cheap form?

# %% [markdown] tags=["answer"]
# $2 + 1 + 3 + 5 = 11$. The rows add up to $(-1, 4)$, so the cheap form is 5.

# %% [markdown]
# **2.** What is $\lVert J \rVert_F$? Is the largest singular value larger or smaller?

# %% [markdown] tags=["answer"]
# $\sqrt{39} = 6.245$. The largest singular value is 6.140: never larger than the Frobenius norm.

# %% [markdown]
# **3.** What are the squared margin slope and the cross-Lipschitz penalty?

# %% [markdown] tags=["answer"]
# The difference of the rows is $(5, -6)$: 61, and half of it, 30.5.

# %% [markdown]
# **4.** One random projection with $u = (0.6, 0.8)$: what is the estimate of $\lVert J \rVert_F^2$?

# %% [markdown] tags=["answer"]
# $J^\mathsf{T} u = (-1.2, 3.4)$, with the square 13. Times $K = 2$: 26. The true value is 39.

# %% [markdown]
# **5.** A batch of nine samples, each with $\lVert J_i \rVert_F = 2$. What are the root over the batch, and the mean of
# the norms?

# %% [markdown] tags=["answer"]
# $\sqrt{9 \cdot 4} = 6$, and 2.

# %% [markdown]
# ## Further reading
#
# * H. Drucker and Y. LeCun, *Improving generalization performance using double backpropagation*, IEEE Transactions on
#   Neural Networks 1992: the loss gradient.
# * D. Jakubovitz and R. Giryes, [Improving DNN Robustness to Adversarial Attacks using Jacobian
#   Regularization](https://arxiv.org/abs/1803.08680), ECCV 2018: the Frobenius norm and the bound (3).
# * M. Hein and M. Andriushchenko, [Formal Guarantees on the Robustness of a Classifier against Adversarial
#   Manipulation](https://arxiv.org/abs/1705.08475), NIPS 2017: differences of rows.
# * J. Hoffman, D. A. Roberts and S. Yaida, [Robust Learning with Jacobian
#   Regularization](https://arxiv.org/abs/1908.02729), 2019: random projections.
# * I. Gulrajani and others, [Improved Training of Wasserstein GANs](https://arxiv.org/abs/1704.00028), NIPS 2017:
#   lengths pulled towards 1.
#
# Next: lesson 10 punishes the distance of the boundary itself. Each lesson stands alone.
