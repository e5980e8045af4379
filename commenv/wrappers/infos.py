"""What senders are told of their messages, and what infos say of a channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from commenv.channel import FreeForm, Messages, Receipt
from commenv.channel.message import refuse_subclass
from commenv.wrappers.metrics import Meter, Metrics

__all__ = [
    "InfoNumbers",
    "SendResult",
    "beside",
    "comm_of",
    "messages_of",
    "payloads_of",
    "result_of",
    "totals_of",
]


class InfoNumbers(dict[str, float]):
    """Numbers by name, which libraries of arrays take for a vector, in their order.

    Learning libraries keep infos as tensors: ``numpy.asarray`` and ``torch.as_tensor``
    give float64 of shape (numbers,).
    """

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("numbers by name become an array by being copied alone")
        return np.array(list(self.values()), np.float64 if dtype is None else dtype)

    def __dlpack__(self, **arguments: Any) -> Any:
        return self.__array__().__dlpack__(**arguments)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.__array__().__dlpack_device__()


class SendResult(NamedTuple):
    """What a sender is told, and no more: what a link then loses is not in it.

    Attributes:
        accepted: Whether the message was sent, or waits to be.
        messages: Messages left in the budget's window; inf without a limit.
        bytes: Bytes left.
    """

    accepted: bool
    messages: float
    bytes: float


def result_of(receipt: Receipt, agent: int = 0) -> SendResult:
    """One agent's part of the receipt of a single trial."""
    left = receipt.left
    return SendResult(
        bool(receipt.accepted[0, agent]),
        float(left.messages[0, agent]),
        float(left.bytes[0, agent]),
    )


def beside(info: Mapping[str, Any], **told: Any) -> dict[str, Any]:
    """An info with what a channel tells, beside what it held already.

    What an inner channel told under the same key moves to ``"inner_..."``, and what was
    there to ``"inner_inner_..."``, so that wrappers around wrappers lose nothing.

    Args:
        info: What the environment gave; it is left as it is.
        **told: What to add. ``_comm`` is the mask of ``comm``, as in the infos of
            vector environments.
    """
    if told.keys().isdisjoint(info):
        return {**info, **told}
    joined = dict(info)
    for key, value in told.items():
        if key in joined:
            _move_inwards(joined, key)
        joined[key] = value
    return joined


def _move_inwards(info: dict[str, Any], key: str) -> None:
    mask = "_" if key.startswith("_") else ""
    inner = f"{mask}inner_{key.removeprefix(mask)}"
    if inner in info:
        _move_inwards(info, inner)
    info[inner] = info[key]


def comm_of(meter: Meter) -> list[InfoNumbers]:
    """``info["comm"]`` for every sender of a single trial.

    Args:
        meter: Of the network on which they send.

    Returns:
        One dictionary for each: ``sent`` and ``refused``, messages of the episode so
        far, ``messages_left`` and ``bytes_left``.
    """
    return [
        InfoNumbers(sent=sent, refused=refused, messages_left=messages, bytes_left=size)
        for sent, refused, messages, size in meter.known
    ]


def totals_of(metrics: Metrics, agent: int = 0) -> InfoNumbers:
    """``info["episode_comm"]``: one agent's metrics as numbers by name."""
    return InfoNumbers(
        {name: values[0, agent].item() for name, values in vars(metrics).items()}
    )


def messages_of(payloads: Sequence[Any]) -> Messages | FreeForm:
    """The messages of a single trial's agents.

    Args:
        payloads: One for each agent: records (a one-dimensional structured array, of
            which an empty one is silence), or a free-form payload, of which None is
            silence. Where one sends records the others send records or None.

    Raises:
        TypeError: Records and free-form payloads, or records of two dtypes; a dtype
            that is not a wire format, or a masked array, say.
        ValueError: Records that are not one-dimensional, or hold NaN.
    """
    forms = {_form(payload) for payload in payloads if payload is not None}
    if len(forms) > 1:
        raise TypeError(
            f"messages of {' and of '.join(sorted(map(_spell, forms)))} in one "
            "sending; keep to one form"
        )
    form = forms.pop() if forms else None
    if form is None:
        return FreeForm(payloads, (1, len(payloads)))
    for payload in payloads:
        refuse_subclass(payload, "records")  # which joining them would hide
    parts = [
        np.empty(0, form) if payload is None else np.atleast_1d(payload)
        for payload in payloads
    ]
    for part in parts:
        if part.ndim != 1:
            raise ValueError(f"records of shape {part.shape}; give one dimension")
    return Messages(np.concatenate(parts), np.array([[len(part) for part in parts]]))


def payloads_of(payloads: Any, num_envs: int) -> list[Any]:
    """A payload for each agent of a vector, None for silence.

    Raises:
        TypeError: A text, bytes or a set.
        ValueError: An agent that does not exist.
    """
    if not isinstance(payloads, Mapping):
        if isinstance(payloads, (str, bytes, Set)):
            raise TypeError(
                f"payloads are {payloads!r}; give a list of one for each of the "
                f"{num_envs} agents, None for silence, or a dictionary by number"
            )
        return list(payloads)
    flat = [None] * num_envs
    for agent, payload in payloads.items():
        if isinstance(agent, bool) or agent not in range(num_envs):
            raise ValueError(
                f"a payload of agent {agent!r}; agents are the numbers 0 to "
                f"{num_envs - 1} (one message for each: a list of dictionaries)"
            )
        flat[agent] = payload
    return flat


def _form(payload: Any) -> np.dtype[np.void] | None:
    """The dtype of records; None for what has no fixed form."""
    if isinstance(payload, (np.ndarray, np.void)) and payload.dtype.names is not None:
        return payload.dtype
    return None


def _spell(form: np.dtype[np.void] | None) -> str:
    return "free form" if form is None else str(form)
