"""Networks that tests open and let speak."""

from __future__ import annotations

import numpy as np

from commenv.channel import Channel, Network, shapes
from commenv.rng import Draws
from commenv.wrappers import Star


class Downlink:
    """A star's downlink: what its network can do, and broadcasts."""

    def __init__(self, channel, draws, *, journal=False):
        self._star = Star(draws.trials, draws.agents, None, channel, journal=journal)
        self._star.open(draws.seed)
        self.broadcast = self._star.broadcast
        self.charge_shared = self._star.charge_shared

    def __getattr__(self, name):
        return getattr(self._star.downlink, name)

    def heard(self):
        """What arrived: flat links, and the record of each, from each delivery."""
        agents = self.shape[1]
        for delivered in self.deliveries():
            links, records = delivered.packets.links, delivered.records
            if self.channel.medium == "broadcast":
                links = (links[:, None] + np.arange(agents)).ravel()
                records = np.repeat(records, agents)
            yield links, records


def opened(channel, direction, draws, **options) -> Network | Downlink:
    """A network of a star, before its first episode."""
    if direction == "downlink":
        return Downlink(channel, draws, **options)
    return shapes.uplink(channel, draws, **options)


def live(trials=1, agents=2, *, direction="uplink", seed=5, started=True, **parts):
    """The same of some trials and agents, in its first episode."""
    trials = range(trials) if isinstance(trials, int) else trials
    draws = Draws(seed, trials, agents)
    network = opened(Channel(**parts), direction, draws, journal=True)
    if started:
        network.tick(new_episode=True)
    return network
