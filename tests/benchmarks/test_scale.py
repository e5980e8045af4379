import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scale(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scale

    yield scale
    sys.modules.pop("scale", None)


def test_a_crowd_on_lossy_links_adds_up(scale):
    found = scale.lossy_crowd(300, 5)
    assert found["wrong"] == []
    assert found["lost"] > 0
    assert found["alive"] > 1


def test_nested_json_holds_every_step_of_every_trial(scale, monkeypatch):
    written = []
    monkeypatch.setattr(
        scale.json, "dumps", lambda steps: written.append(steps) or "four"
    )
    assert scale.nested_json(3, 2) == {"disk": 12}
    ((first, second),) = written
    assert len(first) == len(second) == 5
    for walk in (*first, *second):
        assert walk[0]["state"] == 0
        for one, after in pairwise(walk):
            assert one["next_state"] == after["state"]
        assert walk[-1]["terminated"] or len(walk) == 200


def test_a_measurement_is_a_process_of_its_own(scale, monkeypatch):
    monkeypatch.setattr(scale, "__file__", str(BENCHMARKS / "scale.py"))
    assert json.dumps(scale.measured("nested_json", 1, 1)).startswith('{"disk": ')
