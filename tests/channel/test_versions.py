import numpy as np
import pytest

from commenv.channel import (
    AdditiveNoise,
    BernoulliLoss,
    Budget,
    Chain,
    Channel,
    Delay,
    Delta,
    Messages,
    Versions,
    shapes,
)
from commenv.rng import Draws
from commenv.wrappers.star import Star
from tests.channel.networks import Downlink

NUMBER = np.dtype([("number", "<f8")])
SHAPE = (3, 5)
LOSSY = Chain(BernoulliLoss(0.4), Delay(1, spread=2))
CHANNELS = {
    "perfect": Channel(),
    "lossy": Channel(link=LOSSY),
    "heard by all": Channel(link=LOSSY, medium="broadcast"),
    "noisy": Channel(link=Chain(LOSSY, AdditiveNoise(0.1))),
    "differences": Channel(codec=Delta(key_every=3), link=BernoulliLoss(0.4)),
    "team queue": Channel(
        budget=Budget(messages=3, scope="team", exceed="queue", max_wait=2)
    ),
}


def numbers(values):
    return np.array(values, dtype=np.float64).view(NUMBER)


def stars(channel, count):
    opened = [Star(range(SHAPE[0]), SHAPE[1], downlink=channel) for _ in range(count)]
    for star in opened:
        star.open(0)
    return opened


def heard(star):
    """What agents heard: flat links, and the record of each, from each delivery."""
    for delivered in star.downlink.deliveries():
        links, records = delivered.packets.links, delivered.records
        if star.downlink.channel.medium == "broadcast":
            links = (links[:, None] + np.arange(SHAPE[1])).ravel()
            records = np.repeat(records, SHAPE[1])
        yield links, records


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("holds", [False, True])
def test_versions_say_what_each_agent_would_hold_by_itself(name, holds):
    star, other = stars(CHANNELS[name], 2)
    by_hand = None
    for episode in range(25):
        sent = numbers([100.0 * trial + episode + 1 for trial in range(SHAPE[0])])
        for one in (star, other):
            one.begin_episode()
            if holds and episode == 0:
                one.initialize_parameters(numbers([-1.0, -2.0, -3.0]))
            one.broadcast(sent)
        if holds and episode == 0:
            by_hand = np.repeat([-1.0, -2.0, -3.0], SHAPE[1])
        for links, records in heard(other):
            by_hand = np.zeros(15) if by_hand is None else by_hand
            for link, record in zip(links, records["number"], strict=True):
                by_hand[link] = record
        versions = star.receive_versions()
        if by_hand is None:
            assert versions is None
            continue
        held = by_hand.reshape(SHAPE)
        np.testing.assert_array_equal(versions.expanded()["number"], held)
        np.testing.assert_array_equal(star.receive_broadcast()["number"], held)
        assert sorted(np.unique(versions.held)) == list(range(len(versions.records)))


def test_what_everybody_heard_is_kept_once_for_each_trial():
    (star,) = stars(Channel(), 1)
    for _ in range(3):
        star.begin_episode()
        star.broadcast(numbers([1.0, 2.0, 3.0]))
    versions = star.receive_versions()
    assert versions.records["number"].tolist() == [1, 2, 3]
    assert versions.held.tolist() == [[0] * 5, [1] * 5, [2] * 5]


def test_versions_live_for_as_long_as_somebody_holds_them():
    (star,) = stars(Channel(link=BernoulliLoss(0.5)), 1)
    alive = []
    for episode in range(40):
        star.begin_episode()
        star.broadcast(numbers([episode] * SHAPE[0]))
        if (versions := star.receive_versions()) is not None:
            alive.append(len(versions.records))
    assert 2 < max(alive) < 15


def test_a_new_start_forgets_all_versions():
    (star,) = stars(Channel(), 1)
    star.begin_episode()
    star.broadcast(numbers([1.0, 2.0, 3.0]))
    assert star.receive_versions() is not None
    star.open(1)
    star.begin_episode()
    assert star.receive_versions() is None


def test_agents_may_hold_records_of_their_own():
    records = numbers(np.arange(6.0)).reshape(2, 3)
    versions = Versions.of_agents(records)
    assert len(versions.records) == 6
    np.testing.assert_array_equal(versions.expanded(), records)


def test_each_link_of_a_broadcast_has_a_noise_of_its_own():
    channel = Channel(link=AdditiveNoise(0.5))
    live = Downlink(channel, Draws(0, [0, 1], 4))
    live.tick(new_episode=True)
    live.broadcast(numbers([1.0, 2.0]))
    ((links, heard),) = live.heard()
    assert links.tolist() == list(range(8))
    assert len(set(heard["number"])) == 8


def test_each_link_of_a_mesh_has_a_noise_of_its_own():
    sources, targets = np.nonzero(~np.eye(4, dtype=bool))
    channel = Channel(link=AdditiveNoise(0.5))
    mesh = shapes.mesh(channel, 0, "abcd", sources, targets)
    mesh.tick(new_episode=True)
    spoken = Messages(numbers(np.arange(4.0)), np.ones((1, 4), dtype=int))
    mesh.send(spoken, np.ones(12, dtype=bool))
    (arrived,) = mesh.deliveries()
    assert arrived.packets.links.tolist() == list(range(12))
    assert len(set(arrived.records["number"])) == 12


@pytest.mark.parametrize("seed", range(20))
def test_the_mean_over_agents_is_that_of_what_each_one_holds(seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 7, 2))
    records = numbers(random.integers(0, 4, size=12))  # some are alike
    versions = Versions(records, random.integers(0, 12, size=shape))
    worth = np.array([-np.inf, 2.0, 5.5, 1e9])
    called = []

    def value(given):
        assert given.shape == shape[:1]
        called.append(given)
        return worth[given["number"].astype(int)]

    expected = worth[versions.expanded()["number"].astype(int)].mean(axis=1)
    np.testing.assert_allclose(versions.mean_of(value), expected)
    most = max(len(np.unique(row)) for row in versions.expanded()["number"])
    assert len(called) == most


def test_what_everybody_holds_has_its_own_value_to_the_bit():
    versions = Versions.of_agents(np.repeat(numbers([0.1, 0.7])[:, None], 7, axis=1))
    assert versions.mean_of(lambda given: given["number"] / 3).tolist() == [
        0.1 / 3,
        0.7 / 3,
    ]
