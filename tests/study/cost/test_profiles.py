from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from commenv.errors import UnknownNameError
from commenv.study.cost import LTE, PROFILES, LoRa, Measured, WiFi, link_profile
from commenv.study.cost.profile import fragments


def test_profiles_have_names():
    assert {"lora": LoRa, "lte": LTE, "wifi": WiFi} == PROFILES
    assert link_profile("lora") == LoRa()
    own = LoRa(spreading_factor=9)
    assert link_profile(own) is own


def test_a_csv_is_read(tmp_path):
    path = tmp_path / "My Link.CSV"
    path.write_text("bytes,seconds,joules\n16,1,2\n")
    found = link_profile(str(path))
    assert isinstance(found, Measured)
    assert found.rows == ((16.0, 1.0, 2.0, 0.0),)


@pytest.mark.parametrize(("name", "near"), [("lroa", "lora"), ("WIFI", "wifi")])
def test_a_misspelt_name_is_told_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"did you mean '{near}'"):
        link_profile(name)


def test_another_name_is_told_them_all():
    with pytest.raises(UnknownNameError, match=r"lora, lte, wifi; or name a .csv file"):
        link_profile("5000")
    with pytest.raises(TypeError, match=r"a link is a name, the path of .* got 3"):
        link_profile(3)


@pytest.mark.parametrize("cls", PROFILES.values())
def test_profiles_are_frozen_and_say_where_they_come_from(cls):
    profile = cls()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(profile, dataclasses.fields(cls)[0].name, 7)
    assert profile.described == f"{profile.name}: {profile.source}"
    assert profile.leaves_out
    assert pickle.loads(pickle.dumps(profile)) == profile
    for field in dataclasses.fields(cls):
        assert f"{field.name}:" in cls.__doc__


@pytest.mark.parametrize("cls", PROFILES.values())
@pytest.mark.parametrize("direction", ["uplink", "downlink"])
def test_larger_messages_never_cost_less(cls, direction):
    cost = cls().cost(np.arange(5000), direction)
    for values in cost:
        assert values.shape == (5000,)
        assert (np.diff(values) >= -1e-15).all()
        assert (values >= 0).all()
    assert (cost.seconds > 0).all()
    nothing = cls().cost(np.zeros(0, dtype=np.int64), direction)
    assert [values.shape for values in nothing] == [(0,)] * 3


def test_fragments_are_full_but_for_the_last():
    full, last = fragments(np.array([0, 1, 10, 11, 20, 21]), 10)
    assert full.tolist() == [0, 0, 0, 1, 1, 2]
    assert last.tolist() == [0, 1, 10, 1, 10, 1]
