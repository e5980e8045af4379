from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import FreeForm, Messages, Received
from commenv.channel.message import check_record_dtype, schema_of
from commenv.channel.wire import HEADER

STEP = np.dtype([("state", "<i4"), ("reward", "<f8")])


def steps(*rewards: float) -> np.ndarray:
    records = np.zeros(len(rewards), STEP)
    records["state"] = np.arange(len(rewards))
    records["reward"] = rewards
    return records


@pytest.mark.parametrize(
    "fields",
    [
        [("flag", "?"), ("small", "i1"), ("count", "<u8")],
        [("half", "<f2"), ("single", "<f4"), ("double", "<f8")],
        [("gradient", "<f8", (3, 2))],
    ],
)
def test_packed_little_endian_numbers_are_a_wire_format(fields):
    check_record_dtype(np.dtype(fields))


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (np.dtype("<f8"), "needs a structured dtype"),
        (np.dtype([]), "needs a structured dtype"),
        (np.dtype([("x", "O")]), "field 'x' has dtype"),
        (np.dtype([("x", "<U3")]), "field 'x' has dtype '<U3'"),
        (np.dtype([("x", "S3")]), "field 'x' has dtype"),
        (np.dtype([("x", "<c8")]), "field 'x' has dtype '<c8'"),
        (np.dtype([("x", "<M8[s]")]), "field 'x' has dtype"),
        (np.dtype([("x", ">f8")]), "field 'x' has dtype '>f8'"),
        (np.dtype([("x", ">i4", (2,))]), "field 'x' has dtype '>i4'"),
        (np.dtype([("x", [("y", "<i4")])]), "field 'x' has dtype"),
        (
            np.dtype([("a", "i1"), ("b", "<f8")], align=True),
            "'b' begins at byte 8, not 1",
        ),
        (np.dtype([("a", "<f8"), ("b", "i1")], align=True), "fill 9 of its 16 bytes"),
        (
            np.dtype({"names": ["a"], "formats": ["<i4"], "itemsize": 6}),
            "fill 4 of its 6 bytes",
        ),
        (
            np.dtype(
                {"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [0, 2]}
            ),
            "'b' begins at byte 2, not 4",
        ),
    ],
)
def test_other_dtypes_are_no_wire_format(dtype, message):
    with pytest.raises(TypeError, match=message):
        check_record_dtype(dtype)
    with pytest.raises(TypeError, match=message):
        Messages(np.zeros(1, dtype), np.array([[1]]))


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="it is a double here")
def test_a_long_double_is_no_wire_format():
    with pytest.raises(TypeError, match="up to 8 bytes"):
        check_record_dtype(np.dtype([("x", np.longdouble)]))


def test_the_schema_is_stable_and_tells_dtypes_apart():
    same = np.dtype([("state", "<i4"), ("reward", "<f8")])
    renamed = np.dtype([("state", "<i4"), ("return", "<f8")])
    shorter = np.dtype([("state", "<i4"), ("reward", "<f4")])
    assert schema_of(STEP) == schema_of(same) == 51871
    assert len({schema_of(STEP), schema_of(renamed), schema_of(shorter)}) == 3
    assert all(1 <= schema_of(np.dtype([(f"x{i}", "<f8")])) <= 65535 for i in range(99))


def test_records_belong_to_agents_in_trial_major_order():
    messages = Messages(steps(1, 2, 3, 4), np.array([[1, 0], [1, 2]]))
    assert messages.shape == (2, 2)
    assert messages.senders.tolist() == [0, 2, 3, 3]
    assert messages.trials.tolist() == [0, 1, 1, 1]


def test_silence_has_no_records():
    silent = Messages.silent(STEP, (2, 3))
    assert silent.shape == (2, 3)
    assert silent.counts.sum() == len(silent.records) == 0
    assert silent.records.dtype == STEP


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[1, 0]], "add up to 1 records"),
        ([[1, 2]], "add up to 3 records"),
        ([[3, -1]], "the least is -1"),
        ([1, 1], "give one count for each"),
        ([[[1, 1]]], "give one count for each"),
        ([[1.5, 1.2]], "whole numbers"),
        ([["1", "1"]], "whole numbers"),
    ],
)
def test_counts_must_add_up(counts, message):
    with pytest.raises(ValueError, match=message):
        Messages(steps(1, 2), np.array(counts))


def test_records_are_flat():
    with pytest.raises(ValueError, match=r"records has shape \(1, 2\)"):
        Messages(steps(1, 2)[None], np.array([[1, 1]]))


def test_nan_is_refused_with_its_field():
    with pytest.raises(ValueError, match="'reward' holds NaN in 1 of 2 values"):
        Messages(steps(1, np.nan), np.array([[1, 1]]))
    gradient = np.zeros(1, np.dtype([("gradient", "<f4", 3)]))
    gradient["gradient"][0, 1] = np.nan
    with pytest.raises(ValueError, match="'gradient' holds NaN in 1 of 3 values"):
        Messages(gradient, np.array([[1]]))


def test_infinity_is_a_number():
    Messages(steps(np.inf, -np.inf), np.array([[1, 1]]))


def test_a_message_mask_silences_whole_messages():
    messages = Messages(steps(1, 2, 3, 4), np.array([[1, 1], [0, 2]]))
    kept = messages.select(np.array([[False, True], [True, True]]))
    assert kept.counts.tolist() == [[0, 1], [0, 2]]
    assert kept.records["reward"].tolist() == [2, 3, 4]


def test_a_record_mask_keeps_single_records():
    messages = Messages(steps(1, 2, 3, 4), np.array([[1, 1], [0, 2]]))
    kept = messages.select(np.array([False, True, True, False]))
    assert kept.counts.tolist() == [[0, 1], [0, 1]]
    assert kept.records["reward"].tolist() == [2, 3]
    assert messages.counts.tolist() == [[1, 1], [0, 2]]


@pytest.mark.parametrize("shape", [(2, 2), (4,)])
def test_everything_and_nothing_can_be_selected(shape):
    messages = Messages(steps(1, 2, 3, 4), np.array([[1, 1], [0, 2]]))
    everything = messages.select(np.ones(shape, bool))
    assert everything.records["reward"].tolist() == [1, 2, 3, 4]
    assert everything.counts.tolist() == [[1, 1], [0, 2]]
    nothing = messages.select(np.zeros(shape, bool))
    assert nothing.counts.tolist() == [[0, 0], [0, 0]]
    assert nothing.records.dtype == STEP


@pytest.mark.parametrize("shape", [(3,), (2,), (1, 4), (4, 1), ()])
def test_a_mask_of_another_shape_is_refused(shape):
    messages = Messages(steps(1, 2, 3, 4), np.array([[1, 1], [0, 2]]))
    with pytest.raises(ValueError, match="the mask has shape"):
        messages.select(np.ones(shape, bool))


def test_a_mask_of_numbers_is_refused():
    messages = Messages(steps(1, 2), np.array([[1, 1]]))
    with pytest.raises(ValueError, match="dtype int64; give booleans"):
        messages.select(np.array([[1, 0]], np.int64))


def test_received_messages_keep_headers_and_lengths():
    received = Received(
        steps(1, 2, 3), np.array([[3, 0]]), np.zeros(2, HEADER), np.array([1, 2])
    )
    assert received.senders.tolist() == [0, 0, 0]
    assert received.lengths.tolist() == [1, 2]
    assert received.headers.dtype == HEADER


def test_free_form_holds_one_payload_for_each_agent():
    free = FreeForm([{"x": 1}, None], (1, 2))
    assert free.payloads == [{"x": 1}, None]
    with pytest.raises(ValueError, match="2 payloads for 2 x 2 agents"):
        FreeForm([1, 2], (2, 2))


def test_free_form_is_selected_by_message():
    free = FreeForm([1, 2, None, 4], (2, 2))
    kept = free.select(np.array([[True, False], [True, True]]))
    assert kept.payloads == [1, None, None, 4]
    assert kept.shape == (2, 2)


@pytest.mark.parametrize(
    "mask", [np.ones(2, bool), np.ones((2, 1), bool), np.ones((1, 2))]
)
def test_free_form_refuses_masks_of_another_shape_or_dtype(mask):
    with pytest.raises(ValueError, match="the mask has dtype"):
        FreeForm([1, 2], (1, 2)).select(mask)


class Metres(np.ndarray):
    """Numbers with a unit, as libraries of quantities have them."""


@pytest.mark.parametrize(
    "view", [lambda plain: plain.view(Metres), np.ma.asarray], ids=["unit", "mask"]
)
def test_records_that_mean_more_than_their_numbers_are_refused(view):
    plain = np.zeros(1, dtype=[("x", "<f8")])
    with pytest.raises(TypeError, match=r"records is a .*only the plain numbers would"):
        Messages(view(plain), np.ones((1, 1), dtype=int))


def test_how_an_array_is_stored_or_spelt_does_not_matter(tmp_path):
    stored = np.memmap(tmp_path / "x", dtype=[("x", "<f8")], mode="w+", shape=(1,))
    for plain in (stored, np.zeros(1, dtype=[("x", "<f8")]).view(np.recarray)):
        assert len(Messages(plain, np.ones((1, 1), dtype=int)).records) == 1
