# %% [markdown]
# # 2 The backward pass as a network
#
# **After this lesson you can**
#
# * write the reverse of a linear layer, of ReLU, and of a network made of both;
# * say what the reverse network shares with the forward network, and what it does not need;
# * read a printed reverse network, and run it;
# * test that two functions are each other's transpose without ever building a matrix.
#
# You need: the chain rule, matrix products, a little NumPy. The word *cotangent* is explained again below. The lesson
# takes about 40 minutes. Where you see **Predict**, write your number down before you run the next cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.lessons import Lesson, picture, task

lesson = Lesson("02_reverse")

# %% [markdown]
# ## A number to start with
#
# Here is a whole network. It has two inputs, three hidden units with ReLU, and two outputs:
#
# $$z = W_2 \, \mathrm{relu}(W_1 x + b_1) + b_2 \tag{1}$$

# %% tags=["setup"]
W1 = np.array([[2.0, -3.0], [-1.5, 0.5], [4.0, 2.0]])
b1 = np.array([0.5, -2.0, -3.0])
W2 = np.array([[3.0, -2.0, 0.5], [-4.0, 5.0, 2.0]])
b2 = np.array([0.25, -0.75])
x = np.array([2.0, -1.0])

# %%
hidden = W1 @ x + b1
z = W2 @ np.maximum(hidden, 0) + b2
print("hidden, before ReLU:", hidden, "   z:", z)

# %% [markdown]
# Two hidden units are positive, so ReLU lets them pass. The middle one is negative, so ReLU makes it 0. As long as $x$
# moves only a little, this does not change. So near this $x$ the network is a straight line in every direction:
# a matrix $J$, the **Jacobian**, plus a constant. The matrix is
#
# $$J = W_2 \, D \, W_1, \qquad D = \mathrm{diag}(1, 0, 1). \tag{2}$$
#
# In words: *multiply by the first weights, cross out the hidden units that are off, multiply by the second weights.*
# Rows of $J$ are outputs, columns are inputs.
#
# **Predict:** push $x$ itself through $J$. Do you get $z = (24.25, -24.75)$? If not, what is missing?

# %%
D = np.diag(hidden > 0)
J = W2 @ D @ W1
print(J)
print("J x =", J @ x, "   z - J x =", z - J @ x)

# %% [markdown]
# Only $(0.25, -8.75)$ is missing. It is what the biases bring: $W_2 D b_1 + b_2$. So the linearised network is *not* the
# network. It has the same weights, and the same units are off. But it has no biases.
#
# **Predict:** now take $x = (20, -10)$, ten times as large. Does $J$ change?

# %%
far = W1 @ np.array([20.0, -10.0]) + b1
print("hidden:", far)
print(W2 @ np.diag(far > 0) @ W1)

# %% [markdown]
# The same matrix. $J$ does not need the values of $x$. It needs to know which units are on. And the biases? They are
# needed for exactly one thing: to decide which units are on.
#
# ## Backwards through a linear layer
#
# A **cotangent** of a variable says how fast the final number (the loss) changes when this variable changes. It has the
# same shape as the variable. A backward rule gets the cotangent $g$ of the output, and returns those of the inputs.
#
# Take the first row of $W_1$: $y_1 = 2 x_1 - 3 x_2 + 0.5$. Say $g_1 = 5$. If $x_1$ grows by 0.001, then $y_1$ grows by
# 0.002, and the loss by 0.010. So $y_1$ sends $2 \cdot 5 = 10$ to $x_1$, and $-3 \cdot 5 = -15$ to $x_2$. Every row of
# $W_1$ does that, and what arrives at $x_1$ adds up. This is the product with the *columns* of $W_1$.
#
# In a batch, each sample is a row: $x$ has the shape $(n, i)$, and $y = x W^\mathsf{T} + b$ has the shape $(n, o)$. Then
#
# $$\bar x = g \, W, \qquad \bar W = g^\mathsf{T} x, \qquad \bar b = \textstyle\sum_n g_n. \tag{3}$$
#
# In words: *to go back to the input, multiply by the weights the other way round. To go back to the weights, multiply
# cotangents with inputs, and add up over the samples.* The bar means "the cotangent of".
#
# **Predict:** in (3), which of the three needs the values of $x$?

# %% [markdown] tags=["answer"]
# Only $\bar W$. To go back to $x$, the weights are enough.

# %% [markdown]
# ### Exercise 1: back to the input
#
# The weights have the shape $(o, i)$. No matrix is square here, so if the shapes fit, you are close.


# %% tags=["exercise"]
@tg.derivation(of="linear.dx")
def linear_dx(g, x, w, b):
    """g: (n, o), x: (n, i), w: (o, i), b: (o,). Return the cotangent of x, of shape (n, i)."""
    raise NotImplementedError


lesson.check(linear_dx)

# %% [markdown] tags=["hint"]
# Which product of $g$, of shape $(n, o)$, and $w$, of shape $(o, i)$, has the shape $(n, i)$?

# %% [markdown] tags=["hint"]
# It is the first formula of (3).


# %% tags=["solution"]
@tg.derivation(of="linear.dx")
def linear_dx(g, x, w, b):
    """g: (n, o), x: (n, i), w: (o, i), b: (o,). Return the cotangent of x, of shape (n, i)."""
    return g @ w


lesson.check(linear_dx)

# %% [markdown]
# ### Exercise 2: back to the weights
#
# The loss adds up over the samples of a batch. So does $\bar W$. There is no mean in it, unless the loss itself has one.


# %% tags=["exercise"]
@tg.derivation(of="linear.dw")
def linear_dw(g, x, w, b):
    """g: (n, o), x: (n, i), w: (o, i), b: (o,). Return the cotangent of w, of shape (o, i)."""
    raise NotImplementedError


lesson.check(linear_dw)

# %% [markdown] tags=["hint"]
# For one sample, $y_o = \sum_i w_{oi} x_i$. So $\bar w_{oi} = g_o x_i$. What changes when there are $n$ samples?

# %% [markdown] tags=["hint"]
# $\bar w_{oi} = \sum_n g_{no} x_{ni}$. A sum over the first index of both is a matrix product with a transpose.


# %% tags=["solution"]
@tg.derivation(of="linear.dw")
def linear_dw(g, x, w, b):
    """g: (n, o), x: (n, i), w: (o, i), b: (o,). Return the cotangent of w, of shape (o, i)."""
    return g.T @ x


lesson.check(linear_dw)

# %% [markdown]
# ## Backwards through ReLU
#
# $y = \mathrm{relu}(x)$ is $x$ where $x$ is positive, and 0 elsewhere. So the slope is 1 where $x$ is positive, and 0
# elsewhere. Write $m$ for this mask of ones and zeros. Then
#
# $$\bar x = m \odot g, \qquad m = [x > 0]. \tag{4}$$
#
# In words: *what was on in the forward pass lets the cotangent pass, whatever the cotangent is.*
#
# **Predict:** $x = (3, -2, 0.5, -1)$ and $g = (-4, 5, 6, -7)$. Three answers are often given:
# $(-4, 0, 6, 0)$, $(0, 5, 6, 0)$ and $(0, 0, 6, 0)$. Which is right, and what do the others do?

# %%
x4 = np.array([3.0, -2.0, 0.5, -1.0])
g4 = np.array([-4.0, 5.0, 6.0, -7.0])
print("mask from x:   ", np.where(x4 > 0, g4, 0))
print("mask from g:   ", np.where(g4 > 0, g4, 0))
print("mask from both:", np.where((x4 > 0) & (g4 > 0), g4, 0))

# %% [markdown]
# The first is right. The other two throw away negative cotangents. Both have names in the literature on saliency maps:
# the second is "deconvnet", the third "guided backpropagation". They make sharp pictures, but they are not derivatives.
#
# ### Exercise 3: the reverse of ReLU


# %% tags=["exercise"]
@tg.derivation(of="relu")
def relu(g, x):
    """g and x: (n, d). Return the cotangent of x."""
    raise NotImplementedError


lesson.check(relu)

# %% [markdown] tags=["hint"]
# `x > 0` is an array of True and False. What happens when you multiply $g$ by it?


# %% tags=["solution"]
@tg.derivation(of="relu")
def relu(g, x):
    """g and x: (n, d). Return the cotangent of x."""
    return g * (x > 0)


lesson.check(relu)

# %% [markdown]
# ## The reverse network
#
# Put the pieces together. The forward network does: multiply by $W_1$, add $b_1$, mask, multiply by $W_2$, add $b_2$.
# Going back from a cotangent $u$ of $z$ does: multiply by $W_2$ the other way round, mask, multiply by $W_1$ the other
# way round:
#
# $$J^\mathsf{T} u = W_1^\mathsf{T} \, D \, W_2^\mathsf{T} u \tag{5}$$
#
# Read (5) as a network with the input $u$. It has three layers. Its weights are those of the forward network. Its
# "activation" is the mask $D$ that the forward pass left behind. It is linear in $u$: it has no biases and no ReLU.
#
# **Predict** $J^\mathsf{T} u$ for $u = (1, -2)$. You know $J$ from above: rows $(8, -8)$ and $(0, 16)$.

# %%
u = np.array([1.0, -2.0])
back = W2.T @ u
print("after W2ᵀ:", back, "   after the mask:", D @ back, "   after W1ᵀ:", W1.T @ (D @ back))

# %% [markdown]
# $(8, -40) = 1 \cdot (8, -8) - 2 \cdot (0, 16)$. We never built $J$.
#
# ### Exercise 4: the reverse of the whole network
#
# Now for a batch: $x$ has the shape $(n, i)$, and the rows of $g$ are the cotangents $u$ of the samples. Return the
# cotangent of $x$. You can use the formulas of the three exercises above; write them out again, so that this cell
# stands alone.


# %% tags=["setup"]
def forward(x, w1, b1, w2):
    """x: (n, i), w1: (h, i), b1: (h,), w2: (o, h); result: (n, o). The bias of the output is left out."""
    return np.maximum(x @ w1.T + b1, 0) @ w2.T


# %% tags=["exercise"]
@tg.derivation(of=forward, axes="n i, h i, h, o h", wrt="x")
def network(g, x, w1, b1, w2):
    """g: (n, o), x: (n, i), w1: (h, i), b1: (h,), w2: (o, h). Return the cotangent of x, of shape (n, i)."""
    raise NotImplementedError


lesson.check(network)

# %% [markdown] tags=["hint"]
# Start at the end: `back = g @ w2` has the shape $(n, h)$.

# %% [markdown] tags=["hint"]
# The mask is `x @ w1.T + b1 > 0`. The biases are needed here, and nowhere else.

# %% [markdown] tags=["hint"]
# `return (back * mask) @ w1`


# %% tags=["solution"]
@tg.derivation(of=forward, axes="n i, h i, h, o h", wrt="x")
def network(g, x, w1, b1, w2):
    """g: (n, o), x: (n, i), w1: (h, i), b1: (h,), w2: (o, h). Return the cotangent of x, of shape (n, i)."""
    mask = x @ w1.T + b1 > 0
    return ((g @ w2) * mask) @ w1


lesson.check(network)

# %% [markdown]
# ## The library's reverse network
#
# tinygrad2 builds this network for you. `trace` is a forward pass that keeps what the reverse layers share.
# `reverse` gives the reverse network. It can be printed, and it can be called.

# %%
net = nn.Sequential(first=nn.Linear(2, 3), relu=nn.ReLU(), second=nn.Linear(3, 2)).astype(np.float64)
net.load_state_dict({"first.weight": W1, "first.bias": b1, "second.weight": W2, "second.bias": b2})
trace = net.trace(x[None])  # a batch of one sample
rev = trace.reverse()
print(rev)

# %% [markdown]
# Read it like this. The left half goes down: the forward pass. The right half goes up, from $u$ at the bottom to
# $J^\mathsf{T} u$ at the top. The last column says what a reverse layer shares with its forward layer: the weights of
# the linear layers, and for ReLU the mask. Look for the biases: no reverse layer has them.
#
# **Predict:** what does `rev` give for $u = (1, -2)$? And what is the reverse of the reverse network?

# %%
print("rev(u):", rev(u[None]).numpy())
v = np.array([5.0, 7.0])
print("rev.reverse()(v):", rev.reverse()(v[None]).numpy(), "   J v:", J @ v)

# %% [markdown]
# The reverse of the reverse is $v \mapsto J v$: the linearised network from the start of this lesson, without biases.
#
# ## A test without matrices
#
# How do you know that a reverse network is right? You could build $J$ from it, row by row, and compare. For an image
# with 3,072 numbers that is slow. There is a cheaper test. For every $u$ and $v$:
#
# $$\langle u, J v \rangle = \langle J^\mathsf{T} u, v \rangle \tag{6}$$
#
# In words: *go forward with $v$ and compare with $u$, or go back with $u$ and compare with $v$: the number is the same.*
# $\langle a, b \rangle$ is the sum of the products of the entries. **Predict** both sides for $u = (1, -2)$, $v = (5, 7)$.

# %%
print(u @ (J @ v), (J.T @ u) @ v)

# %% [markdown]
# Both are $-240$. With random $u$ and $v$, a wrong reverse network fails this test almost surely.
#
# ### Exercise 5: the adjoint test
#
# Write the test. `jvp` is a function $v \mapsto J v$, and `vjp` is a function $u \mapsto J^\mathsf{T} u$. Return True if
# both sides of (6) agree for the given $u$ and $v$, up to rounding. Numbers can be large or tiny, so compare relative to
# their size.


# %% tags=["setup"]
def pair(scale=1.0, right=True, dtype=np.float64):
    """v, u, and two functions: a matrix and its transpose; or, if not right, something that is nearly its transpose."""
    rng = np.random.default_rng(3)
    matrix = (scale * rng.standard_normal((4, 6))).astype(dtype)
    other = matrix if right else matrix * (1 + 1e-3 * (np.arange(6) % 2)).astype(dtype)
    v = rng.standard_normal(6).astype(dtype)
    u = rng.standard_normal(4).astype(dtype)
    return lambda v: matrix @ v, lambda u: other.T @ u, v, u


def is_right(jvp, vjp, v, u):
    return bool(np.isclose(u @ jvp(v), vjp(u) @ v, rtol=1e-4, atol=0))


TESTS = [pair(), pair(1e6), pair(1e-9), pair(right=False), pair(1e-9, right=False), pair(dtype=np.float32)]
SAYS = {
    "The result is True or False.": lambda said, *case: isinstance(said, bool | np.bool_),
    "These two are each other's transpose, but you say False.": lambda said, *case: said or not is_right(*case),
    "These two are not each other's transpose, but you say True.": lambda said, *case: not said or is_right(*case),
}


# %% tags=["exercise"]
@task(cases=TESTS, holds=SAYS)
def adjoint_test(jvp, vjp, v, u):
    """jvp: v ↦ Jv, vjp: u ↦ Jᵀu, v: (d,), u: (k,). Return True if ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ up to a ten-thousandth."""
    raise NotImplementedError


lesson.check(adjoint_test)

# %% [markdown] tags=["hint"]
# `left = u @ jvp(v)` is the left side. Write the right side in the same way.

# %% [markdown] tags=["hint"]
# `np.isclose(left, right)` calls everything below $10^{-8}$ equal. Use `rtol=1e-4, atol=0`.


# %% tags=["solution"]
@task(cases=TESTS, holds=SAYS)
def adjoint_test(jvp, vjp, v, u):
    """jvp: v ↦ Jv, vjp: u ↦ Jᵀu, v: (d,), u: (k,). Return True if ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ up to a ten-thousandth."""
    left = u @ jvp(v)
    right = vjp(u) @ v
    return bool(abs(left - right) <= 1e-4 * abs(left))


lesson.check(adjoint_test)

# %% [markdown]
# ### The transpose is not the inverse
#
# $J^\mathsf{T}$ goes back, from outputs to inputs. Does it undo $J$? **Predict:** take $v = (5, 7)$, go forward with $J$,
# and back with $J^\mathsf{T}$. Do you get $(5, 7)$ again?

# %%
print(J.T @ (J @ v))

# %% [markdown]
# $(-128, 1920)$. Nothing is undone. A cotangent is not a value that travels back. It says how much each number *matters*.
#
# ## A block with a shortcut
#
# Many networks have blocks like $y = x + \tanh(x w^\mathsf{T})$. Here $x$ is used twice: once in the shortcut, once in
# the block. What is used twice gets two contributions, and they add up.
#
# ### Exercise 6: the residual block


# %% tags=["exercise"]
@tg.derivation(of="residual")
def residual(g, x, w):
    """g and x: (n, d), w: (d, d). Return the cotangents of x and of w."""
    raise NotImplementedError


lesson.check(residual)

# %% [markdown] tags=["hint"]
# Go back through the block alone first. The slope of tanh is $1 - \tanh^2$. So behind the tanh the cotangent is
# `h = g * (1 - np.tanh(x @ w.T) ** 2)`.

# %% [markdown] tags=["hint"]
# Then there is a linear layer with the cotangent `h`: use (3) for both results.

# %% [markdown] tags=["hint"]
# The shortcut adds $g$ to the cotangent of $x$: `return g + h @ w, ...`


# %% tags=["solution"]
@tg.derivation(of="residual")
def residual(g, x, w):
    """g and x: (n, d), w: (d, d). Return the cotangents of x and of w."""
    h = g * (1 - np.tanh(x @ w.T) ** 2)
    return g + h @ w, h.T @ x


lesson.check(residual)

# %% [markdown]
# ## Break it on purpose
#
# Leave the mask out of (5). **Predict:** is the result still close to $(8, -40)$? After that we take the mask from both
# sides, as guided backpropagation does.

# %%
print("right:       ", W1.T @ (D @ back))
print("without mask:", W1.T @ back)
print("guided:      ", W1.T @ (D @ np.maximum(back, 0)))

# %% [markdown]
# $(26, -46)$ and $(22, -33)$ have the right shape and the right signs. On a training curve you would not notice. The
# test (6) notices at once: $26 \cdot 5 - 46 \cdot 7 = -192$, not $-240$.
#
# ## Rows of the Jacobian as pictures
#
# For real digits the reverse network gives pictures. We train a small network for a few seconds. Its input is a digit
# of $8 \times 8$ pixels, its output ten numbers, one per class. Feed the reverse network with $u = (0, 0, 0, 1, 0, \dots)$.
# The result is the row of $J$ for class 3: for each pixel, how fast the output for "3" grows with this pixel.

# %%
digits = tg.data.centre(tg.data.load("digits"))
reader = nn.models.mlp(in_features=64, hidden=(32,), rng=0)
optimizer = nn.Adam(reader.parameters(), lr=3e-3)
for epoch in range(8):
    for i in tg.data.batches(len(digits.x_train), batch_size=50, seed=0, epoch=epoch):
        reader.zero_grad()
        tg.cross_entropy(reader(tg.Tensor(digits.x_train[i])), digits.y_train[i]).backward()
        optimizer.step()
print(f"accuracy on test images: {tg.robust.accuracy(reader, digits.x_test, digits.y_test):.1%}")

# %%
index = int(np.flatnonzero(digits.y_test == 3)[0])
image = digits.x_test[index : index + 1]
rows = reader.trace(image).jacobian().numpy().reshape(10, 8, 8)  # ten one-hot u in one backward pass
print("the shape of the Jacobian:", reader.trace(image).jacobian().shape)

# %% tags=["picture"]
figure, axes = plt.subplots(1, 5, figsize=(10, 2.4))
axes[0].imshow(image.reshape(8, 8), cmap="gray_r")
axes[0].set_title("the digit x")
for axis, k in zip(axes[1:], (3, 5, 8, 9), strict=True):
    largest = np.abs(rows).max()
    axis.imshow(rows[k], cmap="RdBu", vmin=-largest, vmax=largest)
    axis.set_title(f"row of J for class {k}")
for axis in axes:
    axis.axis("off")
picture(
    figure,
    "A digit 3 of 8 by 8 pixels, and four rows of the Jacobian as pictures of the same size, for the classes 3, 5, 8 "
    "and 9. Blue pixels raise the output of the class, red pixels lower it.",
)

# %% [markdown]
# Blue pixels raise the output of that class, red pixels lower it. These pictures are what an attack uses (lesson 8), and
# what a penalty makes small (lesson 9). Both become possible because they are outputs of a network with weights that can
# be trained.
#
# ## Summary
#
# * The backward pass is a network. Its input is a cotangent $u$, its output $J^\mathsf{T} u$. It is linear in $u$.
# * It shares the weights and the masks of the forward network. Biases only decide the masks.
# * The reverse of a linear layer multiplies by the weights the other way round. The reverse of ReLU is the mask of the
#   forward pass, whatever the sign of the cotangent.
# * The reverse of the reverse network is $v \mapsto J v$. The adjoint test (6) compares the two without a matrix.
# * The transpose does not undo anything.
#
# ## Quiz
#
# **1.** $W$ has the rows $(2, -3)$ and $(4, 0.5)$, and $y = W x$. What is $\bar x$ for $u = (5, -1)$?

# %% [markdown] tags=["answer"]
# $(6, -15.5)$: $5 \cdot (2, -3) - 1 \cdot (4, 0.5)$.

# %% [markdown]
# **2.** What does the reverse network need of the biases?

# %% [markdown] tags=["answer"]
# Only the mask that they helped to decide.

# %% [markdown]
# **3.** For the network of this lesson, what is $\langle u, J v \rangle$ with $u = (1, -2)$ and $v = (5, 7)$? And
# $\langle J^\mathsf{T} u, v \rangle$?

# %% [markdown] tags=["answer"]
# $-240$ both times.

# %% [markdown]
# **4.** What is $J^\mathsf{T} J \, (5, 7)$? Why is it not $(5, 7)$?

# %% [markdown] tags=["answer"]
# $(-128, 1920)$. The transpose is not the inverse.

# %% [markdown]
# **5.** Two samples go through the network as a batch. `tg.jacobian` of the whole batch gives an array. Which shape does
# it have, and how many of its entries are zero for a simple reason?

# %% [markdown] tags=["answer"]
# $(2, 2, 2, 2)$: sample and class of the output, sample and number of the input. The output of one sample does not
# depend on the other sample, so at least half of the 16 entries are zero.

# %% [markdown]
# ## Further reading
#
# * H. Drucker and Y. LeCun, *Improving generalization performance using double backpropagation*, IEEE Transactions on
#   Neural Networks 1992: the backward pass drawn as a network.
# * K. Simonyan, A. Vedaldi and A. Zisserman, [Deep Inside Convolutional Networks](https://arxiv.org/abs/1312.6034), 2013:
#   rows of the Jacobian as pictures.
# * J. T. Springenberg and others, [Striving for Simplicity](https://arxiv.org/abs/1412.6806), 2014: guided
#   backpropagation, the mask from both sides.
# * J. Adebayo and others, [Sanity Checks for Saliency Maps](https://arxiv.org/abs/1810.03292), 2018: why its pictures
#   mislead.
#
# Next: lesson 3 differentiates the reverse network again. Each lesson stands alone.
