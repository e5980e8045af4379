"""What a study shows: curves, figures, tables, statistics and claims."""

__all__: list[str] = []
