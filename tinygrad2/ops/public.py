"""All functions that users call. They are under `tg.` too, where `tg.ops` has some more, which rules are made of."""

from tinygrad2.ops.activations import *
from tinygrad2.ops.analytic import *
from tinygrad2.ops.arrange import *
from tinygrad2.ops.attention import *
from tinygrad2.ops.classification import *
from tinygrad2.ops.creation import *
from tinygrad2.ops.cumulative import *
from tinygrad2.ops.einsum import *
from tinygrad2.ops.elementwise import *
from tinygrad2.ops.erf import *
from tinygrad2.ops.families import *
from tinygrad2.ops.functional import *
from tinygrad2.ops.joining import *
from tinygrad2.ops.linalg import *
from tinygrad2.ops.logic import *
from tinygrad2.ops.losses import *
from tinygrad2.ops.matrix import *
from tinygrad2.ops.normalization import *
from tinygrad2.ops.norms import *
from tinygrad2.ops.pooling import *
from tinygrad2.ops.reduce import *
from tinygrad2.ops.regression import *
from tinygrad2.ops.shape import *
from tinygrad2.ops.softmax import *
from tinygrad2.ops.sorting import *
