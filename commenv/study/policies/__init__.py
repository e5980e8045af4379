"""The trained policies of a results folder: loading, playing and drawing them."""

__all__: list[str] = []
