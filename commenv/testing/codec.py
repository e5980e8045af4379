"""Whether a codec keeps its promises."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Codec, Decoded, Encoded, Incoming, MessageDraws, Messages
from commenv.draws import Draws
from commenv.errors import MalformedMessage

__all__ = ["check_codec"]

GRADIENT = np.dtype([("step", "<i4"), ("gradient", "<f8", (11,))])
_SHAPE = (3, 4)
_ROUNDS = 5
_SILENT_ROUND = 2  # nobody speaks in it
_SPEAKING = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [0, 1, 1, 1]])


def check_codec(
    codec: Codec, dtype: np.dtype[Any] = GRADIENT, records: int = 1
) -> None:
    """Checks that a codec keeps the promises that channels rely on.

    Its sizes add up to its bytes, it reads as many records as it wrote, with integers
    and booleans intact, and if it says where payloads can be cut, they are multiples of
    that. It bears a round in which nobody speaks. It encodes a trial as if it were
    alone, leaves its inputs alone, survives pickling, and answers bytes that it did not
    write with MalformedMessage or with records, nothing else. What it commits has the
    shapes that it started with.

    Args:
        codec: The codec, with the settings to check it under.
        dtype: Of the records to check it with.
        records: Records of each message; 1 fits codecs that take no more.

    Raises:
        AssertionError: A promise that is broken.
    """
    assert isinstance(codec, Codec), f"{codec!r} is no Codec"
    assert isinstance(codec.name, str), "has no name"
    play = _Play(dtype, records)
    whole = play.rounds(codec)
    _same(whole, play.rounds(codec), "encodes differently when asked again")
    copied = pickle.loads(pickle.dumps(codec))
    _same(whole, play.rounds(copied), "encodes differently after pickling")
    for trial in range(_SHAPE[0]):
        mine = [part[trial : trial + 1] for part in whole]
        alone = play.rounds(codec, [trial])
        _same(mine, alone, f"encodes trial {trial} differently alone")
    _check_bytes_from_outside(codec, dtype)


class _Play:
    """Rounds of random messages, the same ones in every call."""

    def __init__(self, dtype: np.dtype[Any], records: int) -> None:
        self._dtype = dtype
        self._records = records

    def rounds(
        self, codec: Codec, trials: list[int] | None = None
    ) -> list[NDArray[Any]]:
        """What each agent's message is read as, as bytes: (trials, agents, ...)."""
        chosen = list(range(_SHAPE[0])) if trials is None else trials
        shape = (len(chosen), _SHAPE[1])
        draws, links = Draws(7, chosen, shape[1]), np.arange(shape[0] * shape[1])
        memory = codec.start(shape, self._dtype)
        receiver = codec.start_receiver(shape, self._dtype)
        started = _shapes(memory)
        seen = []
        for episode in range(_ROUNDS):
            messages = self._messages(episode, chosen)
            before = messages.records.copy(), _copy(memory)
            own = MessageDraws(draws, "codec", links, np.full(len(links), episode))
            encoded, pending = codec.encode(messages, memory, own)
            after = messages.records, memory
            assert _equal(before, after), "changes its inputs; return new arrays"
            _check_encoded(encoded, messages, codec.record_size(self._dtype))
            present = np.flatnonzero(encoded.present)
            incoming = Incoming(
                encoded.data,
                encoded.sizes[present],
                present,
                np.full(len(present), episode, np.uint32),
            )
            if len(present):  # nobody decodes nothing
                own = own.take(present)
                decoded = codec.decode(incoming, self._dtype, receiver, own)
                self._check_decoded(decoded, messages)
                receiver = decoded.memory
                seen.append(_by_agent(decoded.records, messages))
            accepted = messages.counts > 0
            memory = codec.commit(memory, pending, accepted)
            memory = codec.acknowledge(memory, pending, accepted, ~accepted & False)
            assert _shapes(memory) == started, (
                f"commits {_shapes(memory)}, and started with {started}"
            )
        return seen

    def _messages(self, episode: int, trials: list[int]) -> Messages:
        random = np.random.default_rng(episode)
        every = self._records * _SPEAKING * (episode != _SILENT_ROUND)
        records = np.zeros((_SHAPE[0], _SHAPE[1], self._records), self._dtype)
        for name in self._dtype.names or ():
            field = records[name]
            numbers = random.normal(scale=50, size=field.shape)
            records[name] = numbers.astype(field.dtype)
        counts = every[trials]
        return Messages(records[trials][counts > 0].ravel(), counts)

    def _check_decoded(self, decoded: Decoded, messages: Messages) -> None:
        counts = messages.counts.ravel()
        expected = counts[counts > 0].tolist()
        lengths = decoded.lengths.tolist()
        assert lengths == expected, f"reads {lengths} records of {expected}"
        assert decoded.records.dtype == self._dtype, (
            f"reads records of {decoded.records.dtype}, not {self._dtype}"
        )
        for name in self._dtype.names or ():
            if self._dtype[name].base.kind != "f":
                same = decoded.records[name] == messages.records[name]
                assert np.all(same), f"changes field {name!r}, which is no real number"


def _check_encoded(encoded: Encoded, messages: Messages, cut: int | None) -> None:
    counts = messages.counts.ravel()
    assert np.array_equal(encoded.present, counts > 0), (
        "says that agents have a message who have none, or the reverse"
    )
    assert encoded.sizes.sum() == len(encoded.data), (
        f"says {encoded.sizes.sum()} bytes, and writes {len(encoded.data)}"
    )
    assert not encoded.sizes[counts == 0].any(), "writes bytes for silent agents"
    if cut is not None:
        assert np.array_equal(encoded.sizes, counts * cut), (
            f"can be cut every {cut} bytes, but its records are of other sizes"
        )


def _check_bytes_from_outside(codec: Codec, dtype: np.dtype[Any]) -> None:
    random = np.random.default_rng(0)
    for size in (0, 1, 3, 8, 17, 40, 200, 1000):
        data = random.integers(0, 256, size, dtype=np.uint8)
        links = np.zeros(1, dtype=np.intp)
        number = np.zeros(1, dtype=np.uint32)
        incoming = Incoming(data, np.array([size]), links, number)
        draws = MessageDraws(Draws(7, [0], 1), "codec", links, number)
        receiver = codec.start_receiver((1, 1), dtype)
        try:
            codec.decode(incoming, dtype, receiver, draws)
        except MalformedMessage:
            continue
        except Exception as error:
            raise AssertionError(
                f"answers {size} bytes from outside with {type(error).__name__}: "
                f"{error}; raise MalformedMessage"
            ) from error


def _by_agent(records: NDArray[np.void], messages: Messages) -> NDArray[Any]:
    """Records as bytes, at their senders' places: (trials, agents, bytes)."""
    counts = messages.counts
    most, size = int(counts.max(initial=0)), records.dtype.itemsize
    out = np.zeros((counts.size, most, size), np.uint8)
    present = np.arange(most) < counts.reshape(-1, 1)
    out[present] = np.ascontiguousarray(records).view(np.uint8).reshape(-1, size)
    return out.reshape(*counts.shape, -1)


def _shapes(memory: dict[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    return {name: values.shape for name, values in memory.items()}


def _copy(memory: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: values.copy() for name, values in memory.items()}


def _equal(one: Any, other: Any) -> bool:
    return np.array_equal(one[0], other[0]) and all(
        np.array_equal(values, other[1][name]) for name, values in one[1].items()
    )


def _same(one: list[Any], other: list[Any], wrong: str) -> None:
    for episode, (left, right) in enumerate(zip(one, other, strict=True)):
        assert np.array_equal(left, right), f"{wrong} (message {episode})"
