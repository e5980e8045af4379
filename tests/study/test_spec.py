from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.dql import DQL

import commenv
from commenv.errors import UnknownNameError
from commenv.learning import Algorithm, Always, Scheme
from commenv.learning.schemes import RandomChoice
from commenv.study import Study, arms
from commenv.study.arm import Arm
from commenv.study.storage.schema import ArmSettings, StudySettings
from tests.study.studies import built


@dataclass(frozen=True)
class Trigger(Always):
    """Has a setting without a default, and reads a signal that DQL does not offer."""

    name: ClassVar[str] = "trigger"
    requires: ClassVar[tuple[str, ...]] = ("boredom", "novelty")

    threshold: float


@dataclass(frozen=True)
class Patient(Always):
    name: ClassVar[str] = "patient"

    alpha: float = 0.25
    wait: int = 1


@dataclass(frozen=True)
class PatientDQL(DQL):
    name: ClassVar[str] = "patient dql"
    scheme: ClassVar[str] = f"{__name__}:Patient"


TRIGGER, PATIENT = f"{__name__}:Trigger", f"{__name__}:Patient"


def one_arm(*args, **kwargs):
    (arm,) = arms(*args, **kwargs)
    return arm


def labels(*args, **kwargs):
    return [arm.label for arm in arms(*args, **kwargs)]


def test_the_product_is_run_environment_by_environment():
    found = arms(
        ["SimpleGrid-v0", "WindyGrid-v0"],
        [DQL(alpha=0.5), DQL(alpha=0.9)],
        ["always", PATIENT],
    )
    assert [
        (arm.environment, arm.algorithm.alpha, arm.scheme.name) for arm in found
    ] == [
        (environment, alpha, scheme)
        for environment in ("SimpleGrid-v0", "WindyGrid-v0")
        for alpha in (0.5, 0.9)
        for scheme in ("always", "patient")
    ]
    assert len({arm.label for arm in found}) == 8


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("SimpleGrid-v0", "dql"), ["dql"]),
        (("SimpleGrid-v0", "dql", "always"), ["dql"]),
        (("SimpleGrid-v0", "dql", PATIENT), ["dql + patient"]),
        (("SimpleGrid-v0", "dql", ["always", PATIENT]), ["dql", "dql + patient"]),
        (
            (["SimpleGrid-v0", "WindyGrid-v0"], "dql"),
            ["dql, SimpleGrid-v0", "dql, WindyGrid-v0"],
        ),
        (
            ("SimpleGrid-v0", [DQL(), DQL(alpha=0.5, exploration=0.2)]),
            ["dql (defaults)", "dql (alpha=0.5, exploration=0.2)"],
        ),
        (
            ("SimpleGrid-v0", "dql", [Patient(), Patient(wait=2)]),
            ["dql + patient (defaults)", "dql + patient (wait=2)"],
        ),
        (
            ("SimpleGrid-v0", ["dql", DQL(alpha=0.5), PatientDQL()]),
            ["dql (defaults)", "dql (alpha=0.5)", "patient dql + patient"],
        ),
    ],
)
def test_labels_say_what_differs_and_no_more(arguments, expected):
    assert labels(*arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        ("SimpleGrid-v0", ["dql", "dql"]),
        (["SimpleGrid-v0", "SimpleGrid-v0"], "dql"),
        ("SimpleGrid-v0", [DQL(alpha=0.5), DQL(alpha=0.5)]),
        ("SimpleGrid-v0", ["dql", "commenv_baselines.dql:DQL"]),
    ],
)
def test_the_same_combination_twice_is_refused(arguments):
    with pytest.raises(ValueError, match=r"'dql.*' is asked for twice"):
        arms(*arguments)


def test_a_bare_setting_reaches_everything_that_has_it():
    arm = one_arm("SimpleGrid-v0", "dql", PATIENT, {"alpha": 0.5, "wait": 3})
    assert (arm.algorithm, arm.scheme) == (DQL(alpha=0.5), Patient(0.5, 3))


def test_a_prefixed_setting_reaches_one_and_wins_over_the_bare_one():
    arm = one_arm(
        "SimpleGrid-v0",
        "dql",
        PATIENT,
        {"dql.alpha": 0.7, "alpha": 0.5, f"{PATIENT}.wait": 4},
    )
    assert (arm.algorithm, arm.scheme) == (DQL(alpha=0.7), Patient(0.5, 4))


def test_settings_reach_the_scheme_that_the_algorithm_brings_along():
    arm = one_arm("SimpleGrid-v0", f"{__name__}:PatientDQL", settings={"wait": 3})
    assert arm.scheme == Patient(wait=3)


def test_a_setting_without_a_default_can_be_given():
    @dataclass(frozen=True)
    class Offering(DQL):
        signals: ClassVar[tuple[str, ...]] = ("novelty", "boredom")

    arm = one_arm("SimpleGrid-v0", Offering(), TRIGGER, {"threshold": 0.5})
    assert arm.scheme == Trigger(0.5)
    with pytest.raises(ValueError, match=f"{TRIGGER}.*threshold"):
        arms("SimpleGrid-v0", Offering(), TRIGGER)


def test_env_settings_reach_the_environment():
    arm = one_arm("SimpleGrid-v0", "dql", settings={"env.size": [3, 3]})
    assert arm.env_kwargs == {"size": [3, 3]}
    assert one_arm("SimpleGrid-v0", "dql").env_kwargs == {}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alpah": 0.5}, "unknown setting 'alpah'; did you mean 'alpha'"),
        ({"dql.alpah": 0.5}, "unknown setting of dql 'alpah'; did you mean 'alpha'"),
        ({"espc.m": 3}, "unknown setting 'espc.m'.*env\\."),
        ({"env.sizes": 3}, "SimpleGrid-v0 has no argument 'sizes'.*size"),
        ({"env.size": "big"}, "size 'big'"),
        ({"alpha": "big"}, "alpha of dql must be a number or None, got 'big'"),
        ({"alpha": 0}, "alpha 0.* is outside"),
        ({"dql.exploration": 1.5}, "exploration 1.5 is outside"),
    ],
)
def test_a_setting_that_nobody_has_or_wants_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        arms("SimpleGrid-v0", "dql", settings=settings)


def test_what_a_foreign_constructor_raises_names_the_environment():
    with pytest.raises(ValueError, match=r"FrozenLake-v1 cannot be made.*mapp") as seen:
        arms("FrozenLake-v1", "dql", settings={"env.map_name": "mapp"})
    assert isinstance(seen.value.__cause__, KeyError)


def test_an_environment_whose_package_is_missing_names_it(monkeypatch):
    def lacking(**kwargs):
        raise gym.error.DependencyNotInstalled("box is not installed, run pip")

    gym.register("Lacking-v0", lacking)
    try:
        with pytest.raises(ImportError, match=r"Lacking-v0 lacks.*box is not"):
            arms("Lacking-v0", "dql")
    finally:
        del gym.registry["Lacking-v0"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("SimpleGird-v0", "dql"), "unknown environment.*'SimpleGrid-v0'"),
        (("nowhere:Grid-v0", "dql"), "unknown module 'nowhere'"),
        (("SimpleGrid-v0", "dlq"), "unknown algorithm 'dlq'; did you mean 'dql'"),
        (("SimpleGrid-v0", "dql", "alwys"), "unknown scheme.*did you mean 'always'"),
        (("SimpleGrid-v0", f"{__name__}:DLQ"), "unknown class in .*'DLQ'"),
        (("SimpleGrid-v0", "nowhere:DQL"), "cannot import 'nowhere'"),
        (("SimpleGrid-v0", TRIGGER), "is not an Algorithm"),
        (("SimpleGrid-v0", "dql", f"{__name__}:DQL"), "is not a Scheme"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(arguments, words):
    with pytest.raises(ValueError, match=words):
        arms(*arguments)


def test_a_scheme_without_its_signals_is_refused_naming_who_offers_them():
    with pytest.raises(ValueError, match="reads boredom, novelty, which 'dql'") as one:
        arms("SimpleGrid-v0", "dql", Trigger(0.5))
    assert "algorithms that do: none installed" in str(one.value)

    class Half(Scheme):
        name = "half"
        requires = ()

        def select(self, signals, state, draws, left):
            raise NotImplementedError

    assert labels("SimpleGrid-v0", "dql", Half()) == ["dql + half"]


def test_more_senders_than_agents_are_refused_before_anything_is_run():
    (some,) = arms("SimpleGrid-v0", "dql", RandomChoice(m=4), num_agents=4)
    assert some.num_agents == 4
    with pytest.raises(ValueError, match="m 4 senders of 3 agents; give at most 3"):
        arms("SimpleGrid-v0", "dql", RandomChoice(m=4), num_agents=3)


def test_the_time_limit_is_the_ids_or_200_which_the_log_says(caplog):
    with caplog.at_level(logging.INFO, "commenv"):
        assert one_arm("FrozenLake-v1", "dql").time_limit == 100
        assert one_arm("SimpleGrid-v0", "dql").time_limit == 200
        assert not caplog.messages
        assert one_arm("CliffWalking-v1", "dql").time_limit == 200
    assert caplog.messages == [
        "CliffWalking-v1 sets no time limit: its episodes are cut after 200 steps"
    ]
    assert one_arm("CliffWalking-v1", "dql", max_episode_steps=7).time_limit == 7
    with pytest.raises(ValueError, match="max_episode_steps 0"):
        arms("SimpleGrid-v0", "dql", max_episode_steps=0)


def make_study(**changes):
    return built("SimpleGrid-v0", "dql", **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_agents": 0}, "num_agents is 0; at least 1"),
        ({"num_trials": -2}, "num_trials is -2; at least 1"),
        ({"num_episodes": 0}, "num_episodes is 0"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"evaluation_episodes": 0}, "evaluation_episodes is 0"),
        ({"gamma": 1.01}, r"gamma 1.01 is outside \[0, 1\]"),
        ({"gamma": -0.01}, "gamma -0.01 is outside"),
        ({"gamma": math.nan}, "gamma nan is outside"),
        ({"seed": -1}, "seed -1 is negative"),
        ({"stop": {"uplink_byte": 5}}, "unknown stop quantity.*'uplink_bytes'"),
        ({"stop": {"messages": 0}}, "stop messages=0; give a finite number above 0"),
        ({"stop": {"messages": math.nan}}, "messages=nan"),
        ({"stop": {"env_steps": math.inf}}, "env_steps=inf"),
    ],
)
def test_a_number_outside_its_range_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        make_study(**changes)


def test_a_study_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a study of nothing"):
        Study(())
    with pytest.raises(ValueError, match="environment is an empty list"):
        arms([], "dql")


@pytest.mark.parametrize("gamma", [0, 1])
def test_the_ends_of_the_discounts_range_are_allowed(gamma):
    assert make_study(gamma=gamma).gamma == gamma


def test_every_setting_is_in_the_description_and_json_keeps_it():
    study = built(
        "SimpleGrid-v0",
        DQL(alpha=0.5),
        Patient(wait=2),
        seed=2**70,
        uplink=commenv.Channel(
            budget=commenv.Budget(messages=3), link=commenv.BernoulliLoss(0.25)
        ),
        stop={"messages": 5},
    )
    described = study.describe()
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    text = re.sub(r"\s", "", json.dumps(described))
    for part in (
        f'"seed":{2**70}',
        '"stop":{"messages":5}',
        '"messages":3',
        '"probability":0.25',
        '"class":"commenv_baselines.dql:DQL","alpha":0.5',
        '"wait":2',
        '"time_limit":200',
        '"num_agents":5',
        '"trace":false',
    ):
        assert part in text
    assert "block" not in described
    assert "workers" not in described


@pytest.mark.parametrize(
    ("cls", "schema"), [(Arm, ArmSettings), (Study, StudySettings)]
)
def test_a_manifest_holds_every_field(cls, schema):
    assert {one.name for one in fields(cls)} == set(schema.__struct_fields__)


def test_numbers_of_other_types_are_floats_in_a_manifest():
    assert make_study(gamma=Fraction(1, 2)).describe()["gamma"] == 0.5


def test_the_description_tells_arrays_apart_and_has_no_nan():
    def describe(value):
        arm = one_arm("SimpleGrid-v0", "dql")
        arm.env_kwargs["x"] = value
        return json.dumps(arm.describe(), allow_nan=False)

    assert describe(np.array([1, 2])) != describe(np.array([1, 3]))
    assert describe(np.array([1, 2])) == describe((1, 2)) == describe([np.int64(1), 2])
    assert describe(math.inf) != describe(-math.inf) != describe(math.nan)


def test_unknown_name_errors_are_value_errors():
    assert issubclass(UnknownNameError, ValueError)
    assert issubclass(PatientDQL, Algorithm)
