"""PettingZoo's own tests over environments in our wrapper: other people's and ours."""

import functools

import numpy as np
import pettingzoo
import pytest
from gymnasium import spaces
from mpe2 import simple_spread_v3, simple_tag_v3
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
)
from pettingzoo.utils.conversions import parallel_to_aec

import commenv
from commenv.channel import (
    AdditiveNoise,
    BernoulliLoss,
    Budget,
    Chain,
    Delay,
    Fate,
)

WORLDS = {
    "multiwalker": functools.partial(
        pettingzoo.make, "parallel", "sisl/multiwalker-v9"
    ),
    "pistonball": functools.partial(
        pettingzoo.make, "parallel", "butterfly/pistonball-v6"
    ),
    "pursuit": functools.partial(pettingzoo.make, "parallel", "sisl/pursuit-v5"),
    "rps": functools.partial(pettingzoo.make, "parallel", "classic/rps-v2"),
    "simple_grid": functools.partial(
        pettingzoo.make, "parallel", "commenv/simple_grid-v0"
    ),
    "simple_spread": simple_spread_v3.parallel_env,
    "simple_tag": simple_tag_v3.parallel_env,
}
BOX = spaces.Box(-1, 1, (2,), np.float32)
CHANNELS = {
    "free": {"message_space": BOX},
    "silent": {"message_space": BOX, "budget": Budget(messages=0)},
    "tight": {
        "message_space": spaces.Discrete(8),
        "topology": "ring",
        "budget": Budget(bytes=3, scope="team"),
        "link": BernoulliLoss(0.3),
    },
}
# The kit would rather see boxes than dictionaries, and says so.
KNOWN = [
    "ignore:Observation space for each agent probably should be:UserWarning",
    "ignore:Action space for each agent probably should be:UserWarning",
    "ignore:Observation is not a NumPy array:UserWarning",
]
# Paper, scissors and stone shows what was played, and at first nothing.
ZEROS = "ignore:Observation numpy array is all zeros:UserWarning"
PYGAME = "ignore:pkg_resources is deprecated:UserWarning"


def known(function):
    for message in [*KNOWN, ZEROS, PYGAME]:
        function = pytest.mark.filterwarnings(message)(function)
    return function


@pytest.fixture(params=WORLDS, name="world")
def _world(request):
    return WORLDS[request.param]


@pytest.fixture(params=CHANNELS, name="make")
def _make(request, world):
    def make(**arguments):
        bare = world(**arguments)
        return commenv.CommunicationBudget(bare, **CHANNELS[request.param])

    return make


@known
def test_it_passes_the_tests_of_the_interface(make):
    parallel_api_test(make(), num_cycles=15)
    api_test(parallel_to_aec(make()), num_cycles=15)
    parallel_seed_test(make)


@known
def test_it_keeps_the_time_limit(make):
    class Module:
        parallel_env = staticmethod(make)
        env = staticmethod(lambda **arguments: parallel_to_aec(make(**arguments)))

    max_cycles_test(Module)


@known
@pytest.mark.parametrize("name", ["rps", "simple_spread", "multiwalker"])
def test_it_draws_what_the_environment_draws(name, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")

    def make(**arguments):
        world = WORLDS[name](**arguments)
        return parallel_to_aec(commenv.CommunicationBudget(world, message_space=BOX))

    render_test(make)


def episode(env, seed, cycles=12):
    trace = [env.reset(seed=seed)]
    for agent in env.possible_agents:
        env.action_space(agent).seed(seed)
    for _ in range(cycles):
        if not env.agents:
            break
        actions = {agent: env.action_space(agent).sample() for agent in env.agents}
        trace.append(env.step(actions))
    return trace


def test_whole_episodes_with_loss_delay_and_noise_are_the_same_twice(world):
    link = Chain(BernoulliLoss(0.2), Delay(0, spread=2), AdditiveNoise(0.1))
    make = functools.partial(
        commenv.CommunicationBudget, message_space=BOX, topology="complete", link=link
    )
    one, other = make(world()), make(world())
    np.testing.assert_equal(episode(one, 3), episode(other, 3))
    assert one.ledger.count(Fate.DELIVERED).sum() > 0
    assert one.ledger.balanced


@pytest.mark.parametrize("name", ["rps", "simple_tag", "pursuit"])
def test_flat_actions_and_observations_pass_as_well(name):
    def make():
        return commenv.CommunicationBudget(
            WORLDS[name](),
            message_space=spaces.MultiDiscrete([4, 4]),
            budget=Budget(messages=5),
            flatten=True,
        )

    parallel_api_test(make(), num_cycles=15)
    parallel_seed_test(make)
    env = make()
    seen, _ = env.reset(seed=0)
    for agent, observation in seen.items():
        assert env.observation_space(agent).contains(observation)


def test_walkers_talk_in_bins():
    env = commenv.CommunicationBudget(
        WORLDS["multiwalker"](), message_space=BOX, flatten=True, bins=5
    )
    parallel_api_test(env, num_cycles=15)
    assert env.action_space("walker_0") == spaces.MultiDiscrete([5] * 6 + [2])
