"""More rounds for a block that was run when its study had fewer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from commenv.errors import ResultsError
from commenv.study.storage.frame import evaluations_in
from commenv.study.storage.provenance import unlike
from commenv.study.storage.stored_block import StoredBlock

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_goes_on"]


def check_goes_on(
    block: StoredBlock, table: pa.Table, evaluate_every: int, name: str
) -> None:
    """Checks that a block of more rounds begins with what is stored.

    Args:
        block: What is stored of the same trials.
        table: The same with more rounds.
        evaluate_every: Rounds from one evaluation to the next.
        name: What messages call the block.

    Raises:
        ResultsError: A column differs, or what is stored is damaged.
    """
    old = block.table()
    key = ["trial", "episode"]
    new = table.to_pandas().set_index(key)
    new = new.loc[new.index.isin(old.set_index(key).index)].reset_index()
    if len(new) < len(old):
        raise ResultsError(
            f"{name} with more rounds has fewer than {block.path} holds; {_cure(block)}"
        )
    # Every trial's last round is evaluated, and is not the last one any more.
    due = (old["episode"].to_numpy() + 1) % evaluate_every == 0
    sometimes = evaluations_in(map(str, old.columns))
    for column in old.columns:
        rows = due if column in sometimes else np.ones_like(due)
        one, other = (frame[column].to_numpy()[rows] for frame in (old, new))
        same = (one == other) | ((one != one) & (other != other))
        if not same.all():
            raise ResultsError(
                f"the first rounds of {name} are not those in {block.path}: "
                f"{column!r} differs in {np.count_nonzero(~same)} of {len(same)} rows; "
                f"{_cure(block)}"
            )


def _cure(block: StoredBlock) -> str:
    """What may have made them differ, and what to do."""
    why = "a part depends on how many rounds are planned (it should declare plans)"
    if other := unlike(block.seal.software):
        why = f"they were computed on a machine of another type ({'; '.join(other)})"
    return f"{why}; nothing was changed: run the study into a new folder"
