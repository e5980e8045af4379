"""What receivers are handed: everything that arrived, by link."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel.coding import Delivered, unpacked
from commenv.channel.message import Received
from commenv.channel.wire import HEADER

__all__ = ["free_form_of", "received"]


def free_form_of(inbox: list[Delivered], num_links: int) -> list[list[Any]]:
    """Free-form payloads that arrived, a list for each link, in order of arrival.

    Raises:
        MalformedMessage: One cannot be read.
    """
    payloads: list[list[Any]] = [[] for _ in range(num_links)]
    for delivered in inbox:
        for position, link in enumerate(delivered.packets.links.tolist()):
            payloads[link].append(unpacked(delivered.packets, position))
    return payloads


def received(
    inbox: list[Delivered], dtype: np.dtype[np.void], shape: tuple[int, int]
) -> Received:
    """Records that arrived, by link and, within a link, in order of arrival."""
    links = _joined([one.packets.links for one in inbox], np.intp)
    headers = _joined([one.packets.headers for one in inbox], HEADER)
    lengths = _joined([one.lengths for one in inbox], np.int64)
    records = _joined([one.records for one in inbox], dtype)
    if len(inbox) > 1:
        # Messages are put in order by link; a message's records move as one piece, so
        # each record's old place is that of its message's first one, plus its place in
        # the message.
        order = np.argsort(links, kind="stable")
        first = (np.cumsum(lengths) - lengths)[order]
        links, headers, lengths = links[order], headers[order], lengths[order]
        begin = np.cumsum(lengths) - lengths
        inside = np.arange(lengths.sum()) - np.repeat(begin, lengths)
        records = records[np.repeat(first, lengths) + inside]
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts.reshape(-1), links, lengths)
    return Received(records, counts, headers, lengths)


def _joined(parts: list[Any], dtype: Any) -> NDArray[Any]:
    if len(parts) == 1:
        return np.asarray(parts[0])  # which may be most of what a study holds
    return np.concatenate(parts) if parts else np.empty(0, dtype)
