"""Whether a codec keeps its promises."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Codec, Decoded, Encoded, Incoming, MessageDraws, Messages
from commenv.errors import MalformedMessage
from commenv.rng import Draws

__all__ = ["check_codec"]

GRADIENT = np.dtype([("step", "<i4"), ("gradient", "<f8", (11,))])
_SHAPE = (3, 4)
_ROUNDS = 5
_SILENT_ROUND = 2  # nobody speaks in it
_COUNTS = (1, 20, 600)
_REPEATS = 400
_LONG = 200  # rounds in which a memory that grows by a tenth in each would show
_LARGE = 1e5
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
    shapes that it started with, and stays bounded while messages do.

    If it says how large its error is, no more is measured: on normal, constant,
    heavy-tailed and sparse numbers, for records of ``dtype`` and of 1, 20 and 600
    numbers. If it says that it is unbiased, the mean of what is read is the message.

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
    for other in (dtype, *map(_gradient, _COUNTS)):
        if other is dtype or _takes(codec, other):
            _check_error(codec, other)
            _check_bounded(codec, other, records)


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


def _gradient(count: int) -> np.dtype[Any]:
    return np.dtype([("gradient", "<f8", (count,))])


def _takes(codec: Codec, dtype: np.dtype[Any]) -> bool:
    """Whether a codec can encode such records; it may be made for others."""
    try:
        codec.start((1, 1), dtype)
    except (TypeError, ValueError):
        return False
    return True


def _check_error(codec: Codec, dtype: np.dtype[Any]) -> None:
    """Measures what a codec says of its error, with every vector sent many times."""
    numbers = [name for name in dtype.names or () if dtype[name].base.kind == "f"]
    count = sum(math.prod(dtype[name].shape) for name in numbers)
    bound = codec.relative_error(count) if count else None
    if bound is None:
        return
    assert bound >= 0, f"says that its relative error is at most {bound}"
    errors, biases = {}, {}
    for kind, vector in _vectors(count).items():
        records = _filled(dtype, numbers, vector)
        sent = _flat(records, numbers)
        read = _flat(_read(codec, records.repeat(_REPEATS)), numbers)
        size = (sent**2).sum() or 1.0
        errors[kind] = ((read - sent) ** 2).sum(axis=1) / size
        biases[kind] = ((read.mean(axis=0) - sent) ** 2).sum() / size
    # What happens once in some hundred messages may not have happened here.
    rare = 5 / _REPEATS if any(error.std() > 1e-9 for error in errors.values()) else 0
    for kind, error in errors.items():
        about = f"of {kind} numbers in a record of {count}"
        least = error.mean() - 5 * error.std() / math.sqrt(_REPEATS) - rare
        assert least <= bound + 1e-6, (
            f"says that its relative error is at most {bound:.4g}, but it is "
            f"{error.mean():.4g} {about}"
        )
        assert not codec.unbiased or biases[kind] <= 20 * bound / _REPEATS + 1e-6, (
            "says that it is unbiased, but the mean of what is read is off by "
            f"{math.sqrt(biases[kind]):.3g} times the message {about}"
        )


def _filled(
    dtype: np.dtype[Any], numbers: list[str], vector: NDArray[np.float64]
) -> NDArray[Any]:
    """One record of these real numbers; its other fields are 0."""
    record = np.zeros(1, dtype)
    at = 0
    for name in numbers:
        size = math.prod(dtype[name].shape)
        record[name] = vector[at : at + size].reshape(dtype[name].shape)
        at += size
    return record


def _vectors(count: int) -> dict[str, NDArray[np.float64]]:
    """Numbers that codecs have trouble with, of shape (count,)."""
    random = np.random.default_rng(count)
    sparse, ends = np.zeros((2, count))
    sparse[0] = ends[-1] = 3.7
    ends[0] -= 3.7
    return {
        "normal": random.normal(size=count),
        "constant": np.full(count, 3.7),
        "heavy-tailed": random.standard_cauchy(size=count),
        "sparse": sparse,
        "two-sided": ends,
        "zero": np.zeros(count),
    }


def _read(codec: Codec, records: NDArray[Any]) -> NDArray[Any]:
    """What is read of records that are sent by as many senders."""
    shape, links = (len(records), 1), np.arange(len(records))
    messages = Messages(records, np.ones(shape, dtype=np.int64))
    sequence = np.zeros(len(links), np.uint32)
    draws = MessageDraws(Draws(7, range(len(links)), 1), "codec", links, sequence)
    encoded, _ = codec.encode(messages, codec.start(shape, records.dtype), draws)
    incoming = Incoming(encoded.data, encoded.sizes, links, sequence)
    receiver = codec.start_receiver(shape, records.dtype)
    return codec.decode(incoming, records.dtype, receiver, draws).records


def _flat(records: NDArray[Any], numbers: list[str]) -> NDArray[np.float64]:
    columns = [records[name].reshape(len(records), -1) for name in numbers]
    return np.concatenate(columns, axis=1, dtype=np.float64)


def _check_bounded(codec: Codec, dtype: np.dtype[Any], records: int) -> None:
    """Sends many messages of one size, and looks at what is remembered."""
    memory = codec.start((1, 1), dtype)
    if not memory:
        return
    draws, link = Draws(7, [0], 1), np.zeros(1, dtype=np.intp)
    random, accepted = np.random.default_rng(0), np.ones((1, 1), dtype=np.bool_)
    for episode in range(_LONG):
        sent = np.zeros(records, dtype)
        for name in dtype.names or ():
            sent[name] = random.normal(size=sent[name].shape).astype(dtype[name].base)
        own = MessageDraws(draws, "codec", link, np.full(1, episode, np.uint32))
        messages = Messages(sent, np.full((1, 1), records))
        _, pending = codec.encode(messages, memory, own)
        memory = codec.commit(memory, pending, accepted)
        memory = codec.acknowledge(memory, pending, accepted, ~accepted)
        for name, values in memory.items():
            if values.dtype.kind == "f":
                most = np.abs(values).max(initial=0.0)
                assert most < _LARGE, (
                    f"memory {name!r} has grown to {most:.3g} after {episode + 1} "
                    f"messages of normal numbers in records of {dtype}; what it left "
                    "out is made up for by a codec that is not a contraction"
                )


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
