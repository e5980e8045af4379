"""Where a study is kept: its folder, its manifest, and the files of its blocks."""

__all__: list[str] = []
