from __future__ import annotations

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.cost import Measured, read_measured

TABLE = """\
# our bench, 3 May

bytes,seconds,joules
16,0.010,0.002
116,0.060,0.012
# far away
1116,0.160,0.112
"""


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "my.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_what_lies_between_two_rows_is_interpolated(written):
    link = read_measured(written(TABLE))
    cost = link.cost(np.array([16, 66, 116, 616, 1116]), "uplink")
    assert cost.seconds == pytest.approx([0.010, 0.035, 0.060, 0.110, 0.160])
    assert cost.sender == pytest.approx([0.002, 0.007, 0.012, 0.062, 0.112])
    assert not cost.receiver.any()
    assert link.described == "my.csv: our bench, 3 May"


def test_columns_may_stand_in_any_order_and_receivers_may_cost_too(written):
    text = "\ufeffreceiver_joules, joules ,bytes,seconds\r\n1,2,16,3\r\n5,6,17,7\r\n"
    cost = read_measured(written(text)).cost(np.array([16, 17]), "downlink")
    assert cost.seconds.tolist() == [3, 7]
    assert cost.sender.tolist() == [2, 6]
    assert cost.receiver.tolist() == [1, 5]


@pytest.mark.parametrize("size", [15, 1117])
def test_nothing_is_extrapolated(written, size):
    link = read_measured(written(TABLE))
    words = f"my.csv knows messages of 16 to 1116 bytes, .* one of {size} .* add a row"
    with pytest.raises(ResultsError, match=words):
        link.cost(np.array([16, size]), "uplink")


def test_a_table_of_one_row_knows_one_size():
    link = Measured(((16.0, 1.0, 2.0, 3.0),))
    assert link.cost(np.array([16, 16]), "uplink").seconds.tolist() == [1, 1]
    with pytest.raises(ResultsError, match="16 to 16 bytes"):
        link.cost(np.array([17]), "uplink")


HEADER = "bytes,seconds,joules\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty; begin it with the line bytes,seconds,joules"),
        ("# nothing\n\n", "is empty"),
        (HEADER, "has no rows"),
        ("16,1,1\n", "has the columns 16, 1, 1; give bytes, seconds, joules"),
        ("bytes,seconds\n16,1\n", "has the columns bytes, seconds; give"),
        ("bytes,seconds,joules,bytes\n", "each once"),
        ("bytes;seconds;joules\n16;1;1\n", "has the columns bytes;seconds;joules"),
        (HEADER + "16,1\n", "line 2 has 2 values; the header has 3"),
        (HEADER + "16,1,1,\n", "line 2 has 4 values"),
        (HEADER + "16,1,1\n\nsixteen,1,1\n", "line 4: bytes is 'sixteen'; give a num"),
        (HEADER + "16,-1,1\n", "line 2: seconds is '-1'; give a number of 0 or more"),
        (HEADER + "16,1,nan\n", "line 2: joules is 'nan'"),
        (HEADER + "16,inf,1\n", "line 2: seconds is 'inf'"),
        (HEADER + "1e300,1,1\n", "line 2: bytes is '1e300'"),
        (HEADER + '16,"1,5",1\n', "line 2: seconds is '1,5'; .* decimal point"),
        (HEADER + "16.5,1,1\n", "line 2: bytes is 16.5; give a whole number"),
        (HEADER + "16,1,1\n16,1,1\n", "line 3: 16 bytes after 16; give each size once"),
        (HEADER + "17,1,1\n16,1,1\n", "line 3: 16 bytes after 17; .* ascending order"),
        (HEADER + '16,"1,1\n', "line 2 is no CSV"),
        (HEADER + "16,1,1" + "\x1b[2J" * 99 + "\n", r"joules is '1\[2J"),
        (b"\xff\xfe\x00", "is no text: byte 0 is not UTF-8"),
        (HEADER + "\n" * 2**20, "more than 1,048,576 bytes"),
        (
            HEADER + "".join(f"{size},1,1\n" for size in range(10_001)),
            "more than 10,000 rows",
        ),
    ],
)
def test_a_table_of_another_form_is_refused_with_its_line_and_the_cure(
    written, content, words
):
    with pytest.raises(ValueError, match=words) as seen:
        read_measured(written(content))
    assert "my.csv" in str(seen.value)
    assert len(str(seen.value)) < 600
    assert str(seen.value).isprintable()


def test_a_table_that_is_not_there_is_refused(tmp_path):
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(ValueError, match=r"is no file; name a .csv that exists"):
            read_measured(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "has no rows"),
        (((16.0, 1.0, 1.0),), "give bytes, seconds and joules"),
        (((16.0, 1.0, 1.0, float("inf")),), "each finite"),
        (((2.0, 1.0, 1.0, 0.0), (1.0, 1.0, 1.0, 0.0)), "1 bytes after 2"),
    ],
)
def test_rows_given_in_python_are_held_to_the_same(rows, words):
    with pytest.raises(ValueError, match=words):
        Measured(rows)
