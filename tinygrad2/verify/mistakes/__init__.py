"""The mistakes that have a name. Each is a hypothesis with a repair: a way to get the right answer from the wrong rule.

hypothesis.py: what a hypothesis is, and what all repairs are written with
result.py: what a change of the result repairs: sign, constant factor, order of the axes, shape, a sum left out
nonlinear.py: the cotangent is ignored, masks itself, or is joined by a constant
operands.py: operands transposed, flipped, exchanged, or another saved value in their place
factors.py: a factor made of a saved value is missing, is there too often, or stands for another
terms.py: a term of a sum is missing, or has a wrong sign or weight
constants.py: the numbers that a factor may be, with their names
"""
