"""The trace of a block: every step and every message, as Parquet files.

    DIR/trace/00-dql/trials-00000-00024/steps-0000.parquet
    DIR/trace/00-dql/trials-00000-00024/messages-0000.parquet

A block's folder appears when the block is whole. A row of ``steps`` is one environment
step of one agent. A row of ``messages`` is one change of a message's fate: a message
that a budget queued has a row ``in_flight`` and later a second one; ``payload`` and
``header`` are bytes, ``clock`` the round of the change, and ``truncated`` marks a
message that a budget cut to ``payload``.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import HEADER_SIZE, Network
from commenv.channel.wire import TRUNCATED
from commenv.envs.batched import BatchedStep
from commenv.study.spec import Study
from commenv.study.storage.files import make_folder, sync_folder, usable
from commenv.wrappers import Star

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Trace", "expected_size"]

_ROWS_PER_FILE = 1_000_000
_BYTES_PER_STEP = 40
_BYTES_PER_MESSAGE = 50


def expected_size(study: Study) -> str:
    """The most that a study's trace can come to, in words."""
    rounds = len(study.trials) * study.num_episodes
    steps = rounds * sum(arm.num_agents * arm.time_limit for arm in study.arms)
    messages = 2 * rounds * sum(arm.num_agents for arm in study.arms)
    gigabytes = (steps * _BYTES_PER_STEP + messages * _BYTES_PER_MESSAGE) / 1e9
    return (
        f"at most {steps:,} steps and about {messages:,} messages, "
        f"{gigabytes:.3g} GB before compression"
    )


class Trace:
    """Writes what one block does; give it to the environment as its observer.

    Args:
        folder: Where the files go, once :meth:`finish` is called: as above.
        trials: The trials' numbers.
        num_agents: Agents of each.
        check_ours: Raises ResultsError where nothing may be written any more.

    Raises:
        ResultsError: The results folder cannot be written to, here or later.
    """

    def __init__(
        self,
        folder: Path,
        trials: list[int],
        num_agents: int,
        check_ours: Callable[[], None] = lambda: None,
    ) -> None:
        self._folder = folder
        self._root = folder.parents[2]
        self._check_ours = check_ours
        self._draft = folder.with_name(f".draft.{secrets.token_hex(4)}")
        with usable(self._root):
            check_ours()
            make_folder(self._root, folder.parent)
            self._draft.mkdir()
        self._trial = np.repeat(np.asarray(trials), num_agents)
        self._agent = np.tile(np.arange(num_agents), len(trials))
        self._num_agents = num_agents
        self.follow(np.ones(len(trials), dtype=np.bool_))
        self._steps, self._messages = _Rows(), _Rows()
        self._files = 0

    def follow(self, running: NDArray[np.bool_]) -> None:
        """Leaves out, from the next round on, the trials that have stopped."""
        self._followed = np.repeat(running, self._num_agents)

    def on_step(
        self,
        episode: int,
        index: int,
        active: NDArray[np.bool_],
        observations: NDArray[Any],
        actions: NDArray[Any],
        step: BatchedStep,
    ) -> None:
        """Takes a step of the active agents."""
        rows = np.flatnonzero(active & self._followed)
        self._steps.add(
            {
                "trial": self._trial[rows],
                "agent": self._agent[rows],
                "episode": np.full(len(rows), episode),
                "step": np.full(len(rows), index),
                "observation": _cells(np.asarray(observations)[rows]),
                "action": _cells(np.asarray(actions)[rows]),
                "reward": step.rewards[rows],
                "terminated": step.terminated[rows],
                "truncated": step.truncated[rows],
            }
        )

    def on_round(self, star: Star) -> None:
        """Takes the messages of a round out of the ledgers' journals."""
        for direction in ("uplink", "downlink"):
            self._take_journal(direction, getattr(star, direction))
        self._steps.settle()
        self._messages.settle()
        if self._steps.count + self._messages.count > _ROWS_PER_FILE:
            self._write()

    def finish(self) -> None:
        """Writes the rest, and lets the folder appear under its name."""
        self._write()
        with usable(self._root):
            self._check_ours()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._draft.rename(self._folder)
            sync_folder(self._folder.parent)

    def abandon(self) -> None:
        """Removes what was written."""
        shutil.rmtree(self._draft, ignore_errors=True)

    def _take_journal(self, direction: str, network: Network) -> None:
        for entry in network.ledger.journal or ():
            kept = self._followed[entry.links]
            links, headers = entry.links[kept], entry.headers[kept]
            count = len(links)
            self._messages.add(
                {
                    "direction": np.full(count, direction),
                    "trial": self._trial[links],
                    "agent": self._agent[links],
                    "episode": headers["episode"].astype(np.int64),
                    "sequence": headers["sequence"].astype(np.int64),
                    "fate": np.full(count, entry.fate.name.lower()),
                    "payload": entry.payload[kept],
                    "header": np.full(count, HEADER_SIZE),
                    "truncated": (headers["flags"] & TRUNCATED) > 0,
                    "clock": np.full(count, network.clock),
                }
            )
        if network.ledger.journal is not None:
            network.ledger.journal.clear()

    def _write(self) -> None:
        import pyarrow.parquet as pq

        for name, rows in (("steps", self._steps), ("messages", self._messages)):
            if rows.count:
                path = self._draft / f"{name}-{self._files:04d}.parquet"
                with usable(self._root):
                    self._check_ours()
                    pq.write_table(rows.take(), path, compression="zstd")
        self._files += 1


class _Rows:
    """Rows of a table, as they come: many small parts in a round, then one for it."""

    def __init__(self) -> None:
        self._round: list[dict[str, Any]] = []
        self._parts: list[dict[str, Any]] = []
        self.count = 0

    def add(self, part: dict[str, Any]) -> None:
        """Takes some rows of the round that is being played."""
        self._round.append(part)

    def settle(self) -> None:
        """Joins the round's rows; many small arrays would take far more memory."""
        if self._round:
            self._parts.append(_joined(self._round))
            self.count += len(self._parts[-1]["trial"])
            self._round = []

    def take(self) -> pa.Table:
        """All settled rows, which are then forgotten."""
        import pyarrow as pa

        columns = _joined(self._parts)
        self._parts, self.count = [], 0
        return pa.table(
            {
                name: pa.array(values if values.ndim == 1 else list(values))
                for name, values in columns.items()
            }
        )


def _cells(values: NDArray[Any]) -> Any:
    """One cell for each row: a number, or a list of numbers."""
    return values if values.ndim == 1 else values.reshape(len(values), -1)


def _joined(parts: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
