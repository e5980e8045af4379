"""PettingZoo's own tests, on every module and every form."""

import importlib
import warnings
from functools import partial
from types import SimpleNamespace

import pytest
from pettingzoo import ParallelEnv
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)
from pettingzoo.utils.conversions import parallel_to_aec

from commenv import Budget, Channel
from commenv.channel import BernoulliLoss
from commenv.registration import parallel_ids

ROBOTS = {
    "ant_v5": {"terminate_when_unhealthy": False},
    "half_cheetah_v5": {},
    "hopper_v5": {"terminate_when_unhealthy": False},
    "humanoid_v5": {"terminate_when_unhealthy": False},
    "walker2d_v5": {"terminate_when_unhealthy": False},
}
# Arguments with which nobody's episode ends within four steps.
ARGUMENTS = {
    "simple_grid_v0": {},
    "windy_grid_v0": {"size": 7, "start": (3, 3)},
    "frozen_lake_v0": {"desc": ["S" + 6 * "F", "FFFFFFG"]},
    "cart_pole_v1": {},
    **ROBOTS,
}
EXPECTED = {
    "Observation is not a NumPy array": ["grid", "lake"],
    "Agent's minimum observation space value is -infinity": ["pole", *ROBOTS],
    "Agent's maximum observation space value is infinity": ["pole", *ROBOTS],
}
CHANNELS = {
    "perfect": {},
    "refusing": {
        "uplink": Channel(budget=Budget(messages=2), link=BernoulliLoss(0.5)),
        "downlink": Channel(link=BernoulliLoss(0.5)),
    },
    "terminating": {
        "uplink": Channel(budget=Budget(messages=3, scope="team", exceed="terminate"))
    },
    "penalizing": {"uplink": Channel(budget=Budget(messages=1, exceed="penalize"))},
}


class Chatty(ParallelEnv):
    """Sends something from every agent before every step."""

    def __init__(self, env):
        self.env = env
        self.metadata, self.render_mode = env.metadata, env.render_mode
        self.possible_agents = env.possible_agents

    def __getattr__(self, name):
        return getattr(self.__dict__["env"], name)

    def observation_space(self, agent):
        return self.env.observation_space(agent)

    def action_space(self, agent):
        return self.env.action_space(agent)

    def reset(self, seed=None, options=None):
        return self.env.reset(seed=seed, options=options)

    def step(self, actions):
        self.env.send_all(dict.fromkeys(self.env.agents, "hello"))
        return self.env.step(actions)

    def render(self):
        return self.env.render()


@pytest.fixture(params=ARGUMENTS)
def module(request):
    if request.param in ROBOTS:
        pytest.importorskip("mujoco")
    return importlib.import_module(f"commenv.multiagent.{request.param}")


@pytest.fixture(params=CHANNELS)
def channels(request):
    return CHANNELS[request.param]


def name_of(module):
    return module.__name__.rpartition(".")[2]


def expect(module):
    """The kit warns of spaces that are common; nothing else is let pass."""
    for message, names in EXPECTED.items():
        if any(name in name_of(module) for name in names):
            warnings.filterwarnings("ignore", message, UserWarning)


def test_every_id_has_its_module():
    assert sorted(parallel_ids().values()) == sorted(
        f"commenv.multiagent.{name}" for name in ARGUMENTS
    )


def test_parallel_api(module, channels):
    parallel_api_test(module.parallel_env(**channels), num_cycles=60)
    parallel_api_test(Chatty(module.parallel_env(**channels)), num_cycles=60)


def test_aec_api(module, channels):
    expect(module)
    for form in (module.env, module.raw_env):
        api_test(form(num_agents=3, **channels), num_cycles=60)
    chatty = Chatty(module.parallel_env(num_agents=3, **channels))
    api_test(parallel_to_aec(chatty), num_cycles=60)


def test_seeds(module, channels):
    parallel_seed_test(partial(module.parallel_env, **channels), num_cycles=60)
    seed_test(partial(module.env, **channels), num_cycles=60)


def test_max_cycles(module):
    arguments = ARGUMENTS[name_of(module)]
    forms = {
        name: partial(getattr(module, name), **arguments)
        for name in ("env", "raw_env", "parallel_env")
    }
    max_cycles_test(SimpleNamespace(**forms))


@pytest.mark.parametrize(
    "name", ["simple_grid_v0", "windy_grid_v0", "frozen_lake_v0", "cart_pole_v1"]
)
def test_pictures(name, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    module = importlib.import_module(f"commenv.multiagent.{name}")
    render_test(partial(module.env, num_agents=3))
