import importlib
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import commenv
from commenv.registration import batched_entry_point, env_ids, register_envs

ROOT = Path(commenv.__file__).parents[1]
PLAIN = ["SimpleGrid-v0", "WindyGrid-v0"]
TABULAR = [one for one in env_ids() if batched_entry_point(one) is None]
BATCHED = [one for one in env_ids() if batched_entry_point(one) is not None]
# A package that registers the plain id too, as gym-simplegrid does.
STAND_IN = """
import gymnasium

class TheirEnv(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)

gymnasium.register("SimpleGrid-v0", entry_point="their_grid:TheirEnv")
"""


@pytest.fixture
def run(tmp_path):
    """Runs a script beside the stand-in package; returns what it printed."""
    (tmp_path / "their_grid.py").write_text(STAND_IN)

    def run_script(script):
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-W", "always", "-c", script],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines(), done.stderr

    return run_script


NAMES = """
for env_id in ("SimpleGrid-v0", "commenv/SimpleGrid-v0", "WindyGrid-v0"):
    print(type(gymnasium.make(env_id).unwrapped).__name__)
"""


def test_env_ids_are_the_namespaced_ones_sorted():
    assert env_ids() == [
        "commenv/Ant-v5",
        "commenv/CartPole-v1",
        "commenv/FrozenLake-v0",
        "commenv/HalfCheetah-v5",
        "commenv/Hopper-v5",
        "commenv/Humanoid-v5",
        "commenv/SimpleGrid-v0",
        "commenv/Walker2d-v5",
        "commenv/WindyGrid-v0",
    ]
    assert len(TABULAR) == 3


@pytest.mark.parametrize("env_id", [*TABULAR, *PLAIN])
def test_every_tabular_id_can_be_made_scalar_and_vector(env_id):
    env = gym.make(env_id)
    assert env.spec.max_episode_steps == 200
    assert env.spec.id == env_id
    name = env_id.rpartition("/")[2].removesuffix("-v0")
    assert type(env.unwrapped).__name__ == name + "Env"
    many = gym.make_vec(env_id, num_envs=2)
    assert type(many).__name__ == name + "VectorEnv"
    assert many.reset(seed=0)[0].shape == (2,)


@pytest.mark.parametrize("env_id", BATCHED)
def test_a_world_of_gymnasiums_is_of_its_class_with_its_limits(env_id):
    theirs = gym.make(env_id.removeprefix("commenv/"))
    ours = gym.make(env_id)
    assert isinstance(ours.unwrapped, type(theirs.unwrapped))
    assert type(ours.unwrapped).__name__ == type(theirs.unwrapped).__name__
    assert ours.spec.max_episode_steps == theirs.spec.max_episode_steps
    assert ours.spec.reward_threshold == theirs.spec.reward_threshold
    many = gym.make_vec(env_id, num_envs=2)
    assert many.reset(seed=0)[0].shape == (2, *theirs.observation_space.shape)
    many.close()


@pytest.mark.parametrize("env_id", env_ids())
def test_specs_are_lazy_strings(env_id):
    assert isinstance(gym.spec(env_id).entry_point, str)
    assert isinstance(gym.spec(env_id).vector_entry_point, str | None)


def test_what_has_no_batch_of_its_own_is_said_so():
    assert batched_entry_point("CartPole-v1") is None  # Gymnasium's, not ours
    assert batched_entry_point("commenv/Nothing-v0") is None
    assert batched_entry_point("commenv/Ant-v5") == "commenv.envs.robots:AntBatch"


def test_frozen_lake_has_no_plain_id_of_ours():
    assert "FrozenLake-v0" not in gym.registry


def test_registering_again_and_reloading_change_nothing_and_warn_of_nothing():
    before = dict(gym.registry)
    register_envs()
    importlib.reload(commenv)
    assert all(gym.registry[env_id] is spec for env_id, spec in before.items())
    assert len(gym.registry) == len(before)


def test_where_theirs_comes_first_it_stays_and_one_warning_names_ours(run):
    names, errors = run("import their_grid, gymnasium, commenv" + NAMES)
    assert names == ["TheirEnv", "SimpleGridEnv", "WindyGridEnv"]
    warnings = [line for line in errors.splitlines() if "Warning" in line]
    assert len(warnings) == 1
    assert "'SimpleGrid-v0' (their_grid:TheirEnv)" in warnings[0]
    assert "'commenv/SimpleGrid-v0'" in warnings[0]


def test_the_warning_points_at_the_line_that_imports_commenv(run):
    script = """
import warnings, their_grid
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import commenv
print([(w.filename, w.category.__name__) for w in caught])
"""
    assert run(script)[0] == ["[('<string>', 'UserWarning')]"]


def test_where_theirs_comes_later_ours_stays_reachable(run):
    names, errors = run("import commenv, their_grid, gymnasium" + NAMES)
    assert names == ["TheirEnv", "SimpleGridEnv", "WindyGridEnv"]
    assert errors.count("Overriding environment SimpleGrid-v0") == 1  # Gymnasium's own


def test_the_module_prefix_imports_us(run):
    script = """
import gymnasium
print(type(gymnasium.make("commenv:SimpleGrid-v0").unwrapped).__name__)
print(gymnasium.make_vec("commenv:commenv/WindyGrid-v0", num_envs=3))
"""
    output, errors = run(script)
    assert output == [
        "SimpleGridEnv",
        "WindyGridVectorEnv(commenv/WindyGrid-v0, num_envs=3)",
    ]
    assert errors == ""


def test_registering_imports_no_environment_and_nothing_heavy(run):
    script = """
import sys, commenv.registration
heavy = ("torch", "numba", "scipy", "matplotlib", "pandas", "pygame", "ray", "mujoco")
print([name for name in heavy if name in sys.modules])
"""
    assert run(script)[0] == ["[]"]
