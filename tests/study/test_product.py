"""Arms that differ in anything, and what they are called."""

from __future__ import annotations

import pytest
from commenv_baselines.dql import DQL

import commenv
from commenv.channel import (
    BernoulliLoss,
    Budget,
    Chain,
    Channel,
    Delay,
    ErrorFeedback,
    Float16,
    TopK,
)
from commenv.study import arms

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

GRID, WINDY = "SimpleGrid-v0", "WindyGrid-v0"
TIGHT, WIDE = (Channel(budget=Budget(bytes=size)) for size in (60, 600))


def labels(*arguments, **fields):
    return [arm.label for arm in arms(*arguments, **fields)]


def test_the_product_of_all_fields_is_run():
    found = arms(
        [GRID, WINDY],
        ["dql", "davia"],
        settings=[{}, {"env.size": 3}],
        num_agents=[1, 2],
        uplink=[TIGHT, WIDE],
        downlink=[Channel(), Channel(link=Delay(1))],
    )
    assert len(found) == len({arm.label for arm in found}) == 2**6
    keys = {
        (
            arm.environment,
            arm.algorithm.name,
            str(arm.env_kwargs),
            arm.num_agents,
            arm.uplink,
            arm.downlink,
        )
        for arm in found
    }
    assert len(keys) == 2**6
    assert found[0].label == (
        "dql, SimpleGrid-v0, 1 agent, 60 B per episode, downlink perfect link"
    )
    assert found[-1].label == (
        "davia, WindyGrid-v0, env.size=3, 2 agents, 600 B per episode, "
        "downlink delay ticks=1"
    )


@pytest.mark.parametrize(
    ("channels", "words"),
    [
        ([Channel(), Channel(codec=Float16())], ["identity", "float16"]),
        (
            [Channel(codec=TopK(3)), Channel(codec=ErrorFeedback(TopK(4)))],
            ["top_k k=3", "top_k with feedback k=4"],
        ),
        ([TIGHT, WIDE], ["60 B per episode", "600 B per episode"]),
        (
            [
                Channel(),
                Channel(budget=Budget(messages=1, per="step", scope="team")),
                Channel(budget=Budget(messages=2, bytes=9, exceed="queue", max_wait=3)),
            ],
            [
                "no budget",
                "1 message per step and team",
                "2 messages and 9 B per episode queue max_wait=3",
            ],
        ),
        (
            [
                Channel(link=BernoulliLoss(0.1)),
                Channel(link=Chain(BernoulliLoss(0.2), Delay(2))),
            ],
            ["bernoulli_loss probability=0.1", "chain probability=0.2 ticks=2"],
        ),
        (
            [Channel(headers=True), Channel(acknowledgements=True)],
            ["headers no acknowledgements", "no headers acknowledgements"],
        ),
        ([None, TIGHT], ["no budget", "60 B per episode"]),
        ({"small": TIGHT, "large": WIDE}, ["small", "large"]),
    ],
)
def test_channels_are_called_by_what_they_differ_in(channels, words):
    assert labels(GRID, "dql", uplink=channels) == [f"dql, {word}" for word in words]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ([{"alpha": 0.1}, {"alpha": 0.5}], ["alpha=0.1", "alpha=0.5"]),
        (
            [{"alpha": 0.1, "env.size": 3}, {"alpha": 0.1, "env.size": 4}],
            ["env.size=3", "env.size=4"],
        ),
        ({"slow": {"alpha": 0.1}, "fast": {"alpha": 0.9}}, ["slow", "fast"]),
        ([{"alpha": 0.1}], [""]),
        ({"alpha": 0.1}, [""]),
        ({}, [""]),
    ],
)
def test_settings_are_compared(settings, words):
    expected = [f"dql, {word}" if word else "dql" for word in words]
    assert labels(GRID, "dql", settings=settings) == expected


def test_one_setting_that_is_a_dictionary_is_not_a_choice():
    (arm,) = arms(WINDY, "dql", settings={"env.wind": {"down": 0.3}})
    assert arm.env_kwargs == {"wind": {"down": 0.3}}


def test_what_can_be_read_once_is_read_once():
    algorithms = (DQL(exploration=one) for one in (0.1, 0.2))
    settings = [{"env.size": 3}, {"env.size": 4}]
    assert len(arms(GRID, algorithms, settings=settings)) == 4


def test_names_that_are_given_are_kept():
    found = labels(
        {"calm": GRID, "windy": WINDY},
        {"slow": DQL(alpha=0.1), "fast": DQL(alpha=0.9)},
        num_agents={"alone": 1},
    )
    assert found == [
        f"{speed}, {world}, alone"
        for world in ("calm", "windy")
        for speed in ("slow", "fast")
    ]


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"uplink": [TIGHT, TIGHT]}, ValueError, "'dql.*' is asked for twice"),
        ({"num_agents": [2, 2]}, ValueError, "'dql, 2 agents.*' is asked for twice"),
        ({"num_agents": [2, 0]}, ValueError, "num_agents is 0; at least 1"),
        ({"num_agents": []}, ValueError, "num_agents is an empty list"),
        ({"uplink": {}}, TypeError, "uplink: {} is not a Channel"),
        ({"uplink": [Float16()]}, TypeError, "uplink: .*Channel"),
        ({"settings": [0.5]}, TypeError, "give a dictionary by name, or a list"),
        ({"num_agents": range(1, 9), "most": 7}, ValueError, "8 arms, more than 7"),
    ],
)
def test_what_cannot_be_arms_is_refused(fields, error, words):
    with pytest.raises(error, match=words):
        arms(GRID, "dql", **fields)


def test_arms_of_one_study_give_what_each_gives_alone(tmp_path):
    fields = {"num_agents": [1, 3], "uplink": {"tight": TIGHT, "free": Channel()}}
    how = {"num_trials": 2, "num_episodes": 6, "progress": False}
    together = commenv.run(GRID, "davia", **fields, **how, out=tmp_path)
    assert commenv.load(tmp_path).frame.equals(together.frame)
    for agents in fields["num_agents"]:
        for name, uplink in fields["uplink"].items():
            alone = commenv.run(GRID, "davia", num_agents=agents, uplink=uplink, **how)
            label = f"davia, {agents} agent{'s' * (agents > 1)}, {name}"
            rows = together.frame[together.frame["label"] == label]
            expected = alone.frame.assign(label=label)
            assert rows.reset_index(drop=True).equals(expected)
            assert together.settings[label]["number of agents"] == agents
