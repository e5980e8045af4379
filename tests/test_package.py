"""What importing costs, and what is public."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import commenv_baselines
import pytest

import commenv

HEAVY = [
    "torch",
    "numba",
    "scipy",
    "matplotlib",
    "pandas",
    "mujoco",
    "pygame",
    "stable_baselines3",
    "ray",
    "tensorboard",
    "wandb",
    "mlflow",
]
MODULES = [
    name
    for package in (commenv, commenv_baselines)
    for _, name, _ in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_commenv_imports_nothing_heavy():
    loaded = run("import sys, commenv, commenv.cli; print(*sys.modules)").split()
    assert sorted(set(HEAVY) & set(loaded)) == []


def test_importing_commenv_leaves_the_global_generator_alone():
    code = """
import numpy, random
numpy.random.seed(1); random.seed(1)
before = numpy.random.get_state()[1].tolist(), random.getstate()
import commenv, gymnasium
env = gymnasium.make("WindyGrid-v0"); env.reset(seed=0); env.step(0)
batch = commenv.batched_env("WindyGrid-v0", 2, 2); batch.reset(seed=0)
assert before == (numpy.random.get_state()[1].tolist(), random.getstate())
print("same")
"""
    assert run(code).strip() == "same"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_lists_its_public_names_sorted(name):
    module = importlib.import_module(name)
    listed = module.__all__
    key = lambda word: (not word.isupper(), not word[0].isupper(), word)  # noqa: E731
    assert list(listed) == sorted(listed, key=key)
    assert all(hasattr(module, one) for one in listed if name in MODULES)


def test_the_packages_public_names_exist():
    for name in commenv.__all__:
        assert hasattr(commenv, name)


def test_the_package_shows_what_is_public_and_nothing_else():
    shown = {name for name in dir(commenv) if not name.startswith("__")}
    assert shown == (set(commenv.__all__) | set(commenv._ROOMS)) - {"__version__"}


@pytest.mark.parametrize("package", [commenv, commenv_baselines])
def test_types_are_part_of_both_packages(package):
    assert (Path(package.__file__).parent / "py.typed").exists()
