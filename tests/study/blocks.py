"""Small studies of every kind, and all that is stored of a block of them."""

from __future__ import annotations

import math

from commenv.channel import Budget, Chain, Channel
from commenv.channel.codecs import QSGD, Delta, ErrorFeedback, TopK
from commenv.channel.links import (
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Delay,
    GilbertElliottLoss,
    RateCap,
)
from commenv.study.execution.block import run_block
from commenv.study.execution.checkpoints import Checkpoints
from commenv.study.storage.checkpoint import unpacked
from tests.study.studies import built

BURSTS = GilbertElliottLoss(to_bad=0.3, to_good=0.5)
CHANNELS = {
    "plain": {},
    "queue": {
        "uplink": Channel(
            budget=Budget(messages=1, per="lifetime", exceed="queue", max_wait=3),
            link=Delay(ticks=1, spread=2),
        )
    },
    "team": {
        "uplink": Channel(
            budget=Budget(bytes=700, per="episode", scope="team", exceed="queue")
        ),
        "downlink": Channel(budget=Budget(messages=3, scope="team")),
    },
    "chain": {
        "uplink": Channel(
            link=Chain(BernoulliLoss(0.3), BURSTS, RateCap(200.0, burst=300.0))
        ),
        "downlink": Channel(link=Chain(Delay(1, spread=1), BernoulliLoss(0.2))),
    },
    "distorted": {"uplink": Channel(link=BitErrors(0.001), headers=True)},
    "shared": {"downlink": Channel(medium="broadcast", link=BURSTS)},
}
CODECS = {
    "feedback": {
        "uplink": Channel(codec=ErrorFeedback(TopK(5)), link=BernoulliLoss(0.2)),
        "downlink": Channel(codec=ErrorFeedback(QSGD(4))),
    },
    "acknowledged": {
        "uplink": Channel(
            codec=Delta(), link=Delay(1, spread=2), acknowledgements=True
        ),
        "downlink": Channel(codec=Delta(key_every=3), link=BernoulliLoss(0.2)),
    },
    "noisy": {"uplink": Channel(link=AdditiveNoise(0.01))},
}
ALGORITHMS = {
    "dql": ("SimpleGrid-v0", "dql", None, {}),
    "ebcdql": ("WindyGrid-v0", "ebcdql", None, {}),
    "davia": ("SimpleGrid-v0", "davia", None, {}),
    "periodic": ("SimpleGrid-v0", "dql", "periodic", {}),
    "now and then": ("SimpleGrid-v0", "dql", "bernoulli", {"p": 0.5}),
    "espc": ("SimpleGrid-v0", "espc", None, {}),
    "es": (
        "commenv/CartPole-v1",
        "es",
        None,
        {"baseline": "window", "optimizer": "momentum"},
    ),
}
EPISODES = 7


def study(name, channels=None, **settings):
    environment, algorithm, scheme, own = ALGORITHMS[name]
    chosen = {"num_agents": 4, "num_trials": 2, "num_episodes": EPISODES, **settings}
    chosen |= {"evaluation_episodes": 2, **(channels or {})}
    return built(environment, [algorithm], scheme and [scheme], own, 20, **chosen)


def measured(study, trials=(0, 1), **how):
    """All that is stored of a block; its NaN are one object, which equals itself."""
    learned, sizes = {}, []
    table = run_block(
        study, study.arms[0], trials, keep=learned.update, count=sizes.append, **how
    )
    arrays = {name: (one.dtype, one.tolist()) for name, one in learned.items()}
    columns = {
        name: [math.nan if value != value else value for value in values]
        for name, values in table.to_pydict().items()
    }
    return columns, sizes[0].to_pydict(), arrays


def kept(study, schedule, trials=(0, 1), **how):
    files = []
    result = measured(
        study, trials, checkpoints=Checkpoints(schedule, files.append), **how
    )
    return result, files


def state(data):
    return unpacked(data)["state"]
