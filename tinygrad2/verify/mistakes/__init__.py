"""The mistakes that have a name, by where they are repaired: the result, the operands, the terms, linearity."""
