"""From ids and arguments to PettingZoo environments; their pictures, their registry."""

import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pettingzoo
import pytest

import commenv
from commenv import Channel
from commenv.channel import Delay
from commenv.envs.drawing import Window
from commenv.errors import UnknownNameError
from commenv.multiagent import simple_grid_v0
from commenv.registration import parallel_ids, register_parallel_envs

SIZES = [{"size": 4}, None, {"size": (2, 3)}]


def play(env, seed=0, steps=12):
    """What each agent sees and earns, for some steps of fixed actions."""
    random = np.random.default_rng(0)
    actions = random.integers(2, size=(steps, 9))
    seen = {agent: [one] for agent, one in env.reset(seed=seed)[0].items()}
    for row in actions:
        if not env.agents:
            break
        step = env.step({agent: row[int(agent[-1])] for agent in env.agents})
        for agent in step[0]:
            seen[agent].append([np.asarray(part[agent]).tolist() for part in step[:4]])
    return seen


def test_agents_may_have_arguments_and_spaces_of_their_own():
    env = commenv.parallel_env("commenv/SimpleGrid-v0", 3, env_kwargs=SIZES)
    spaces = [env.observation_space(agent) for agent in env.possible_agents]
    assert [space.n for space in spaces] == [16, 25, 6]
    assert env.observation_space("agent_2") is spaces[2]
    alone = [gym.make("commenv/SimpleGrid-v0", **(one or {})) for one in SIZES]
    for one in alone:
        one.reset(seed=0)
    env.reset(seed=0)
    random = np.random.default_rng(0)
    while env.agents:
        actions = {agent: int(random.integers(5)) for agent in env.agents}
        step = env.step(actions)
        for agent, action in actions.items():
            assert env.observation_space(agent).contains(step[0][agent])
            expected = alone[int(agent[-1])].step(action)[:4]
            assert tuple(part[agent] for part in step[:4]) == expected


@pytest.mark.parametrize(
    ("env_id", "mine", "others"),
    [
        ("commenv/WindyGrid-v0", {}, {"start": (2, 2)}),
        ("commenv/CartPole-v1", {}, {"sutton_barto_reward": True}),
        ("LunarLander-v3", {}, {"gravity": -3.0}),
    ],
)
def test_what_an_agent_meets_does_not_depend_on_the_others_arguments(
    env_id, mine, others
):
    if env_id.startswith("Lunar"):
        pytest.importorskip("Box2D")
    alike = play(commenv.parallel_env(env_id, 3, env_kwargs=mine))
    mixed = play(commenv.parallel_env(env_id, 3, env_kwargs=[others, mine, others]))
    assert np.array_equal(alike["agent_1"][0], mixed["agent_1"][0])
    assert alike["agent_1"][1:] == mixed["agent_1"][1:]
    assert alike["agent_0"][1:] != mixed["agent_0"][1:]


def test_equal_arguments_are_played_together():
    one = commenv.parallel_env("WindyGrid-v0", 3, env_kwargs={"size": 4})
    each = commenv.parallel_env("WindyGrid-v0", 3, env_kwargs=[{"size": 4}] * 3)
    assert play(one) == play(each)
    assert type(one._channel.instances.world) is type(each._channel.instances.world)
    with pytest.raises(UnknownNameError, match="did you mean 'SimpleGrid-v0'"):
        commenv.parallel_env("SimpelGrid-v0", 2)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"num_agents": 0}, "num_agents 0 is too small"),
        ({"max_cycles": 0}, "max_cycles 0 is too small"),
        ({"trial": -1}, "trial -1 is negative"),
        ({"gamma": 1.5}, r"gamma 1.5 is outside \[0, 1\]"),
        ({"env_kwargs": [None]}, "of length 1, and num_agents is 2"),
        ({"env_kwargs": [None, 3]}, "env_kwargs of agent_1 is 3; give a dictionary"),
        ({"env_kwargs": [None, {"sise": 3}]}, "agent_1: .* has no argument 'sise'"),
        ({"env_kwargs": {"render_mode": "ansi"}}, "env_kwargs has render_mode 'ansi'"),
        ({"render_mode": "rgb"}, "render_mode 'rgb' is not available for SimpleGrid"),
    ],
)
def test_bad_arguments_are_named(how, words):
    with pytest.raises(ValueError, match=words):
        commenv.parallel_env(**({"env_id": "SimpleGrid-v0", "num_agents": 2} | how))


def test_worlds_without_tables_are_agents_too():
    env = commenv.parallel_env("Pendulum-v1", 2, max_cycles=3)
    observations, _ = env.reset(seed=0)
    assert env.observation_space("agent_0").contains(observations["agent_0"])
    for _ in range(3):  # float64, as sampled by many policies
        env.step({agent: np.array([0.5]) for agent in env.agents})
    assert env.agents == []
    env.reset()
    with pytest.raises(ValueError, match=r"action .*3.* of agent_1 is outside Box"):
        env.step({"agent_0": np.zeros(1), "agent_1": np.full(1, 3.0)})
    env.close()


def test_a_picture_shows_all_agents():
    env = commenv.parallel_env("SimpleGrid-v0", 3, render_mode="rgb_array")
    assert env.metadata["render_modes"] == ["human", "ansi", "rgb_array"]
    assert env.metadata["name"] == "simple_grid_v0"
    assert env.metadata["is_parallelizable"] is True
    env.reset(seed=0)
    env.step({"agent_0": 1, "agent_1": 3, "agent_2": 4})
    picture = env.render()
    alone = gym.make("SimpleGrid-v0", render_mode="rgb_array")
    corners = [(2, 2), (2, 324), (324, 2)]
    for action, (top, left) in zip([1, 3, 4], corners, strict=True):
        alone.reset(seed=0)
        alone.step(action)
        expected = alone.render()
        height, width = expected.shape[:2]
        shown = picture[top : top + height, left : left + width]
        np.testing.assert_array_equal(shown, expected)
    assert picture.shape == (2 * 322 + 2, 2 * 322 + 2, 3)
    assert (picture[324:644, 324:644] == 255).all()  # nobody's place
    assert (picture[:2] == picture[0, 0]).all()


def test_pictures_of_different_sizes_and_texts():
    shown = {}
    for mode in ("rgb_array", "ansi"):
        env = commenv.parallel_env(
            "SimpleGrid-v0", 3, env_kwargs=SIZES, render_mode=mode
        )
        env.reset(seed=0)
        shown[mode] = env.render()
        env.close()
    assert shown["rgb_array"].dtype == np.uint8
    assert shown["ansi"].startswith("agent_0\nA . . .\n")
    assert shown["ansi"].endswith("agent_2\nA . .\n. . G\n")


def test_without_a_render_mode_there_is_a_warning():
    env = commenv.parallel_env("SimpleGrid-v0", 1)
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render.. without a render mode"):
        assert env.render() is None


def test_a_window_follows_every_reset_and_step(monkeypatch):
    shown = []
    monkeypatch.setattr(Window, "show", lambda self, pixels, fps: shown.append(fps))
    env = commenv.parallel_env("SimpleGrid-v0", 2, render_mode="human")
    env.reset(seed=0)
    env.step({"agent_0": 1, "agent_1": 1})
    assert env.render() is None
    assert shown == [4, 4, 4]


@pytest.mark.parametrize(
    "env_id", ["commenv/CartPole-v1", "FrozenLake-v1", "MountainCar-v0"]
)
def test_every_agent_is_drawn_in_its_own_state(env_id):
    pytest.importorskip("pygame")
    env = commenv.parallel_env(env_id, 2, render_mode="rgb_array", max_cycles=20)
    env.reset(seed=0)
    for _ in range(3):
        env.step({"agent_0": 0, "agent_1": env.action_space("agent_1").n - 1})
    picture = env.render()
    height, width = picture.shape[0] - 4, (picture.shape[1] - 6) // 2
    one, other = picture[2:-2, 2 : 2 + width], picture[2:-2, 4 + width : -2]
    assert one.shape == other.shape == (height, width, 3)
    assert not np.array_equal(one, other)
    if env_id == "commenv/CartPole-v1":
        alone = gym.make("CartPole-v1", render_mode="rgb_array")
        alone.reset(seed=0)
        alone.unwrapped.state = env._channel.instances.world.states[1]
        np.testing.assert_array_equal(other, alone.render())
        alone.close()
    env.close()


ROBOTS_PICTURE = """
import gymnasium as gym, numpy as np
alone = gym.make("Hopper-v5", render_mode="rgb_array")
alone.reset(seed=0)
try:
    alone.render()
except Exception as error:
    print("no pictures", repr(error))
    raise SystemExit
import commenv
env = commenv.parallel_env("commenv/Hopper-v5", 2, render_mode="rgb_array")
env.reset(seed=0)
for _ in range(5):
    env.step({"agent_0": -np.ones(3), "agent_1": np.ones(3)})
picture = env.render()
width = (picture.shape[1] - 6) // 2
one, other = picture[2:-2, 2:2 + width], picture[2:-2, 4 + width:-2]
assert one.shape == other.shape and not np.array_equal(one, other)
print("drawn")
"""


@pytest.mark.slow
def test_robots_are_drawn_where_there_is_a_way_to_draw():
    pytest.importorskip("mujoco")
    done = subprocess.run(
        [sys.executable, "-c", ROBOTS_PICTURE],
        capture_output=True,
        text=True,
        env={**os.environ, "MUJOCO_GL": "egl"},
        check=True,
    )
    if "no pictures" in done.stdout:
        pytest.skip(done.stdout)
    assert "drawn" in done.stdout


def test_modules_take_arguments_of_the_world_and_of_the_channel():
    env = simple_grid_v0.parallel_env(
        num_agents=2,
        size=4,
        env_kwargs=[{"goal": (0, 3)}, None],
        uplink=Channel(link=Delay(1)),
        max_cycles=7,
        trial=2,
    )
    assert env.max_cycles == 7
    env.reset(seed=0)
    assert env.draws.trials == (2,)
    for _ in range(2):
        env.step({"agent_0": 1, "agent_1": 1})
    _, _, terminated, _, _ = env.step({"agent_0": 1, "agent_1": 1})
    assert terminated == {"agent_0": True, "agent_1": False}
    assert str(simple_grid_v0.env(num_agents=1)) == "simple_grid_v0"
    with pytest.raises(ValueError, match="has no argument 'sise'"):
        simple_grid_v0.env(sise=3)


@pytest.mark.parametrize("env_id", parallel_ids())
def test_pettingzoo_makes_every_id_in_both_forms(env_id):
    if env_id.endswith("v5"):
        pytest.importorskip("mujoco")
    together = pettingzoo.make("parallel", env_id, num_agents=2, max_cycles=3)
    in_turn = pettingzoo.make("aec", env_id, num_agents=2)
    assert together.max_cycles == 3
    assert together.metadata["name"] == str(in_turn)
    assert env_id == f"commenv/{str(in_turn).replace('_v', '-v')}"
    together.reset(seed=0)
    in_turn.reset(seed=0)
    assert commenv.find_channel(in_turn).possible_agents == together.possible_agents


def test_pettingzoos_ids_are_ours_in_its_own_spelling():
    assert list(parallel_ids()) == [
        "commenv/ant-v5",
        "commenv/cart_pole-v1",
        "commenv/frozen_lake-v0",
        "commenv/half_cheetah-v5",
        "commenv/hopper-v5",
        "commenv/humanoid-v5",
        "commenv/simple_grid-v0",
        "commenv/walker2d-v5",
        "commenv/windy_grid-v0",
    ]
    register_parallel_envs()  # again, without a warning


@pytest.mark.parametrize(
    "imports", ["import pettingzoo, commenv", "import commenv, pettingzoo"]
)
def test_pettingzoo_knows_our_ids_whichever_is_imported_first(imports):
    code = f"{imports}; print('commenv/simple_grid-v0' in pettingzoo.parallel_registry)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "True"
