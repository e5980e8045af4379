"""The sizes of a study's messages: a histogram for each trial, kept beside its table.

It is the ledgers' at the end of a trial: what left a sender counts, whatever became of
it then, and what a batch sends on after the trial has stopped does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel import HEADER_SIZE
from commenv.errors import ResultsError
from commenv.snapshots import Resumable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from commenv.channel import Network
    from commenv.wrappers import Star

__all__ = ["DIRECTIONS", "SIZE_COLUMNS", "SIZE_DTYPES", "SentSizes", "check_sizes"]

DIRECTIONS = ("uplink", "downlink", "acknowledgement")
"""An acknowledgement is a header that the learner returns to an agent."""

SIZE_COLUMNS: dict[str, str] = {
    "label": "what the curve is called",
    "trial": "number of the training run, from 0",
    "direction": f"{DIRECTIONS[0]}, {DIRECTIONS[1]} or {DIRECTIONS[2]}",
    "payload": "bytes of payload in a message",
    "header": "bytes of header in a message",
    "receivers": "how many hear one transmission",
    "messages": "how many such messages all agents, or their learner, sent",
}
"""The columns of the histogram: two of text, the others whole numbers."""

_TEXTS = ("label", "direction")
_COUNTED = ("trial", "direction", "payload", "receivers", "messages")

SIZE_DTYPES = {name: "str" if name in _TEXTS else "int64" for name in SIZE_COLUMNS}
"""The type of each column."""


class SentSizes(Resumable):
    """What was sent in each trial of a block, until it stopped.

    Args:
        star: The block's links, whose ledgers are read.
        label: The arm's label.
        trials: The trials' numbers.
    """

    _remembered: ClassVar[tuple[str, ...]] = ("_rows",)

    def __init__(self, star: Star, label: str, trials: list[int]) -> None:
        self._star = star
        self._label = label
        self._trials = np.asarray(trials)
        self._rows: list[dict[str, NDArray[Any]]] = []

    @property
    def any(self) -> bool:
        """Whether any trial has stopped."""
        return bool(self._rows)

    def keep(self, stopped: NDArray[np.bool_]) -> None:
        """Takes the histograms of the trials that have just stopped."""
        if not stopped.any():
            return
        star = self._star
        once = star.downlink.channel.medium == "broadcast"
        heard_by = {"uplink": 1, "downlink": star.shape[1] if once else 1}
        for direction in heard_by:
            network: Network = getattr(star, direction)
            sent = network.ledger.sizes
            which = stopped[sent.trials]
            self._add(
                direction,
                sent.trials[which],
                sent.payload[which],
                sent.messages[which],
                heard_by[direction],
            )
            confirmed = network.ledger.acknowledgements.sum(axis=1)
            which = stopped & (confirmed > 0)
            positions = np.flatnonzero(which)
            nothing = np.zeros(len(positions), dtype=np.int64)
            self._add("acknowledgement", positions, nothing, confirmed[which], 1)

    def table(self) -> pa.Table:
        """A table of :data:`SIZE_COLUMNS`, ordered by trial, direction and payload."""
        import pyarrow as pa

        joined = {
            name: np.concatenate([row[name] for row in self._rows]) for name in _COUNTED
        }
        order = np.lexsort((joined["payload"], joined["direction"], joined["trial"]))
        columns = {name: values[order] for name, values in joined.items()}
        columns["direction"] = np.asarray(DIRECTIONS)[columns["direction"]]
        columns["label"] = np.full(len(order), self._label)
        columns["header"] = np.full(len(order), HEADER_SIZE)
        return pa.table({name: columns[name] for name in SIZE_COLUMNS})

    def _add(
        self,
        direction: str,
        positions: NDArray[np.intp],
        payload: NDArray[np.int64],
        messages: NDArray[np.int64],
        receivers: int,
    ) -> None:
        count = len(positions)
        self._rows.append(
            {
                "trial": self._trials[positions].astype(np.int64),
                "direction": np.full(count, DIRECTIONS.index(direction)),
                "payload": payload,
                "receivers": np.full(count, receivers),
                "messages": messages,
            }
        )


def check_sizes(frame: pd.DataFrame) -> None:
    """Checks that a frame is a histogram of sizes.

    Raises:
        ResultsError: A column is missing or of another type, a number is negative, or a
            direction is unknown.
    """
    from pandas.api.types import is_integer_dtype, is_string_dtype

    for name, meaning in SIZE_COLUMNS.items():
        if name not in frame.columns:
            raise ResultsError(f"it lacks the column {name!r} ({meaning})")
        fits = is_string_dtype if name in _TEXTS else is_integer_dtype
        if len(frame) and not fits(frame[name]):
            raise ResultsError(
                f"its column {name!r} holds {frame[name].dtype} ({meaning})"
            )
        if name not in _TEXTS and bool((frame[name] < 0).any()):
            raise ResultsError(f"its column {name!r} is negative ({meaning})")
    for direction in frame["direction"].unique():
        if direction not in DIRECTIONS:
            raise ResultsError(
                f"its direction {direction!r} is none of {', '.join(DIRECTIONS)}"
            )
