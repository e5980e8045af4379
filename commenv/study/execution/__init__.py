"""How a study runs: its blocks, what they measure, and where they run."""

__all__: list[str] = []
