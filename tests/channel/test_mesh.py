"""Messages between agents: what their codecs are told of what became of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from commenv.channel import (
    BernoulliLoss,
    Budget,
    Chain,
    Channel,
    Delay,
    ErrorFeedback,
    Fate,
    Link,
    Messages,
    TopK,
    Transit,
    shapes,
)
from commenv.rng import Draws

COUNT, AGENTS = 5, 4
GRADIENT = np.dtype([("gradient", "<f8", (COUNT,))])
SOURCES, TARGETS = np.argwhere(~np.eye(AGENTS, dtype=bool)).T  # everybody to everybody


def mesh(receivers=AGENTS - 1, **parts):
    """Every agent's messages go to the next ``receivers`` agents."""
    distance = (TARGETS - SOURCES) % AGENTS
    near = distance <= receivers
    parts.setdefault("acknowledgements", True)
    channel = Channel(ErrorFeedback(TopK(k=1)), **parts)
    made = shapes.mesh(channel, 4, range(AGENTS), SOURCES[near], TARGETS[near])
    made.tick(new_episode=True)
    return made


def error(channel) -> np.ndarray:
    return channel.encoder.memory["error"].reshape(-1, COUNT)


def say(channel, values) -> None:
    records = np.zeros(len(values), GRADIENT)
    records["gradient"] = values
    everywhere = np.ones(channel.shape[1], dtype=bool)
    channel.send(Messages(records, np.ones((1, len(values)), int)), everywhere)


def heard(channel, read) -> None:
    """Enters what was read of each message, by sender and tick, whoever read it."""
    for delivered in channel.deliveries():
        headers = delivered.packets.headers
        for head, record in zip(headers, delivered.records, strict=True):
            message = head["sender"], head["sequence"]
            assert (read.setdefault(message, record["gradient"]) == record[0]).all()


@pytest.mark.parametrize("receivers", [1, 2, 3])
@pytest.mark.parametrize(
    "parts",
    [
        {"link": BernoulliLoss(0.5)},
        {"link": BernoulliLoss(0.6), "medium": "broadcast"},
        {"link": Chain(BernoulliLoss(0.4), Delay(1, spread=3, expiry=2))},
        {
            "link": BernoulliLoss(0.3),
            "budget": Budget(messages=6, per="step", scope="team", exceed="queue"),
        },
    ],
    ids=["losses", "broadcast", "late", "queue"],
)
def test_what_reached_nobody_is_owed_again(parts, receivers):
    channel, random = mesh(receivers, **parts), np.random.default_rng(0)
    offered, read = np.zeros((AGENTS, COUNT)), {}
    for _ in range(25):
        values = random.normal(size=(AGENTS, COUNT))
        offered += values
        say(channel, values)
        heard(channel, read)
        channel.tick()
    for _ in range(8):  # all that is under way arrives, or expires
        heard(channel, read)
        channel.tick()
    assert channel.ledger.count(Fate.IN_FLIGHT).sum() == 0
    owed = offered.copy()
    for (sender, _), numbers in read.items():
        owed[sender] -= numbers
    np.testing.assert_allclose(error(channel), owed, atol=1e-12)
    assert len(read) < 25 * AGENTS  # some reached nobody


def test_without_acknowledgements_nobody_is_told():
    channel = mesh(1, link=BernoulliLoss(1.0), acknowledgements=False)
    say(channel, np.tile([3.0, 0, 0, 1, 0], (AGENTS, 1)))
    assert (error(channel) == [0, 0, 0, 1, 0]).all()


@dataclass(frozen=True)
class EverySecond(Link):
    """Loses each link's every second message."""

    def start(self, num_links):
        return {"sent": np.zeros(num_links, int)}

    def carry(self, sending, state, draws):
        sent = state["sent"].copy()
        sent[sending.links] += 1
        return Transit(sent[sending.links] % 2 == 0), {"sent": sent}


def test_one_receiver_each_is_what_a_star_is():
    ring = mesh(1, link=EverySecond())
    codec = ErrorFeedback(TopK(k=1))
    star = shapes.uplink(
        Channel(codec, link=EverySecond(), acknowledgements=True),
        Draws(0, [0], AGENTS),
    )
    star.tick(new_episode=True)
    random = np.random.default_rng(1)
    for _ in range(9):
        values = random.normal(size=(AGENTS, COUNT))
        say(ring, values)
        records = np.zeros(AGENTS, GRADIENT)
        records["gradient"] = values
        star.send(Messages(records, np.ones((1, AGENTS), int)))
        np.testing.assert_array_equal(error(ring), error(star))
        star.receive()
        for channel in (ring, star):
            channel.tick()


def test_what_expires_as_an_episode_ends_is_owed_again():
    channel = mesh(1, link=Delay(3))
    say(channel, np.tile([3.0, 0, 0, 1, 0], (AGENTS, 1)))
    assert (error(channel) == [0, 0, 0, 1, 0]).all()
    channel.abandon()
    assert (error(channel) == [3, 0, 0, 1, 0]).all()
    channel.tick(new_episode=True)
    assert channel.ledger.count(Fate.EXPIRED).sum() == AGENTS
