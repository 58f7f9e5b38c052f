# %% [markdown]
# # 8 Attacks as functions of the reverse network
#
# **After this lesson you can**
#
# * write the input gradient of a loss, and say what one step along its sign does;
# * say why a sure network can hide its gradient, and repair that;
# * compute the smallest step to a boundary in two norms, and build DeepFool from it;
# * tell five attacks apart by what they feed into the reverse network, and distrust an attack that fails.
#
# You need: the chain rule, matrix products, a little NumPy. A *cotangent* of a variable says how fast the final number
# changes when this variable changes. The lesson takes about 45 minutes. Where you see **Predict**, write your number down
# before you run the next cell.

# %% tags=["setup"]
import copy

import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn, robust
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("08_attacks")

# %% [markdown]
# ## A number to start with
#
# A network reads digits of $8 \times 8$ pixels. A pixel has 256 shades, and the mean image has been subtracted. An attack may
# change each pixel by at most 20 shades. It looks at the network's gradient and makes *one* step.
#
# First we train, for about two seconds.

# %%
digits = tg.data.centre(tg.data.load("digits"))
x = digits.x_test
labels = digits.y_test
net = nn.models.mlp(in_features=64, hidden=(100, 50), rng=0)
optimizer = nn.Adam(net.parameters(), lr=1e-3)
for epoch in range(8):
    for i in tg.data.batches(len(digits.x_train), batch_size=50, seed=0, epoch=epoch):
        net.zero_grad()
        tg.cross_entropy(net(tg.Tensor(digits.x_train[i])), digits.y_train[i]).backward()
        optimizer.step()
print(f"accuracy on {len(x)} test images: {robust.accuracy(net, x, labels):.1%}")

# %% [markdown]
# Now take the same network, and multiply the weights and biases of its last layer by 100. All ten outputs become 100 times as
# large. The largest stays the largest, so the network decides in the same way about *every* image.
#
# The attack is the usual one, written as usual: the gradient of the cross-entropy, in float32. It leaves about 28 % of the
# images right. **Predict:** how many does it leave right for the second network?


# %%
def louder(net, factor):
    """A copy of the network whose last layer is multiplied by a factor."""
    copied = copy.deepcopy(net)
    state = copied.state_dict()
    for name in ("fc3.weight", "fc3.bias"):
        state[name] = np.asarray(state[name]) * np.float32(factor)
    copied.load_state_dict(state)
    return copied


def left(result):
    """The share of images that an attack leaves right."""
    return 1 - result.success.mean()


loud = louder(net, 100)
for name, attacked in [("the network", net), ("last layer × 100", loud)]:
    usual = robust.fgsm(attacked, x, labels, epsilon=20, saturating=True)
    print(f"{name:17} left right: {left(usual):.1%}   ρ: {robust.rho(attacked, x).mean():.4f}")

# %% [markdown]
# 28 % and 97 %. One could think that the second network is robust, and one could publish that. But look at $\rho$. It is the
# size of the smallest change that another attack finds, divided by the size of the image. It is the same for both, as
# it must be. So the first attack has not met a robust network. It has met a network whose gradient it cannot see. In this
# lesson we build both attacks, and find out what went wrong.
#
# ## The input gradient is an output of the reverse network
#
# The network turns $x$ into ten numbers $z$, the **logits**. Softmax makes probabilities of them, $p_j = e^{z_j} / \sum_i
# e^{z_i}$. The loss for the true class $t$ is the cross-entropy, $-\log p_t$. Say $p = (0.2, 0.3, 0.5)$ and $t = 0$.
# How fast does the loss change with each logit?
#
# $$\frac{\partial\, \mathrm{CE}}{\partial z_j} = p_j - [j = t] \tag{1}$$
#
# In words: *the probability, minus 1 for the true class.* Here $(-0.8, 0.3, 0.5)$: raising the true logit lowers the loss,
# raising the others raises it. This is the cotangent of $z$. The reverse network takes it to the pixels:
#
# $$\frac{\partial\, \mathrm{CE}}{\partial x} = J^\mathsf{T} (p - e_t) \tag{2}$$
#
# Here $e_t$ is 1 at the place $t$ and 0 elsewhere, and $J$ is the Jacobian of the logits, a row per class. We call what is
# fed into the reverse network its **seed**.

# %%
trace = net.trace(x[:1])
z = trace.output.numpy()
p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
seed = p - np.eye(10, dtype=np.float32)[labels[:1]]
by_seed = trace.reverse()(seed).numpy()
by_tape = tg.grad(lambda x: tg.cross_entropy(net(x), labels[:1]))(tg.Tensor(x[:1])).numpy()
print("the same:", np.allclose(by_seed, by_tape, atol=1e-7), "   shape:", by_seed.shape)

# %% [markdown]
# ### Exercise 1: the input gradient
#
# A linear classifier: $z = x W^\mathsf{T}$ for a batch of $n$ samples, and the loss is the *mean* cross-entropy. Return the
# cotangent of $x$. The cotangent $g$ of the loss is one number. The probabilities are given.


# %% tags=["setup"]
def mean_cross_entropy(x, w, labels):
    """x: (n, d), w: (k, d), labels: (n,); result: a number."""
    z = x @ w.T
    return (np.log(np.exp(z).sum(1)) - z[np.arange(len(labels)), labels]).mean()


def some_labels(rng, shape, sizes):
    return rng.integers(0, sizes["k"], shape)


# %% tags=["exercise"]
@tg.derivation(of=mean_cross_entropy, axes="n d, k d, n", sizes={"k": (2, 4)}, draws={2: some_labels}, wrt="x")
def input_gradient(g, x, w, labels):
    """g: a number, x: (n, d), w: (k, d), labels: (n,) integers. Return the cotangent of x, of shape (n, d)."""
    z = x @ w.T
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)  # (n, k)
    raise NotImplementedError


lesson.check(input_gradient)

# %% [markdown] tags=["hint"]
# First the seed for each sample: `p[np.arange(len(x)), labels] -= 1` turns `p` into it.

# %% [markdown] tags=["hint"]
# The loss is a mean over $n$ samples. So each seed is divided by $n$ (and multiplied by $g$).

# %% [markdown] tags=["hint"]
# Back through $z = x W^\mathsf{T}$: multiply by `w`. `return g * p @ w / len(x)`


# %% tags=["solution"]
@tg.derivation(of=mean_cross_entropy, axes="n d, k d, n", sizes={"k": (2, 4)}, draws={2: some_labels}, wrt="x")
def input_gradient(g, x, w, labels):
    """g: a number, x: (n, d), w: (k, d), labels: (n,) integers. Return the cotangent of x, of shape (n, d)."""
    z = x @ w.T
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)  # (n, k)
    p[np.arange(len(x)), labels] -= 1
    return g * p @ w / len(x)


lesson.check(input_gradient)

# %% [markdown]
# ## One step: FGSM
#
# The gradient says how fast the loss grows with each pixel. Say it is $(3, -4, 0)$, and each pixel may change by at most
# $\varepsilon = 0.1$. **Predict:** which change raises the loss most, and by how much? And which change of *length* 0.1
# raises it most?

# %%
gradient = np.array([3.0, -4.0, 0.0])
for name, step in [
    ("sign", 0.1 * np.sign(gradient)),
    ("length", 0.1 * gradient / np.linalg.norm(gradient)),
]:
    print(f"{name:7} step {step}   rise: {gradient @ step:.2f}")

# %% [markdown]
# If each pixel has its own limit, each goes to its limit, in the direction of its sign: $0.1 \cdot (3 + 4) = 0.7$. If the
# length is limited, one goes along the gradient: $0.1 \cdot 5 = 0.5$. The first is the **fast gradient sign method**:
#
# $$x' = x + \varepsilon \, \mathrm{sign}\!\left( \frac{\partial\, \mathrm{CE}}{\partial x} \right) \tag{3}$$
#
# In words: *move every pixel by the same small amount, each in its bad direction.* A pixel whose gradient is 0 stays.
#
# Why do so small changes matter? Because there are many of them. Take one output with 784 weights, all $\pm\frac12$, and
# $\varepsilon = 0.1$. The output rises by $784 \cdot 0.5 \cdot 0.1 = 39.2$. The step has the length
# $0.1 \cdot \sqrt{784} = 2.8$.
#
# **Predict** for our network: random signs in the place of the gradient's signs, with the same $\varepsilon$. And many
# small steps in the place of one (that is called BIM): better or worse than one step?

# %%
rng = np.random.default_rng(0)
signs = rng.choice(np.array([-1, 1], np.float32), x.shape)
print("shades   random signs   FGSM    BIM, 10 steps")
for epsilon in (5, 10, 20, 40):
    noise = robust.accuracy(net, x + np.float32(epsilon) * signs, labels)
    one = left(robust.fgsm(net, x, labels, epsilon))
    many = left(robust.bim(net, x, labels, epsilon))
    print(f"{epsilon:4}     {noise:8.1%}     {one:6.1%}   {many:6.1%}")

# %% tags=["picture"]
shown = x[2:3]
true = int(labels[2])
sizes = np.linspace(0, 40, 81).astype(np.float32)
direction = robust.sign_direction(net, tg.Tensor(shown), labels[2:3]).numpy()
along = net(tg.Tensor(np.concatenate([shown + size * direction for size in sizes]))).numpy()
slopes = robust.loss_gradient(net, tg.Tensor(shown), labels[2:3]).numpy()
figure, axes = plt.subplots(1, 5, figsize=(12, 2.6), width_ratios=[1, 1, 1, 1, 1.8])
plain = tg.data.load("digits").x_test[2:3]  # the same digit, with the mean image
images = [
    ("the digit", plain),
    ("gradient", slopes),
    ("its signs", direction),
    ("moved by 20 shades", plain + 20 * direction),
]
for axis, (title, image) in zip(axes, images, strict=False):
    if image.max() > 2:
        axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=255)
    else:
        largest = np.abs(image).max()
        axis.imshow(image.reshape(8, 8), cmap="RdBu", vmin=-largest, vmax=largest)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
for k in range(10):
    right = k == true
    axes[4].plot(sizes, along[:, k], color="tab:blue" if right else "0.7", linewidth=2.5 if right else 1)
axes[4].set_title("logits along the step", fontsize=10)
axes[4].set_xlabel("shades")
picture(
    figure,
    "A digit, the gradient of its loss, the signs of the gradient, and the digit moved by 20 shades along the signs, which "
    "still looks like the digit. On the right the ten logits against the size of the step: that of the true class falls, "
    "others rise and overtake it.",
)

# %% [markdown]
# Random changes of 40 shades do about as much harm as chosen changes of 5. One step is enough for most images; many small steps
# are better, since the gradient changes on the way.
#
# ## Why the loud network looked robust
#
# The seed for the true class is $p_t - 1$. Computers have about 7 digits in float32. **Predict:** two classes, the true
# logit leads by 8, 16, 17. What is $p_t - 1$ in float32? The exact value is $-e^{-\text{lead}}$, nearly.

# %%
for lead in (8, 15, 16, 17):
    e = np.exp(np.array([lead, 0], np.float32) - np.float32(lead))
    p2 = e / e.sum()
    print(f"lead {lead:2}: p - 1 = {p2[0] - np.float32(1):.3g}   minus the other p: {-p2[1]:.3g}")
two_best = np.sort(net(tg.Tensor(x)).numpy(), axis=1)[:, -2:]
print(f"in our network, the median lead is {np.median(two_best[:, 1] - two_best[:, 0]):.1f}")

# %% [markdown]
# At a lead of 16 the result is $-1.2 \cdot 10^{-7}$, where $-1.13 \cdot 10^{-7}$ is right. At 17 it is exactly 0: $p_t$ has
# been rounded to 1. The seed is gone, and so is the gradient. In our network the median lead is about 8.5. In the loud
# network it is 850. So almost every image has the gradient 0, and then `sign(0) = 0`: *the attack does nothing.* People
# say that the loss is **saturated**.
#
# But the right column has never been 0. And $p_t - 1 = -\sum_{j \ne t} p_j$. So compute the seed from the *other*
# probabilities. Better still, for a direction we do not need the loss. Anything that grows with it will do. Take the **log
# odds against** the true class:
#
# $$\ell(z) = \log \sum_{j \ne t} e^{z_j} \;-\; z_t, \qquad \mathrm{CE} = \log(1 + e^{\ell}) \tag{4}$$
#
# In words: *how much the other classes together weigh, minus the true logit.* Its slopes are $-1$ for the true class, and
# for the others a softmax *among themselves*. These numbers never vanish, however sure the network is.
#
# ### Exercise 2: the log odds against the true class


# %% tags=["setup"]
def log_odds_against(z, labels):
    """z: (n, k), labels: (n,); result: (n,)."""
    true = np.arange(z.shape[1]) == labels[:, None]
    return np.log((np.exp(z) * ~true).sum(1)) - (z * true).sum(1)


# %% tags=["exercise"]
@tg.derivation(of=log_odds_against, axes="n k, n", sizes={"k": (2, 4)}, draws={1: some_labels})
def log_odds(g, z, labels):
    """g: (n,), z: (n, k), labels: (n,) integers. Return the cotangent of z, of shape (n, k)."""
    raise NotImplementedError


lesson.check(log_odds)

# %% [markdown] tags=["hint"]
# `true = np.arange(z.shape[1]) == labels[:, None]` is a mask of shape $(n, k)$, True at the label.

# %% [markdown] tags=["hint"]
# The softmax of the others: `e = np.exp(z) * ~true`, divided by its sum in each row.

# %% [markdown] tags=["hint"]
# `return g[:, None] * (e / e.sum(axis=1, keepdims=True) - true)`


# %% tags=["solution"]
@tg.derivation(of=log_odds_against, axes="n k, n", sizes={"k": (2, 4)}, draws={1: some_labels})
def log_odds(g, z, labels):
    """g: (n,), z: (n, k), labels: (n,) integers. Return the cotangent of z, of shape (n, k)."""
    true = np.arange(z.shape[1]) == labels[:, None]
    e = np.exp(z) * ~true
    return g[:, None] * (e / e.sum(axis=1, keepdims=True) - true)


lesson.check(log_odds)

# %% [markdown]
# **Predict:** with this seed, how many images does one step leave right for the loud network?

# %%
print(
    f"exact seed: the network {left(robust.fgsm(net, x, labels, 20)):.1%}, loud {left(robust.fgsm(loud, x, labels, 20)):.1%}"
)

# %% [markdown]
# The same 28 % for both. tinygrad2 uses the exact seed unless you ask for `saturating=True`.
#
# ## Without the loss: margins
#
# Carlini and Wagner do not use the loss at all. They look at the **margin**: the best wrong logit minus the true one.
#
# $$m(z) = \max_{j \ne t} z_j - z_t \tag{5}$$
#
# It is positive exactly when the network is wrong, and it does not saturate. Say $z = (4, 1, 3)$ and $t = 0$. Then
# $m = 3 - 4 = -1$. **Predict** the seed: how fast does $m$ change with each logit?

# %% [markdown] tags=["answer"]
# $(-1, 0, 1)$: one for the best wrong class, minus one for the true class, zero for all others.

# %% [markdown]
# ### Exercise 3: the margin


# %% tags=["setup"]
def margin_of(z, labels):
    """z: (n, k), labels: (n,); result: (n,)."""
    true = np.arange(z.shape[1]) == labels[:, None]
    return (z - 1000 * true).max(1) - (z * true).sum(1)


# %% tags=["exercise"]
@tg.derivation(of=margin_of, axes="n k, n", sizes={"k": (3, 4)}, draws={1: some_labels})
def margin(g, z, labels):
    """g: (n,), z: (n, k), labels: (n,) integers. Return the cotangent of z, of shape (n, k)."""
    raise NotImplementedError


lesson.check(margin)

# %% [markdown] tags=["hint"]
# Find the best wrong class of each row: put a very small number at the label first, then `argmax(axis=1)`.

# %% [markdown] tags=["hint"]
# `classes = np.arange(z.shape[1])`; `true = classes == labels[:, None]`;
# `best = np.where(true, -np.inf, z).argmax(axis=1)`

# %% [markdown] tags=["hint"]
# `seed = 1.0 * (classes == best[:, None]) - true`, then multiply by `g[:, None]`. Take care that the result has the dtype of
# `g`.


# %% tags=["solution"]
@tg.derivation(of=margin_of, axes="n k, n", sizes={"k": (3, 4)}, draws={1: some_labels})
def margin(g, z, labels):
    """g: (n,), z: (n, k), labels: (n,) integers. Return the cotangent of z, of shape (n, k)."""
    classes = np.arange(z.shape[1])
    true = classes == labels[:, None]
    best = np.where(true, -np.inf, z).argmax(axis=1)
    return g[:, None] * (classes == best[:, None]) - g[:, None] * true


lesson.check(margin)

# %% [markdown]
# ## The nearest boundary: DeepFool
#
# FGSM asks: how much harm can I do with a given size? DeepFool asks: what is the *smallest* size that changes the answer?
#
# Take one number $f$ that is positive now, and let it be the lead of the present class over another one. Its gradient is
# $w$. Near $x$, $f$ is a straight line: $f(x + r) \approx f + \langle w, r \rangle$. The boundary is where this is 0.
# Say $f = 6$ and $w = (2, -1, 2)$, of length 3.
#
# Along $-w$, a step of length 1 lowers $f$ by 3. So a step of length 2 is needed:
#
# $$r = -\frac{f}{\lVert w \rVert_2^2} \, w, \qquad \lVert r \rVert_2 = \frac{|f|}{\lVert w \rVert_2} \tag{6}$$
#
# In words: *the distance is the lead divided by the slope.* Note the square in the first formula: one $\lVert w \rVert$ makes
# $w$ a direction, the other is the distance. **Predict** $r$ for the example, and where you land without the square.

# %%
f = 6.0
w = np.array([2.0, -1.0, 2.0])
for name, r in [("with the square", -f / (w @ w) * w), ("without", -f / np.sqrt(w @ w) * w)]:
    print(f"{name:16} r = {r.round(3)}   length {np.linalg.norm(r):.2f}   f + ⟨w, r⟩ = {f + w @ r:.2f}")

# %% [markdown]
# With other norms only the direction changes. If the largest change of a pixel is to be small (that is $\ell_\infty$), every
# pixel moves by the same amount $a$, against its sign. Then $f$ falls by $a \sum |w_i| = 5a$, and $a = 6/5 = 1.2$:
#
# $$r = -\frac{f}{\lVert w \rVert_1} \, \mathrm{sign}(w), \qquad \lVert r \rVert_\infty = \frac{|f|}{\lVert w \rVert_1} \tag{7}$$
#
# ### Exercise 4: the step to the boundary
#
# $f$ may be negative, too: then the step must raise it. The tests know the properties of the right step. They do not compare
# with a formula.


# %% tags=["setup"]
STEPS = [
    (6.0, np.array([2.0, -1.0, 2.0]), 2),
    (6.0, np.array([2.0, -1.0, 2.0]), np.inf),
    (-4.5, np.array([0.5, -3.0, 1.5, 0.25]), 2),
    (-4.5, np.array([0.5, -3.0, 1.5, 0.25]), np.inf),
]


def dual(w, p):
    """The slope of the steepest step of size 1 in the norm p."""
    return np.linalg.norm(w, 2 if p == 2 else 1)


PROPERTIES = {
    "A step has the shape of w.": lambda r, f, w, p: np.shape(r) == w.shape,
    "The step goes the wrong way: f moves away from 0.": lambda r, f, w, p: abs(f + w @ r) <= abs(f) or f * (w @ r) < 0,
    "The square is missing: the step is ‖w‖ times too long.": lambda r, f, w, p: (
        not np.isclose(w @ r, -f * np.linalg.norm(w))
    ),
    "The step must land on the boundary: f + ⟨w, r⟩ = 0.": lambda r, f, w, p: np.isclose(f + w @ r, 0, atol=1e-9),
    "It lands on the boundary, but there is a smaller step in this norm.": lambda r, f, w, p: (
        np.linalg.norm(r, p) < abs(f) / dual(w, p) * (1 + 1e-9)
    ),
}


# %% tags=["exercise"]
@task(cases=STEPS, holds=PROPERTIES)
def to_boundary(f, w, p):
    """f: a number, w: (d,), p: 2 or np.inf. Return the smallest r, of shape (d,), with f + ⟨w, r⟩ = 0."""
    raise NotImplementedError


lesson.check(to_boundary)

# %% [markdown] tags=["hint"]
# For `p == 2` use (6), otherwise (7). The sign of $f$ is taken care of by the formulas.

# %% [markdown] tags=["hint"]
# `-f / (w @ w) * w`, and `-f / np.abs(w).sum() * np.sign(w)`


# %% tags=["solution"]
@task(cases=STEPS, holds=PROPERTIES)
def to_boundary(f, w, p):
    """f: a number, w: (d,), p: 2 or np.inf. Return the smallest r, of shape (d,), with f + ⟨w, r⟩ = 0."""
    if p == 2:
        return -f / (w @ w) * w
    return -f / np.abs(w).sum() * np.sign(w)


lesson.check(to_boundary)

# %% [markdown]
# A network with ten classes has nine boundaries. For each class $k$ the seed $e_l - e_k$ gives the slope $w$ of the lead
# $f = z_l - z_k$ over class $k$. DeepFool goes to the *nearest*, where $f / \lVert w \rVert$ is smallest. **Predict:** the
# leads are $f = (4, 6, 1.5)$, and the slopes have the lengths $(2, 6, 0.5)$. Which boundary is nearest?

# %% [markdown] tags=["answer"]
# The second: the distances are 2, 1 and 3. The smallest lead is the farthest away.

# %% [markdown]
# The network is not a straight line. So after the step one looks again, and repeats until the class changes. A little
# more than the step is taken, 2 %, in order to land behind the boundary and not on it. Here is the whole attack, with the
# reverse network, for one image.


# %%
def nearest_step(trace, source):
    """The smallest l2 step of one image to a boundary of the linearised network. Result: of the image's shape."""
    z = trace.output.numpy()[0]
    steps = []
    for k in range(len(z)):
        if k != source:
            seed = np.eye(len(z), dtype=z.dtype)[[source]] - np.eye(len(z), dtype=z.dtype)[[k]]
            w = trace.reverse()(seed).numpy()
            steps.append(-(z[source] - z[k]) / (w * w).sum() * w)
    return min(steps, key=np.linalg.norm)


image = x[:1]
source = int(net(tg.Tensor(image)).numpy().argmax())
r = np.zeros_like(image)
for count in range(1, 6):
    r = r + nearest_step(net.trace(image + r), source)
    now = int(net(tg.Tensor(image + 1.02 * r)).numpy().argmax())
    print(f"step {count}: class {now}, length {1.02 * np.linalg.norm(r):.2f}")
    if now != source:
        break
print("the library's DeepFool:", robust.deepfool(net, image, max_iter=5).norms.round(2))

# %% [markdown]
# Scale the last layer by 100, and every $f$ and every $w$ grows 100 times. The quotient stays. This is why $\rho$ did not
# change in the beginning.
#
# ## Stay in the box: Carlini and Wagner
#
# A pixel between 0 and 1 must stay there. One can clip after the attack, but then the image may be repaired. Carlini and
# Wagner write the pixel as a function of a free number $v$,
#
# $$x = l + (h - l) \, \frac{\tanh v + 1}{2}, \tag{8}$$
#
# with the lowest value $l$ and the highest $h$. Whatever $v$ is, $x$ is in the box. Then they look for the $v$ for which
# $\lVert \delta \rVert^2 + c \cdot \mathrm{relu}(-m)$ is smallest: *a small change, and a fine as long as the margin $m$ of (5)
# is negative.*
#
# ### Exercise 5: the box


# %% tags=["exercise"]
@tg.derivation(
    of=lambda v, low, high: low + (high - low) * (np.tanh(v) + 1) / 2,
    axes="n d",
    params={"low": [-0.5, 0.25], "high": [1.5, 2.75]},
)
def box(g, v, low, high):
    """g and v: (n, d), low and high: numbers. Return the cotangent of v, of shape (n, d)."""
    raise NotImplementedError


lesson.check(box)

# %% [markdown] tags=["hint"]
# What is the slope of $\tanh v$? It can be written with $\tanh v$ alone.

# %% [markdown] tags=["hint"]
# $1 - \tanh^2 v$, times the constant in front of $\tanh v$, which is $(h - l)/2$.


# %% tags=["solution"]
@tg.derivation(
    of=lambda v, low, high: low + (high - low) * (np.tanh(v) + 1) / 2,
    axes="n d",
    params={"low": [-0.5, 0.25], "high": [1.5, 2.75]},
)
def box(g, v, low, high):
    """g and v: (n, d), low and high: numbers. Return the cotangent of v, of shape (n, d)."""
    return g * (high - low) / 2 * (1 - np.tanh(v) ** 2)


lesson.check(box)

# %% [markdown]
# **Predict:** a pixel is exactly at the end of the box, $x = h$. Which $v$ belongs to it, and how large is the slope there?

# %% [markdown] tags=["answer"]
# $v = \infty$, and the slope is 0: such a pixel never moves. Many pixels of a digit are exactly at an end, so this matters.
# The library begins a little inside, and measures the change from there.

# %% [markdown]
# ## Five attacks, one reverse network
#
# | attack | seeds fed into the reverse network | what is done with the answer $J^\mathsf{T} u$ |
# |---|---|---|
# | FGSM | the slopes of the loss, or of the log odds (4) | one step along its signs |
# | BIM | the same, at each point | many small steps; each is brought back within the allowed size |
# | C&W | $e_j - e_t$, the seed of the margin (5) | descent, with a fine for size |
# | DeepFool | $e_l - e_k$ for every other class $k$ | a step to the nearest boundary (6) |
# | JSMA | $e_g$ for a goal class $g$, and all the others together | one pixel is changed, the one that helps most |
#
# JSMA changes few pixels by much. **Predict:** how many of the 64 pixels are enough?

# %%
few = robust.jsma(net, x[:60], labels[:60], box=(-200.0, 260.0))
print(few)

# %% [markdown]
# Half of the images need three pixels or fewer.
#
# ## Break it on purpose: an attack that fails
#
# Back to the usual seed, $p_t - 1$ in float32. We make the network louder step by step. **Predict:** what happens to the
# accuracy under attack, and to the share of images whose gradient is exactly 0?

# %%
for factor in (1, 10, 100):
    attacked = louder(net, factor)
    usual = robust.fgsm(attacked, x, labels, 20, saturating=True)
    zero = usual.diagnostic.zero_gradients
    print(f"× {factor:3}: left right {left(usual):.1%}, gradient 0 for {zero:.1%}; exact seed leaves", end=" ")
    print(f"{left(robust.fgsm(attacked, x, labels, 20)):.1%}")

# %% [markdown]
# Nothing has been defended. An attack that fails proves nothing about the network. Before you believe it, look for signs:
# gradients that are exactly 0, random noise that does more harm than the attack, an attack with many steps that is weaker
# than one with one step. `diagnose` looks for them:

# %%
usual = robust.fgsm(loud, x, labels, 20, saturating=True)
for warning in robust.diagnose(loud, x, labels, usual, 20).warnings:
    print("*", warning)

# %% [markdown]
# ## Summary
#
# * Every attack here asks the reverse network. They differ in the seed, and in what they do with the answer.
# * FGSM: $\varepsilon$ times the signs. The harm adds up over the pixels.
# * $p_t - 1$ is exactly 0 in float32 when the lead is 17 or more. Use the other probabilities, log odds or margins.
# * The step to a straight boundary is $-f\,w/\lVert w \rVert^2$. The distance is $|f| / \lVert w \rVert$, and scaling the
#   network does not change it.
# * An attack that fails is no proof of robustness.
#
# ## Quiz
#
# **1.** $f = 6$, $w = (2, -1, 2)$. How far is the boundary when size means length ($\ell_2$)? The largest entry ($\ell_\infty$)?
# The sum of all changes ($\ell_1$)?

# %% [markdown] tags=["answer"]
# 2, 1.2 and 3. For $\ell_1$ one changes only one entry, the one with the largest slope: $6/2$.

# %% [markdown]
# **2.** The leads are $(4, 6, 1.5)$, the lengths of the slopes $(2, 6, 0.5)$. Where does DeepFool go, and how far?

# %% [markdown] tags=["answer"]
# To the second boundary; distance 1.

# %% [markdown]
# **3.** The gradient is $(3, -4, 0)$, $\varepsilon = 0.1$. How much does the loss rise, to first order, for the best step in
# $\ell_\infty$ and in $\ell_2$?

# %% [markdown] tags=["answer"]
# 0.7 and 0.5.

# %% [markdown]
# **4.** One output has 784 weights, all $\pm \frac12$. How much does it change under FGSM with $\varepsilon = 0.1$, and how
# long is the step?

# %% [markdown] tags=["answer"]
# 39.2, with a length of 2.8.

# %% [markdown]
# **5.** Two classes, whole-number leads. What is the smallest lead at which $p_t - 1$ is 0 in float32? What does FGSM do then?

# %% [markdown] tags=["answer"]
# 17. The gradient is 0, `sign(0)` is 0, and the image stays as it is: the attack "fails".

# %% [markdown]
# ## Further reading
#
# * I. Goodfellow, J. Shlens and C. Szegedy, [Explaining and Harnessing Adversarial
#   Examples](https://arxiv.org/abs/1412.6572), 2015: FGSM, section 4.
# * S.-M. Moosavi-Dezfooli, A. Fawzi and P. Frossard, [DeepFool](https://arxiv.org/abs/1511.04599), CVPR 2016.
# * N. Carlini and D. Wagner, [Towards Evaluating the Robustness of Neural Networks](https://arxiv.org/abs/1608.04644), 2017.
# * N. Papernot and others, [The Limitations of Deep Learning in Adversarial Settings](https://arxiv.org/abs/1511.07528),
#   2016: JSMA.
# * A. Kurakin, I. Goodfellow and S. Bengio, [Adversarial examples in the physical
#   world](https://arxiv.org/abs/1607.02533), 2017: BIM.
# * A. Athalye, N. Carlini and D. Wagner, [Obfuscated Gradients Give a False Sense of
#   Security](https://arxiv.org/abs/1802.00420), 2018.
#
# Next: lesson 9 makes the Jacobian small by training. Each lesson stands alone.
