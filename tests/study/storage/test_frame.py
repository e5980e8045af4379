from __future__ import annotations

import re

import numpy as np
import pytest

from commenv.errors import ResultsError
from commenv.study.storage.frame import COLUMNS, KEY, NAMES, validate

pd = pytest.importorskip("pandas")


def small_frame():
    """Two trials of two episodes, every cell 0 or text unless it must be more."""
    cells = {"str": "dql", "int64": 0, "float64": 0.0}
    frame = pd.DataFrame({c.name: [cells[c.dtype]] * 4 for c in COLUMNS})
    return frame.assign(
        num_agents=5,
        trial=[0, 0, 1, 1],
        episode=[0, 1, 0, 1],
        evaluation=np.nan,
        held_evaluation=np.nan,
    )


def test_the_columns_are_the_promised_ones_in_order():
    assert NAMES == (
        "label",
        "environment",
        "algorithm",
        "scheme",
        "codec",
        "num_agents",
        "trial",
        "episode",
        "env_steps",
        "episode_length",
        "reward",
        "episode_return",
        "evaluation",
        "held_evaluation",
        "frequency",
        "messages",
        "size",
        "header_size",
        "downlink_size",
        "downlink_header_size",
        "total_size",
        "refused",
        "refused_bytes",
        "lost",
        "invalid",
        "expired",
        "penalty",
        "downlink_refused",
        "downlink_lost",
        "downlink_penalty",
    )
    assert KEY == ("label", "trial", "episode")


def test_every_byte_column_says_its_unit():
    in_bytes = {c.name for c in COLUMNS if c.definition.endswith("bytes")}
    assert in_bytes == {
        "size",
        "header_size",
        "downlink_size",
        "downlink_header_size",
        "total_size",
        "refused_bytes",
    }
    assert all(c.definition and "\n" not in c.definition for c in COLUMNS)


def test_a_frame_of_the_right_form_passes():
    validate(small_frame())
    validate(small_frame().iloc[:0])


def test_order_further_columns_categories_and_integers_are_allowed():
    frame = small_frame()[list(reversed(NAMES))]
    frame = frame.assign(mine=1, size=np.arange(4))
    validate(frame.astype({"label": "category", "environment": object}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": ["1", "2", "3", "4"]}, "column 'size' holds .*not float64.*bytes"),
        ({"trial": [0.0, 0.0, 1.0, 1.0]}, "column 'trial' holds float64, not int64"),
        ({"label": [1, 1, 1, 1]}, "column 'label' holds int64, not str"),
        (
            {"reward": [0.0, 0.0, 0.0, np.nan]},
            "column 'reward' has no value at label 'dql', trial 1, episode 1",
        ),
        (
            {"frequency": [0.0, 1.0, 1.25, 0.0]},
            "column 'frequency' is 1.25 at .* trial 1, episode 0; .* 0 to 1",
        ),
        ({"episode": [-1, 0, 0, 1]}, "column 'episode' is -1 at"),
        ({"num_agents": 0}, "column 'num_agents' is 0 at"),
        (
            {"episode": [0, 0, 0, 1]},
            "1 rows occur twice, the first at label 'dql', trial 0, episode 0",
        ),
    ],
)
def test_a_wrong_cell_is_named(change, words):
    with pytest.raises(ResultsError, match=words):
        validate(small_frame().assign(**change))


def test_missing_columns_are_listed():
    frame = small_frame().drop(columns=["size", "label"])
    with pytest.raises(ResultsError, match=re.escape("lacks label, size;")):
        validate(frame)
