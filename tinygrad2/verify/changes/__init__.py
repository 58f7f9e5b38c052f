"""The changes of a right backward pass by which a wrong rule can come about. Each file is one kind of change.

search.py: what a change is, and the points at which changes are tried
weights.py: a value, a use of it or a path counts c times; not at all: it was treated as a constant
rules.py: another local rule: a wrong slope, a wrong operand, a map transposed, reversed or shifted
elsewhere.py: a derivative taken at the wrong value, along the wrong axis, or of f with another constant
factors.py: a factor made of the values at hand too many or too few
cotangents.py: a value gets the cotangent of another one
first_order.py: a double backward that is the right derivative of a wrong first-order rule
parts.py: only some of the entries
pairs.py: two of these at once
"""
