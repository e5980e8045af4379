"""Which actions an agent may take now, as environments say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mask_of"]

_KEY = "action_mask"


def mask_of(info: Mapping[str, Any], observation: Any) -> NDArray[np.bool_] | None:
    """The mask of an agent's actions, from its info or else from its observation.

    Args:
        info: Of the agent; ``"action_mask"`` in it is true where an action is allowed.
        observation: Likewise, where it is a dictionary.

    Returns:
        bool, one entry for each choice, those of several components one after another;
        None where the environment says nothing.
    """
    mask = info.get(_KEY)
    if mask is None and isinstance(observation, Mapping):
        mask = observation.get(_KEY)
    if mask is None:
        return None
    parts = mask if isinstance(mask, (list, tuple)) else [mask]
    return np.concatenate([np.ravel(part) for part in parts]).astype(np.bool_)
