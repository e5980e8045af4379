from dataclasses import fields

import gymnasium as gym
import numpy as np
import pytest

from commenv.channel import BernoulliLoss, Budget, Channel, Messages
from commenv.rng import Draws
from commenv.wrappers import Metrics
from commenv.wrappers.metrics import Meter, Traffic
from tests.channel.networks import opened


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (3, 5), (40, 8), (6, 1000)])
def test_means_over_agents_are_those_of_each_metric_by_itself(shape):
    rng = np.random.default_rng(shape)
    values = {
        field.name: rng.normal(size=shape)
        if "float64" in str(field.type)
        else rng.integers(1000, size=shape)
        for field in fields(Metrics)
    }
    means = Metrics(**values).mean_over_agents()
    for name, array in values.items():
        assert means[name].tolist() == array.mean(axis=1).tolist(), name


COUNTED = [
    *("messages", "payload", "size", "header", "refused", "refused_bytes"),
    *("lost", "expired", "penalty", "acknowledgements", "total"),
]
RECORD = np.dtype([("number", "<f8")])
UPLINK = Channel(
    budget=Budget(messages=3, exceed="penalize", price=0.5),
    link=BernoulliLoss(0.3),
    headers=True,
    acknowledgements=True,
)
FEW = Channel(
    budget=Budget(messages=1, exceed="queue", max_wait=1),
    link=BernoulliLoss(0.3),
)


@pytest.mark.parametrize(
    ("uplink", "unseen"),
    [
        (UPLINK, {"refused", "refused_bytes", "expired"}),
        (FEW, {"refused", "refused_bytes", "penalty", "acknowledgements"}),
    ],
)
def test_a_meter_shows_what_two_readings_differ_by(uplink, unseen):
    shape = (2, 3)
    live = opened(uplink, "uplink", Draws(0, range(2), range(3)))
    live.tick(new_episode=True)
    meter, rng = Meter(live), np.random.default_rng(1)
    before = {name: getattr(Traffic.read(live), name) for name in COUNTED}
    for _ in range(200):
        now = {name: getattr(Traffic.read(live), name) for name in COUNTED}
        for name in COUNTED:
            found = getattr(meter.traffic, name)
            np.testing.assert_array_equal(found, now[name] - before[name], name)
        match rng.integers(4):
            case 0:
                which = rng.random(shape) < 0.5
                meter.begin(which)
                before = {
                    name: np.where(which, now[name], before[name]) for name in COUNTED
                }
            case 1:
                live.tick(new_episode=rng.random(shape) < 0.5)
            case 2:
                counts = rng.integers(2, size=shape)
                live.send(Messages(np.zeros(counts.sum(), RECORD), counts))
            case 3:
                assert meter.traffic is meter.traffic  # nothing has happened
    assert {name for name in COUNTED if not now[name].any()} == unseen


def test_metrics_are_the_callers_to_change():
    env = gym.make("commenv/SimpleGrid-v0", uplink=UPLINK)
    env.reset(seed=0)
    env.unwrapped.send("text")
    for values in vars(env.unwrapped.metrics).values():
        values += 7
    assert env.unwrapped.metrics.messages.tolist() == [[1]]
    assert env.unwrapped.metrics.downlink_size.tolist() == [[0]]


def test_infos_of_vectors_are_the_callers_to_change():
    envs = gym.make_vec("commenv/SimpleGrid-v0", 2, uplink=UPLINK)
    _, infos = envs.reset(seed=0)
    for _ in range(3):
        comm = infos["comm"]
        assert comm["sent"].tolist() == comm["refused"].tolist() == [0, 0]
        comm["sent"] += 7
        comm["messages_left"] -= 1
        *_, infos = envs.step(np.zeros(2, dtype=int))
        assert infos["comm"]["messages_left"].tolist() == [3, 3]
