# %% [markdown]
# # 4 Convolution and its two adjoints
#
# **After this lesson you can**
#
# * write the two backward rules of a convolution, to its input and to its kernel, and have them checked;
# * say why one of them adds where windows overlap, and why nothing is flipped in the other;
# * draw which input entries a strided convolution never sees;
# * explain why three functions are enough for derivatives of every order.
#
# You need: the chain rule, NumPy slices, and the word *cotangent*: how fast the final number changes when this variable
# changes. The lesson takes about 45 minutes. Where you see **Predict**, write your number down before you run the next
# cell.

# %% tags=["setup"]
import matplotlib.pyplot as plt
import numpy as np

import tinygrad2 as tg
from tinygrad2 import nn
from tinygrad2.lessons import Lesson, picture

lesson = Lesson("04_convolution")

# %% [markdown]
# ## A number to start with
#
# A signal $x = (3, -1, 4)$ and a kernel $w = (2, -3)$. The kernel slides along the signal, and at each place the products
# are added up:
#
# $$y_0 = 2 \cdot 3 - 3 \cdot (-1) = 9, \qquad y_1 = 2 \cdot (-1) - 3 \cdot 4 = -14.$$
#
# The cotangent of $y$ is $g = (5, 7)$. Two students have computed the cotangent of $x$, each in a different way. One has
# $(10, -1, -21)$, the other has $(-15, -11, 14)$. Both add up to $-12$, so a test that compares sums or means calls both
# right. **Predict:** which one is right? Change $x_0$ by 0.001 in your head: only $y_0$ sees it.

# %%
x = np.array([3.0, -1.0, 4.0])
w = np.array([2.0, -3.0])
g = np.array([5.0, 7.0])


def slide(x, w):
    return tg.stack([(x[i : i + 2] * w).sum() for i in range(2)])


y, pullback = tg.vjp(slide, x, w)
dx, dw = pullback(g)
print("y:", y.numpy(), "  dx:", dx.numpy(), "  dw:", dw.numpy())

# %% [markdown]
# $y_0$ grows by $2 \cdot 0.001$, and the loss by $5 \cdot 2 \cdot 0.001$. So $\bar x_0 = 10$. The other answer has used
# the kernel from right to left. We write a bar for "the cotangent of".
#
# ## One number, three ways
#
# Add up $y_i g_i$. This is one number, and it contains $x$, $w$ and $g$:
#
# $$\langle y, g \rangle = \sum_{i, k} x_{i+k} \, w_k \, g_i \tag{1}$$
#
# In words: *every wire of the convolution joins one input entry, one kernel entry and one output entry; multiply the
# three, and add up over all wires.* The sum is linear in $x$, linear in $w$ and linear in $g$. We may sort its terms by
# output entries, by input entries, or by kernel entries:
#
# $$\langle y, g \rangle = \langle x, \bar x \rangle = \langle w, \bar w \rangle \tag{2}$$
#
# So $\bar x_j$ is whatever stands beside $x_j$ in (1), and $\bar w_k$ is whatever stands beside $w_k$.
# **Predict:** $\langle y, g \rangle = 9 \cdot 5 - 14 \cdot 7$. And the other two?

# %%
print((y * g).sum().item(), (x * dx).sum().item(), (w * dw).sum().item())

# %% [markdown]
# $-53$ three times. If one of your rules is wrong, this test fails almost surely.
#
# The picture shows the four wires. They are the same in all three parts. Only the direction changes, and what is added up.

# %% tags=["picture"]
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2))
panels = [("y: collect at the outputs", "y"), ("dx: collect at the inputs", "x"), ("dw: collect by colour", "w")]
colours = ["tab:blue", "tab:orange"]
for axis, (title, kind) in zip(axes, panels, strict=True):
    for i in range(2):
        for k in range(2):
            begin, end = (0.12, 2 - (i + k)), (0.88, 1.5 - i)
            if kind == "x":
                begin, end = end, begin
            style = "-" if kind == "w" else "->"
            axis.annotate("", end, begin, arrowprops={"arrowstyle": style, "color": colours[k], "lw": 2})
    for j, value in enumerate([10, -1, -21] if kind == "x" else [3, -1, 4]):
        axis.text(0, 2 - j, f"{value}", ha="center", va="center", fontsize=12)
    for i, value in enumerate([9, -14] if kind == "y" else [5, 7]):
        axis.text(1, 1.5 - i, f"{value}", ha="center", va="center", fontsize=12)
    below = {
        "y": "blue: × 2   orange: × (−3)",
        "x": "blue: × 2   orange: × (−3)",
        "w": "blue: 15 − 7 = 8   orange: −5 + 28 = 23",
    }
    axis.text(0.5, -0.75, below[kind], ha="center", fontsize=9)
    axis.set(title=title, xlim=(-0.3, 1.3), ylim=(-1, 2.5))
    axis.axis("off")
picture(
    figure,
    "Three drawings of the same four wires between three inputs and two outputs. Blue wires belong to the kernel entry 2, "
    "orange ones to -3. Forward, they bring 3, -1, 4 to 9 and -14. Backward, they bring 5 and 7 to 10, -1, -21. For the "
    "kernel, the products of both ends are collected by colour: blue 8, orange 23.",
)

# %% [markdown]
# ## Images
#
# In two dimensions nothing new happens. There are only more letters. $x$ has the shape $(n, c, h, w)$: samples, channels,
# rows, columns. The kernel has the shape $(o, c, k_h, k_w)$, for $o$ output channels. With a stride $s$ and a padding $p$,
#
# $$y_{n,o,a,b} = \beta_o + \sum_{c,i,j} x_{n,\,c,\,sa+i-p,\,sb+j-p} \; w_{o,c,i,j}. \tag{3}$$
#
# In words: *lay the kernel on the image, multiply, add up; then move it by the stride.* Outside of the image, $x$ counts
# as zero.
#
# ### Exercise 1: the bias
#
# Begin with the easiest letter of (3). $\beta_o$ is added at every position of every sample. What is used many times gets
# many contributions, and they add up. In the code the bias is called `b`.


# %% tags=["exercise"]
@tg.derivation(of="conv2d.db")
def conv_db(g, x, w, b, stride, padding):
    """g: (n, o, oh, ow). Return the cotangent of b, of shape (o,)."""
    raise NotImplementedError


lesson.check(conv_db)

# %% [markdown] tags=["hint"]
# Which axes of $g$ have no counterpart in $b$?

# %% [markdown] tags=["hint"]
# `g.sum((0, 2, 3))`: over samples, rows and columns.


# %% tags=["solution"]
@tg.derivation(of="conv2d.db")
def conv_db(g, x, w, b, stride, padding):
    """g: (n, o, oh, ow). Return the cotangent of b, of shape (o,)."""
    return g.sum((0, 2, 3))


lesson.check(conv_db)

# %% [markdown]
# ## Back to the kernel
#
# Back to the small signal: $\bar w_k = \sum_i x_{i+k} \, g_i$. So $\bar w_0 = 3 \cdot 5 - 1 \cdot 7 = 8$ and
# $\bar w_1 = -1 \cdot 5 + 4 \cdot 7 = 23$. Look at the formula again: it is a convolution itself. The signal is $x$, and
# $g$ slides along it. **Nothing is flipped.** (Textbooks flip because they define convolution with a minus sign. In
# networks, and here, the forward pass has none.)
#
# For images, (3) says which entries of $x$ a kernel entry $(i, j)$ meets: those at the rows $sa + i - p$ and the columns
# $sb + j - p$. After padding, this is one strided slice of $x$. In the next exercise you need only one loop over
# $(i, j)$. A batch and channels are added up as (3) says: over $n$, and over the positions, but not over $o$ and $c$.
#
# ### Exercise 2: back to the kernel


# %% tags=["exercise"]
@tg.derivation(of="conv2d.dw")
def conv_dw(g, x, w, b, stride, padding):
    """g: (n, o, oh, ow), x: (n, c, h, w), w: (o, c, kh, kw). Return the cotangent of w, of its shape."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = g.shape[2:]
    dw = np.zeros_like(w)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            met = x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]  # (n, c, oh, ow)
            raise NotImplementedError("set dw[:, :, i, j], of shape (o, c), from g and met")
    return dw


lesson.check(conv_dw)

# %% [markdown] tags=["hint"]
# `met[:, :, a, b]` is what the kernel entry $(i, j)$ has met at the position $(a, b)$. Multiply it by `g[:, :, a, b]` and
# add up over $n$, $a$ and $b$. What is left are $o$ and $c$.

# %% [markdown] tags=["hint"]
# `np.einsum` says it in letters: `g` is `noab`, `met` is `ncab`, and the result is `oc`.

# %% [markdown] tags=["hint"]
# `dw[:, :, i, j] = np.einsum("noab,ncab->oc", g, met)`


# %% tags=["solution"]
@tg.derivation(of="conv2d.dw")
def conv_dw(g, x, w, b, stride, padding):
    """g: (n, o, oh, ow), x: (n, c, h, w), w: (o, c, kh, kw). Return the cotangent of w, of its shape."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = g.shape[2:]
    dw = np.zeros_like(w)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            met = x[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]  # (n, c, oh, ow)
            dw[:, :, i, j] = np.einsum("noab,ncab->oc", g, met)
    return dw


lesson.check(conv_dw)

# %% [markdown]
# ## Back to the image
#
# Now collect at the inputs. In the small signal, $x_1 = -1$ was seen by both windows. In the first it met $w_1 = -3$, in
# the second $w_0 = 2$. So $\bar x_1 = 5 \cdot (-3) + 7 \cdot 2 = -1$. Two windows, two contributions, and they **add**.
#
# The convolution is a matrix, if you like:
#
# $$y = \begin{pmatrix} 2 & -3 & 0 \\ 0 & 2 & -3 \end{pmatrix} x, \qquad
# \bar x = \begin{pmatrix} 2 & 0 \\ -3 & 2 \\ 0 & -3 \end{pmatrix} g \tag{4}$$
#
# In words: *backward, each output entry lays a copy of the kernel, times its cotangent, back on its window.* That is the
# transposed matrix. So the function $g \mapsto \bar x$ is called a transposed convolution.
#
# **Predict:** an image of $6 \times 6$, a kernel of $3 \times 3$, stride 2, no padding. How many windows see each pixel?
# Draw the $6 \times 6$ numbers. Are there pixels that no window sees?

# %%
counts = tg.grad(lambda x: tg.conv2d(x, np.ones((1, 1, 3, 3)), stride=2).sum())(np.zeros((1, 1, 6, 6)))
print(counts.numpy()[0, 0].astype(int))

# %% [markdown]
# The last row and the last column are never seen: their cotangent is 0, whatever the loss is. The pixel $(2, 2)$ is seen
# by all four windows.
#
# ### Exercise 3: back to the image
#
# The loop is the same as before, with the roles changed: now each kernel entry *writes*. Write into an array that has the
# size of the padded image, then cut the padding off.


# %% tags=["exercise"]
@tg.derivation(of="conv2d.dx")
def conv_dx(g, x, w, b, stride, padding):
    """g: (n, o, oh, ow), x: (n, c, h, w), w: (o, c, kh, kw). Return the cotangent of x, of its shape."""
    n, c, height, width = x.shape
    rows, columns = g.shape[2:]
    dx = np.zeros((n, c, height + 2 * padding, width + 2 * padding), g.dtype)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            place = np.s_[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            raise NotImplementedError("what does the kernel entry (i, j) bring to dx[place], of shape (n, c, oh, ow)?")
    raise NotImplementedError("return dx without the padding")


lesson.check(conv_dx)

# %% [markdown] tags=["hint"]
# At each position, `g[n, o, a, b] * w[o, c, i, j]`, added up over $o$. With einsum: `"noab,oc->ncab"`.

# %% [markdown] tags=["hint"]
# Windows overlap. So `dx[place] += ...`, not `=`. (One slice never contains the same entry twice, so `+=` is safe here.)

# %% [markdown] tags=["hint"]
# `return dx[:, :, padding : padding + height, padding : padding + width]`. The slice `padding:-padding` would be empty
# for a padding of 0.


# %% tags=["solution"]
@tg.derivation(of="conv2d.dx")
def conv_dx(g, x, w, b, stride, padding):
    """g: (n, o, oh, ow), x: (n, c, h, w), w: (o, c, kh, kw). Return the cotangent of x, of its shape."""
    n, c, height, width = x.shape
    rows, columns = g.shape[2:]
    dx = np.zeros((n, c, height + 2 * padding, width + 2 * padding), g.dtype)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            place = np.s_[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
            dx[place] += np.einsum("noab,oc->ncab", g, w[:, :, i, j])
    return dx[:, :, padding : padding + height, padding : padding + width]


lesson.check(conv_dx)

# %% [markdown]
# ## On a real digit
#
# We take a digit of $8 \times 8$ pixels and a kernel that looks for edges. **Predict:** the cotangent $g$ is 5 at one
# output position and 0 everywhere else. What does $\bar x$ look like? And $\bar w$?

# %%
digits = tg.data.load("digits")
image = digits.x_train[4:5].astype(np.float64) / digits.x_train.max()
edge = np.array([[[[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]]]])
output, pullback = tg.vjp(lambda x, w: tg.conv2d(x, w), image, edge)
one = np.zeros(output.shape)
one[0, 0, 1, 3] = 5.0
to_image, to_kernel = (d.numpy()[0, 0] for d in pullback(one))
print("dw is 5 times the window of x:", np.allclose(to_kernel, 5 * image[0, 0, 1:4, 3:6]))
print("dx holds 5 times the kernel:", np.allclose(to_image[1:4, 3:6], 5 * edge[0, 0]))

# %% tags=["picture"]
figure, axes = plt.subplots(1, 4, figsize=(10, 2.7))
shown = [("x, the digit", image[0, 0]), ("y, its edges", output.numpy()[0, 0]), ("g, one entry", one[0, 0])]
shown.append(("dx, the kernel laid back", to_image))
for axis, (title, values) in zip(axes, shown, strict=True):
    largest = np.abs(values).max()
    axis.imshow(values, cmap="RdBu", vmin=-largest, vmax=largest)
    axis.set_title(title, fontsize=10)
    axis.axis("off")
picture(
    figure,
    "Four pictures. A digit of 8 by 8 pixels; its edges, 6 by 6; a cotangent with one entry that is not zero; and the "
    "cotangent of the digit, which is zero except for a copy of the 3 by 3 kernel at the window of that entry.",
)

# %% [markdown]
# One entry of $g$ lays one copy of the kernel on its window. It is not flipped, neither up and down nor left and right.
# And $\bar w$ is 5 times what the kernel has met there.
#
# ## The transposed convolution as a layer
#
# Networks that draw images use the function $g \mapsto \bar x$ in the forward direction. The layer is called
# `conv_transpose2d`. Its input is the small array, and its output the large one. **Predict:** what is *its* backward pass
# to the input?
#
# ### Exercise 4: the adjoint of the adjoint
#
# In this exercise $x$ has the shape $(n, o, h, w)$, and $g$ is large: $(n, c, (h-1)s + k_h, (w-1)s + k_w)$. The helper
# `windows(g, kh, kw, stride)` gives what each position sees, of the shape $(n, c, h, w, k_h, k_w)$.


# %% tags=["setup"]
def windows(x, kh, kw, stride):
    """All windows of an image. x: (n, c, h, w); result: (n, c, rows, columns, kh, kw)."""
    return np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))[:, :, ::stride, ::stride]


# %% tags=["exercise"]
@tg.derivation(of="conv_transpose2d.dx")
def transposed_dx(g, x, w, stride):
    """g: (n, c, (h-1)·stride + kh, ...), x: (n, o, h, w), w: (o, c, kh, kw). Return the cotangent of x."""
    raise NotImplementedError


lesson.check(transposed_dx)

# %% [markdown] tags=["hint"]
# Transpose a matrix twice. What do you get?

# %% [markdown] tags=["hint"]
# It is the plain convolution of $g$ with $w$: `np.einsum(..., windows(g, kh, kw, stride), w)`, over $c$, $i$ and $j$.

# %% [markdown] tags=["hint"]
# The letters are `"ncabij,ocij->noab"`.


# %% tags=["solution"]
@tg.derivation(of="conv_transpose2d.dx")
def transposed_dx(g, x, w, stride):
    """g: (n, c, (h-1)·stride + kh, ...), x: (n, o, h, w), w: (o, c, kh, kw). Return the cotangent of x."""
    return np.einsum("ncabij,ocij->noab", windows(g, *w.shape[2:], stride), w)


lesson.check(transposed_dx)

# %% [markdown]
# ## Three functions are enough
#
# Call the three functions of (2) `conv2d(x, w)`, `conv2d_input(g, w)` for $\bar x$, and `conv2d_weight(x, g)` for
# $\bar w$. Each is linear in both arguments. Differentiate `conv2d_input(g, w)`, with the cotangent $v$ of its result:
# the number is $\langle v, \bar x \rangle$, which is (1) with $v$ in the place of $x$. So what stands beside $g$ is
# `conv2d(v, w)`, and what stands beside $w$ is `conv2d_weight(v, g)`. The same three functions again! They give all
# derivatives of all orders:
#
# $$\begin{array}{l|ll}
# \text{function} & \text{to its first argument} & \text{to its second} \\ \hline
# \mathtt{conv2d}(x, w) & \mathtt{conv2d\_input}(v, w) & \mathtt{conv2d\_weight}(x, v) \\
# \mathtt{conv2d\_input}(g, w) & \mathtt{conv2d}(v, w) & \mathtt{conv2d\_weight}(v, g) \\
# \mathtt{conv2d\_weight}(x, g) & \mathtt{conv2d\_input}(g, v) & \mathtt{conv2d}(x, v)
# \end{array} \tag{5}$$
#
# Test it with numbers. In the small example, punish the input gradient: $P = \frac12 \lVert \bar x \rVert^2$ with
# $\bar x = (10, -1, -21)$. So $P = 271$. The cotangent of $\bar x$ is $\bar x$ itself. By the second row of (5),
# $\partial P / \partial g$ is the convolution of $\bar x$ with $w$: $(2 \cdot 10 + 3 \cdot 1,\; -2 + 3 \cdot 21) = (23, 61)$.
# **Predict** $\partial P/\partial w$: let $g = (5, 7)$ slide along $\bar x$.


# %%
def half_square(w, g):
    _, pullback = tg.vjp(lambda x: slide(x, w), x)
    return 0.5 * (pullback(g)[0] ** 2).sum()


print("P:", half_square(w, g).item())
print("∂P/∂w, ∂P/∂g:", *[d.numpy() for d in tg.grad(half_square, (0, 1))(w, g)])

# %% [markdown]
# $(10 \cdot 5 - 1 \cdot 7,\; -1 \cdot 5 - 21 \cdot 7) = (43, -152)$.
#
# ### Exercise 5: the double backward of a convolution
#
# The first order gives $\bar x$, $\bar w$ and the bias's cotangent. Their cotangents are $u = (u_x, u_w, u_b)$. Return the
# cotangents of $x$, $w$, $b$ and $g$. The three functions are given below. `conv` has no bias; its strides and paddings are
# passed on in `how`.


# %% tags=["setup"]
def conv(x, w, how):
    return tg.conv2d(tg.Tensor(x), tg.Tensor(w), **how).numpy()


def conv_input(g, x, w, how):
    """The cotangent of x; of x, only the shape counts."""
    return tg.vjp(lambda x: tg.conv2d(x, tg.Tensor(w), **how), x)[1](g)[0].numpy()


def conv_weight(g, x, w, how):
    """The cotangent of w; of w, only the shape counts."""
    return tg.vjp(lambda w: tg.conv2d(tg.Tensor(x), w, **how), w)[1](g)[0].numpy()


# %% tags=["exercise"]
@tg.derivation(of="conv2d.double")
def conv_double(g, u, x, w, b, stride, padding):
    """u: (ux, uw, ub) of the shapes of x, w and b. Return dx, dw, db and dg, of the shapes of x, w, b and g."""
    how = {"stride": stride, "padding": padding}
    raise NotImplementedError


lesson.check(conv_double)

# %% [markdown] tags=["hint"]
# Write the number $\langle u_x, \bar x \rangle + \langle u_w, \bar w \rangle + \langle u_b, \bar b \rangle$ with (1). The
# first term holds $u_x$, $w$, $g$. The second holds $x$, $u_w$, $g$. The third holds $u_b$ and $g$.

# %% [markdown] tags=["hint"]
# $x$ stands beside $u_w$ and $g$: `conv_input(g, x, uw, how)`. $w$ stands beside $u_x$ and $g$. $b$ does not occur.

# %% [markdown] tags=["hint"]
# $g$ stands in all three: `conv(ux, w, how) + conv(x, uw, how) + ub[:, None, None]`.


# %% tags=["solution"]
@tg.derivation(of="conv2d.double")
def conv_double(g, u, x, w, b, stride, padding):
    """u: (ux, uw, ub) of the shapes of x, w and b. Return dx, dw, db and dg, of the shapes of x, w, b and g."""
    how = {"stride": stride, "padding": padding}
    ux, uw, ub = u
    dg = conv(ux, w, how) + conv(x, uw, how) + ub[:, None, None]
    return conv_input(g, x, uw, how), conv_weight(g, ux, w, how), np.zeros_like(b), dg


lesson.check(conv_double)

# %% [markdown]
# ## The library's reverse layer
#
# A convolution layer in tinygrad2 has a reverse layer. It shares the weight, and the geometry: stride, padding and sizes.
# The reverse of the reverse is the convolution without the bias.

# %%
layer = nn.Conv2d(1, 2, 3, stride=2, rng=0).astype(np.float64)
trace = layer.trace(image)
rev = trace.reverse()
print(rev)
u = np.random.default_rng(1).standard_normal(trace.output.shape)
v = np.random.default_rng(2).standard_normal(image.shape)
print("⟨u, J v⟩:", (rev.reverse()(v) * u).sum().item(), "  ⟨Jᵀu, v⟩:", (rev(u) * v).sum().item())

# %% [markdown]
# ## Break it on purpose: a test that cannot see a flip
#
# A careless test takes nice numbers: $x = (3, -1, 3)$, and a cotangent of ones. **Predict:** what is $\bar w$? And what
# does a rule give that flips the kernel's gradient?

# %%
palindrome = np.array([3.0, -1.0, 3.0])
for g_test in (np.array([1.0, 1.0]), np.array([5.0, 7.0])):
    right = tg.vjp(lambda w: slide(palindrome, w), w)[1](g_test)[0].numpy()
    print("g:", g_test, "  right:", right, "  flipped:", right[::-1])

# %% [markdown]
# With ones, both are $(2, 2)$: the flip is invisible. With $g = (5, 7)$ they are $(8, 16)$ and $(16, 8)$. So take numbers
# that are all different, and never a cotangent of ones.
#
# ## Summary
#
# * Everything is in one sum over wires, $\sum x\,w\,g$. Sorted by outputs it gives $y$, by inputs $\bar x$, by kernel
#   entries $\bar w$.
# * $\bar w$: slide $g$ along $x$. Nothing is flipped.
# * $\bar x$: each entry of $g$ lays a copy of the kernel on its window. Where windows overlap, the copies add. With a
#   stride, some pixels may get nothing.
# * The three functions are each other's derivatives. So they give every order.
# * Means and sums, palindromes and ones hide mistakes.
#
# ## Quiz
#
# For questions 1 to 3: $x = (1, 4, -2, 3)$, $w = (2, 5)$, $g = (3, -1, 2)$.
#
# **1.** What is $\bar x$?

# %% [markdown] tags=["answer"]
# $(6, 13, -1, 10)$: $6$, then $15 - 2$, then $-5 + 4$, then $10$.

# %% [markdown]
# **2.** What is $\bar w$?

# %% [markdown] tags=["answer"]
# $(-5, 20)$: $3 - 4 - 4$ and $12 + 2 + 6$.

# %% [markdown]
# **3.** Which number do $\langle y, g \rangle$, $\langle x, \bar x \rangle$ and $\langle w, \bar w \rangle$ have in common?

# %% [markdown] tags=["answer"]
# 90.

# %% [markdown]
# **4.** $g$ is all ones of the shape $(2, 3, 4, 4)$: two samples, three output channels. What is the cotangent of the
# bias?

# %% [markdown] tags=["answer"]
# $(32, 32, 32)$: two samples times 16 positions.

# %% [markdown]
# **5.** A $6 \times 6$ image, a $3 \times 3$ kernel, stride 2: which entries of $\bar x$ are zero for every $g$?

# %% [markdown] tags=["answer"]
# The last row and the last column. No window reaches them.

# %% [markdown]
# ## Further reading
#
# * V. Dumoulin and F. Visin, [A guide to convolution arithmetic for deep learning](https://arxiv.org/abs/1603.07285), 2016:
#   strides, paddings and transposed convolutions in pictures.
# * Y. LeCun and others, *Gradient-based learning applied to document recognition*, Proceedings of the IEEE 1998.
# * A. Odena, V. Dumoulin and C. Olah, *Deconvolution and Checkerboard Artifacts*, Distill 2016: what it looks like when
#   overlaps are uneven.
#
# Next: lesson 5 does the same for pooling. Each lesson stands alone.
