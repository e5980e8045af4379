"""Reference algorithms for commenv, one file each."""

__all__ = ["dql"]
