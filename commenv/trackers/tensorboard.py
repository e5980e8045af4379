"""TensorBoard: event files in a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from commenv.checks import path_of
from commenv.study.spec import Study
from commenv.study.storage.names import arm_folder
from commenv.trackers.tracker import Tracker

__all__ = ["TensorBoard"]

_SECONDS_TO_DISK = 10


class TensorBoard(Tracker):
    """Writes each trial as ``DIRECTORY/00-dql/trial-00003``; scalars are float32.

    The description of a run stands under its text, as ``config``.

    Args:
        directory: Show it with ``tensorboard --logdir DIRECTORY``.
        every: See :class:`~commenv.trackers.Tracker`.
    """

    title: ClassVar[str] = "TensorBoard"
    extra: ClassVar[str] = "tensorboard"
    cure: ClassVar[str] = "see whether the folder can be written to, or choose another"

    def __init__(self, directory: str | Path, every: int = 1) -> None:
        super().__init__(every)
        self._directory = path_of("directory", directory)
        self._places: dict[str, int] = {}

    def on_start(self, study: Study) -> None:
        """Takes the settings, and the order of the arms."""
        super().on_start(study)
        self._places = {arm.label: place for place, arm in enumerate(study.arms)}

    def begin(self, label: str, trial: int, config: Mapping[str, Any]) -> Any:
        """An event file; see :class:`~commenv.trackers.Tracker`."""
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        place = self._places[label]
        folder = self._directory / arm_folder(place, label) / f"trial-{trial:05d}"
        file = EventFileWriter(str(folder), flush_secs=_SECONDS_TO_DISK)
        lines = json.dumps(config, indent=1).splitlines()
        text = "\n".join(f"    {line}" for line in lines)  # code, to Markdown
        kind = SummaryMetadata(
            plugin_data=SummaryMetadata.PluginData(plugin_name="text")
        )
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        value = Summary.Value(tag="config", tensor=tensor, metadata=kind)
        file.add_event(_event(0, [value]))
        return file

    def log(self, run: Any, step: int, values: Mapping[str, float]) -> None:
        """Writes an event."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        scalars = (
            Summary.Value(tag=name, simple_value=value)
            for name, value in values.items()
        )
        run.add_event(_event(step, scalars))

    def finish(self, run: Any, pruned: bool | None) -> None:
        """Closes the file."""
        run.close()


def _event(step: int, values: Any) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Event(wall_time=time.time(), step=step, summary=Summary(value=values))
