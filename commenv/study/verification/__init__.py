"""Whether a stored study is whole, adds up, and can be computed again."""

__all__: list[str] = []
