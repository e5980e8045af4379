"""What a manifest says about a study: written, read, checked and rebuilt from one form.

A field stands here under the name that it has in :class:`commenv.study.spec.Study` and
in :class:`commenv.study.arm.Arm`. What is made of code (an algorithm, a scheme, a
channel) is plain data here, so a manifest can be read without importing anything.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from commenv.study.arm import MOST
from commenv.study.spec import Study

__all__ = ["ArmSettings", "StudySettings"]

_Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
_Place = Annotated[int, msgspec.Meta(ge=0, lt=MOST)]
_Number = int | float  # an integer stays one, so that a file's checksum stays its own


class ArmSettings(msgspec.Struct, forbid_unknown_fields=True):
    """An arm; the attributes are those of :class:`commenv.study.arm.Arm`."""

    label: str
    environment: str
    env_kwargs: dict[str, Any] | list[dict[str, Any]]
    time_limit: Annotated[int, msgspec.Meta(ge=1)]
    algorithm: dict[str, Any]
    scheme: dict[str, Any]
    num_agents: _Count
    uplink: dict[str, Any]
    downlink: dict[str, Any]


class StudySettings(msgspec.Struct, forbid_unknown_fields=True):
    """A study; the attributes are those of :class:`commenv.study.spec.Study`."""

    arms: list[ArmSettings]
    num_trials: _Count
    first_trial: _Place
    last_trial: _Place | None
    num_episodes: _Count
    gamma: _Number
    seed: int
    stop: dict[str, _Number] | None
    evaluate_every: _Count
    evaluation_episodes: _Count
    trace: bool

    @classmethod
    def of(cls, study: Study) -> StudySettings:
        """The settings of a study."""
        return msgspec.convert(study.describe(), cls)

    @property
    def labels(self) -> list[str]:
        """The arms' labels, in order."""
        return [arm.label for arm in self.arms]

    @property
    def trials(self) -> range:
        """The numbers of the trials that belong into the folder."""
        last = self.num_trials - 1 if self.last_trial is None else self.last_trial
        return range(self.first_trial, last + 1)

    def plain(self) -> dict[str, Any]:
        """The same in dictionaries and lists, as JSON holds it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain
