from __future__ import annotations

import inspect
from dataclasses import dataclass, fields

import gymnasium as gym
import pytest
from commenv_baselines.espc import ESPC

from commenv.channel import Budget, Delta, GilbertElliottLoss, TopK
from commenv.cli import main
from commenv.cli.listing import explained, overview
from commenv.errors import UnknownNameError
from commenv.learning import Scheme
from commenv.registration import env_ids, parallel_ids
from commenv.study.cost import LoRa


@dataclass(frozen=True)
class Rare(Scheme):
    """Sends rarely."""

    name = "rare"
    requires = ("td_error",)
    rate: float = 0.25

    def select(self, signals, state, draws, left):
        raise NotImplementedError


def names_of(title):
    """The names below a title, and what stands beside them."""
    lines = overview().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(title)) + 1
    end = next(i for i in range(start, len(lines)) if lines[i][0] != " ")
    return dict(line.strip().partition(" ")[::2] for line in lines[start:end])


@pytest.mark.parametrize(
    ("title", "some"),
    [
        ("environments (", [*env_ids(), "SimpleGrid-v0", "WindyGrid-v0"]),
        ("environments for PettingZoo", [*parallel_ids(), "commenv/Signal-v0"]),
        ("algorithms", ["davia", "dql", "ebcdql", "es", "espc", "fed-ppo"]),
        ("schemes", ["always", "td_error", "probabilistic"]),
        ("codecs (", ["identity", "float16", "top_k", "sparse"]),
        ("codecs around", ["feedback", "delta"]),
        ("links", ["loss", "burst", "rate", "delay", "noise", "bit-errors"]),
        ("budgets", ["budget"]),
        ("cost profiles", ["lora", "lte", "wifi"]),
        ("reproductions", ["thesis"]),
    ],
)
def test_everything_is_listed_with_a_line_of_its_own_and_can_be_explained(title, some):
    found = names_of(title)
    assert set(some) <= found.keys()
    for name, words in found.items():
        assert len(words.split()) > 3, name
        assert explained(name).startswith(f"{name} (")


@pytest.mark.parametrize(
    ("name", "cls", "usage"),
    [
        ("top_k", TopK, "--codec top_k,k=1:"),
        ("delta", Delta, "--codec delta+top_k:"),
        ("burst", GilbertElliottLoss, "--burst to_bad=...:"),
        ("budget", Budget, "--uplink-budget messages=...:"),
        ("lora", LoRa, "--link lora,spreading_factor=7:"),
        ("espc", ESPC, "--algorithm espc --set "),
        (f"{__name__}:Rare", Rare, "settings:"),
    ],
)
def test_all_settings_of_a_class_are_explained(name, cls, usage):
    said = explained(name)
    assert usage in said
    for field in fields(cls):
        assert f"\n  {field.name} = " in said
    assert inspect.cleandoc(cls.__doc__) in said


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SimpleGrid-v0", ["size = 5", "goal = None", "start = (0, 0)"]),
        ("commenv/WindyGrid-v0", ["wind = {'up': 0.3, 'left': 0.3}"]),
        ("FrozenLake-v0", ["map_name = 5x5", "is_slippery = False"]),
        ("CliffWalking-v1", ["is_slippery = False"]),  # Gymnasium's own
        ("commenv/CartPole-v1", ["sutton_barto_reward = False"]),
        ("Signal-v0", ["max_cycles = 20"]),
        ("commenv/simple_grid-v0", ["num_agents = 5", "gamma = 0.9", "size = 5"]),
    ],
)
def test_the_arguments_of_environments_are_explained(name, settings):
    said = explained(name)
    for one in settings:
        assert f"\n  {one}\n" in said
    assert "render_mode =" not in said or "pettingzoo.make" in said


def test_the_arguments_of_robots_are_those_of_the_batch_and_gymnasiums():
    pytest.importorskip("mujoco")
    said = explained("commenv/Ant-v5")
    assert "\n  num_threads = None\n" in said
    assert "\n  ctrl_cost_weight = 0.5\n" in said
    assert "num_envs =" not in said


def test_a_codec_around_another_is_explained_with_it():
    said = explained("feedback+top_k")
    assert "feedback (codec around another one)" in said
    assert "top_k (codec)" in said


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("SimpleGird-v0", "SimpleGrid-v0"),
        ("FrozenLke-v0", "FrozenLake-v0"),
        ("CliffWlking-v1", "CliffWalking-v1"),
        ("Signl-v0", "Signal-v0"),
        ("topk", "top_k"),
        ("lroa", "lora"),
        ("bit_errors", "bit-errors"),
        ("espcc", "espc"),
        ("budgte", "budget"),
    ],
)
def test_a_typing_error_is_answered_with_near_names_of_every_kind(name, near):
    with pytest.raises(UnknownNameError, match="did you mean") as refusal:
        explained(name)
    assert repr(near) in str(refusal.value)


def test_a_name_like_no_other_is_answered_with_how_to_see_all():
    with pytest.raises(UnknownNameError, match="'qqq'; commenv list shows all names"):
        explained("qqq")


def test_the_list_does_without_the_plain_ids(capsys, monkeypatch):
    monkeypatch.delitem(gym.registry, "SimpleGrid-v0")
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    assert "  commenv/SimpleGrid-v0" in said
    assert "\n  SimpleGrid-v0" not in said
    assert explained("SimpleGrid-v0").startswith("commenv/SimpleGrid-v0 (environment)")
    assert main(["list", "WindyGrid-v0"]) == 0


def test_an_environment_that_lacks_a_package_is_named(capsys):

    gym.register("Lacking-v0", "no_such_package:Env")
    try:
        assert main(["list", "Lacking-v0"]) == 1
    finally:
        del gym.registry["Lacking-v0"]
    assert "Lacking-v0 cannot be imported (ModuleNotFound" in capsys.readouterr().err
