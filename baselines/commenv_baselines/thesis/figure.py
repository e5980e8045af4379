"""What a figure of the thesis is: curves, their settings, and claims about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from commenv.study.analysis.claims import Claim
from commenv.study.analysis.figures import DEFAULT_PANELS

__all__ = ["Context", "Curve", "Figure", "Scale"]


@dataclass(frozen=True)
class Curve:
    """One curve of a figure.

    Attributes:
        label: What it is called; unique within its figure. A number of the thesis'
            agents stands in braces, as in ``"ES {50}"``, and is replaced by how many
            are run; see :meth:`Scale.words`.
        algorithm: Short name.
        settings: Of the algorithm.
        scheme: Short name; the algorithm's own when None.
        scheme_settings: Of the scheme.
        num_agents: The figure's when None.
        control: Whether it is ours: a control, or our own defaults, beside what the
            thesis drew.
    """

    label: str
    algorithm: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    scheme: str | None = None
    scheme_settings: Mapping[str, Any] = field(default_factory=dict)
    num_agents: int | None = None
    control: bool = False


@dataclass(frozen=True)
class Scale:
    """How much of a figure is run.

    Attributes:
        trials: Independent training runs.
        episodes: Rounds of each, at least 2, since a curve has a length.
        agents: The share of the thesis' agents, in (0, 1].

    Raises:
        ValueError: Fewer trials or rounds, or a share outside (0, 1].
    """

    trials: int
    episodes: int
    agents: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("episodes", 2)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"{name} is {value}; at least {least} is needed")
        if not 0 < self.agents <= 1:
            raise ValueError(f"agents {self.agents} is no share in (0, 1]")

    def of(self, agents: int) -> int:
        """How many agents stand for so many of the thesis', at least 1."""
        return max(1, round(agents * self.agents))

    def words(self, text: str) -> str:
        """A text with the numbers of agents that are run, not the thesis'.

        ``"ESPC ({50}, {25})"`` is ``"ESPC (10, 5)"`` at a fifth of the agents.
        """
        return re.sub(r"\{(\d+)\}", lambda found: str(self.of(int(found[1]))), text)


@dataclass(frozen=True)
class Context:
    """What a figure's claims are written against.

    Attributes:
        figure: The figure's number.
        scale: What is run, fixed beforehand.
        optimum: The exact optimum of the figure's environment, where known.
    """

    figure: str
    scale: Scale
    optimum: float | None

    @property
    def trials(self) -> int:
        """The number of trials."""
        return self.scale.trials

    def late(self, rounds: int) -> int:
        """So many last rounds, or all where there are fewer."""
        return min(rounds, self.scale.episodes)


@dataclass(frozen=True)
class Figure:
    """A figure of the thesis, as a study that can be run.

    Attributes:
        number: As printed, such as ``"3.4"``.
        title: What it shows.
        environment: A Gymnasium id.
        env_kwargs: The environment's arguments.
        panels: What the thesis draws.
        evaluations: How often a trial is evaluated, evenly over its rounds.
        evaluation_episodes: Episodes of an evaluation, where there are no tables.
        num_agents: Agents of a trial.
        gamma: The discount.
        paper: The thesis' scale.
        quick: A scale at which it is seen to work.
        report: The scale of REPRODUCTION.md: the thesis', with as many trials as make
            the 95 % interval of every difference of evaluations reach at most 5 % of
            the score range to either side, by a pilot on seed 1; on Ant, what half an
            hour of two cores holds.
        curves: What is run.
        claims: What the thesis says, as inequalities, for given trials and episodes.
        said: What the thesis says, in words.
        note: What has to be known of the settings to read the verdicts. Facts alone:
            what no claim tests has no place here.
        not_tested: What the thesis says and no claim tests, with the reason.
    """

    number: str
    title: str
    environment: str
    num_agents: int
    gamma: float
    paper: Scale
    quick: Scale
    report: Scale
    curves: tuple[Curve, ...]
    claims: Callable[[Context], list[Claim]]
    said: str
    note: str = ""
    not_tested: str = ""
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    panels: tuple[str, ...] = DEFAULT_PANELS
    evaluations: int = 40
    evaluation_episodes: int = 10

    def at(self, scale: Scale) -> Figure:
        """The figure with its curves called by the agents that are run.

        Raises:
            ValueError: So few agents that several curves are one and the same.
        """
        curves = tuple(
            replace(curve, label=scale.words(curve.label)) for curve in self.curves
        )
        labels = [curve.label for curve in curves]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(
                f"with {scale.agents:.0%} of the agents several curves of figure "
                f"{self.number} are the same ({twice[0]!r}); give a larger share of "
                "the agents"
            )
        return replace(self, curves=curves)
