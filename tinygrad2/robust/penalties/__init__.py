"""Penalties on derivatives of a net by its input, each one function of a trace."""

__all__: list[str] = []
