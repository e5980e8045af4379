"""A small version of ``python -m tests.damage``: no damaged number is read."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

from commenv.study.storage import stored_block
from tests.damage import KINDS, cut, damage, files_of, flipped, targets


@pytest.fixture(scope="module")
def studies():
    logger = logging.getLogger("commenv")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    with targets() as found:
        yield {kind: target for target in found for kind in target.kinds}
    logger.setLevel(before)


@pytest.mark.parametrize("change", [flipped, cut])
@pytest.mark.parametrize("kind", KINDS)
def test_no_number_is_read_from_a_damaged_file(studies, kind, change):
    assert files_of(studies[kind].folder, kind)
    found = damage(studies[kind], kind, 6, change, seed=1)
    assert found.wrong == []
    assert found.unseen == []
    read = kind not in ("trace", "checkpoints")  # by more than verify and a fallback
    assert found.refused == 6 * read


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_other_numbers_would_be_found(studies, monkeypatch):
    """Without checksums, this very test reads damaged policies without a word."""
    monkeypatch.setattr(
        stored_block,
        "read_sealed",
        lambda path, expected, within: path.read_bytes(),
    )
    found = damage(studies["policies"], "policies", 20, flipped, seed=1)
    assert any("load_policy" in line for line in found.wrong)


def test_what_is_cut_is_another_file():
    rng = np.random.default_rng(0)
    data = bytes(1000) + bytes(range(1, 251))
    for change in (flipped, cut):
        assert all(change(data, rng) != data for _ in range(200))
