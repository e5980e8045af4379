import subprocess
import sys

import gymnasium as gym
import pytest

from commenv.envs import make_batched, robots
from commenv.errors import MissingExtraError

ROBOTS = [name.removesuffix("Batch") for name in robots.__all__]


@pytest.mark.parametrize("robot", ROBOTS)
def test_without_mujoco_every_form_names_the_extra(robot, monkeypatch):
    for name in [one for one in sys.modules if "mujoco" in one.split(".")]:
        if not name.startswith("commenv"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    env_id = f"commenv/{robot}-v5"
    for form in (gym.make, gym.make_vec, lambda one: make_batched(one, 2)):
        with pytest.raises(MissingExtraError, match=rf"{env_id}.*\[mujoco\]"):
            form(env_id)


def test_importing_the_robots_imports_no_mujoco():
    code = "import sys, commenv.envs.robots; print('mujoco' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
