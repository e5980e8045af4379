from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import Codec, Encoded, Identity, Messages
from commenv.channel.codec import Incoming
from commenv.errors import MalformedMessage

PAIR = np.dtype([("index", "<u2"), ("value", "<f4")])


def pairs(*values: float) -> np.ndarray:
    records = np.zeros(len(values), PAIR)
    records["index"] = np.arange(len(values))
    records["value"] = values
    return records


def decode(data, sizes):
    sizes = np.array(sizes, dtype=np.int64)
    links = np.arange(len(sizes))
    incoming = Incoming(data, sizes, links, links.astype(np.uint32))
    return Identity().decode(incoming, PAIR, {}, None)


def test_identity_writes_the_records_as_they_stand():
    messages = Messages(pairs(1, 2, 3), np.array([[2, 0], [0, 1]]))
    encoded, memory = Identity().encode(messages, {}, None)
    assert encoded.data.tobytes() == messages.records.tobytes()
    assert encoded.data[:6].tobytes().hex() == "00000000803f"
    assert encoded.sizes.tolist() == [12, 0, 0, 6]
    assert encoded.present.tolist() == [True, False, False, True]
    assert memory == {}


def test_identity_copies_so_that_a_sender_may_reuse_its_records():
    messages = Messages(pairs(1), np.array([[1]]))
    encoded, _ = Identity().encode(messages, {}, None)
    messages.records["value"] = 9
    assert encoded.data.tobytes() == pairs(1).tobytes()


def test_identity_takes_records_that_are_not_contiguous():
    encoded, _ = Identity().encode(
        Messages(pairs(1, 2, 3)[::2], np.array([[2]])), {}, None
    )
    assert encoded.data.view(PAIR)["value"].tolist() == [1, 3]


def test_identity_reads_what_it_wrote():
    messages = Messages(pairs(1, 2, 3), np.array([[2, 0], [0, 1]]))
    encoded, _ = Identity().encode(messages, {}, None)
    records, lengths, _ = decode(encoded.data, encoded.sizes[encoded.present])
    assert records.tolist() == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert lengths.tolist() == [2, 1]


def test_identity_reads_nothing_from_nothing():
    records, lengths, _ = decode(np.empty(0, np.uint8), [])
    assert records.dtype == PAIR
    assert len(records) == len(lengths) == 0


@pytest.mark.parametrize(
    ("length", "sizes"), [(11, [6, 5]), (12, [5, 7]), (12, [6]), (6, [6, 6])]
)
def test_identity_refuses_payloads_that_are_no_whole_records(length, sizes):
    with pytest.raises(MalformedMessage, match="not a whole number of records of 6"):
        decode(np.zeros(length, np.uint8), sizes)


def test_identity_can_be_cut_between_records():
    assert Identity().record_size(PAIR) == 6
    assert Identity().start((2, 3), PAIR) == {}
    assert Identity().start_receiver((2, 3), PAIR) == {}
    assert Identity.name == "identity"


class Doubling(Identity):
    """Keeps a residue of two numbers for each agent; cannot be cut."""

    name = "doubling"

    def start(self, shape, dtype):
        return {"residue": np.zeros((*shape, 2)), "sent": np.zeros(shape, int)}

    def record_size(self, dtype):
        return Codec.record_size(self, dtype)


def test_a_codec_keeps_no_memory_and_cannot_be_cut_by_default():
    assert Codec.start(Identity(), (1, 2), PAIR) == {}
    assert Doubling().record_size(PAIR) is None


def test_commit_takes_the_pending_memory_where_a_message_was_accepted():
    codec = Doubling()
    memory = codec.start((2, 2), PAIR)
    pending = {
        "residue": np.arange(1.0, 9).reshape(2, 2, 2),
        "sent": np.array([[1, 2], [3, 4]]),
    }
    accepted = np.array([[True, False], [False, True]])
    after = codec.commit(memory, pending, accepted)
    assert after["residue"].tolist() == [[[1, 2], [0, 0]], [[0, 0], [7, 8]]]
    assert after["sent"].tolist() == [[1, 0], [0, 4]]
    assert memory["sent"].tolist() == [[0, 0], [0, 0]]


def test_encoded_is_a_plain_triple():
    encoded = Encoded(np.zeros(3, np.uint8), np.array([3]), np.array([True]))
    assert encoded._fields == ("data", "sizes", "present")
