"""The figures of E. Gunn's thesis: their studies, their claims, and the verdicts."""

from commenv_baselines.thesis.figure import Curve, Figure, Scale

__all__ = ["Curve", "Figure", "Scale"]
