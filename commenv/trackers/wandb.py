"""Weights & Biases: runs of a project, on its servers or offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from commenv.trackers.tracker import Tracker

__all__ = ["WandB"]


class WandB(Tracker):
    """Writes each trial as a run of a project; runs of an arm are a group.

    Args:
        project: The project's name.
        every: See :class:`~commenv.trackers.Tracker`.
        **settings: More arguments of ``wandb.init``, such as ``entity`` and ``tags``.
            ``mode="offline"`` writes files, which ``wandb sync`` uploads.
    """

    title: ClassVar[str] = "W&B"
    extra: ClassVar[str] = "wandb"
    cure: ClassVar[str] = (
        "see `wandb login` and the connection, or write files alone with "
        "WANDB_MODE=offline"
    )

    def __init__(self, project: str, every: int = 1, **settings: Any) -> None:
        super().__init__(every)
        self._project, self._settings = project, settings

    def begin(self, label: str, trial: int, config: Mapping[str, Any]) -> Any:
        """A run beside others; see :class:`~commenv.trackers.Tracker`."""
        import wandb

        own = {
            "project": self._project,
            "group": label,
            "name": f"{label}, trial {trial}",
            "config": dict(config),
            "reinit": "create_new",  # trials of a block run side by side
            "settings": wandb.Settings(silent=True, console="off"),
        }
        return wandb.init(**{**own, **self._settings})

    def log(self, run: Any, step: int, values: Mapping[str, float]) -> None:
        """Adds to the step."""
        run.log(dict(values), step=step)

    def finish(self, run: Any, pruned: bool | None) -> None:
        """Ends the run; one whose trial has not ended is marked as failed."""
        if pruned is not None:
            run.summary["pruned"] = pruned
        run.finish(exit_code=int(pruned is None))
