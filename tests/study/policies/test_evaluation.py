"""`commenv evaluate`: trained policies played again, and drawn."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import commenv
from commenv.cli import main
from commenv.errors import MissingExtraError, ResultsError
from commenv.study.policies.animation import draw
from commenv.study.policies.evaluation import evaluate, render
from tests.study.storage.seals import reseal

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")
pytest.importorskip("scipy")


def study(out, environment, algorithm, **changes):
    settings = {"num_agents": 5, "num_trials": 3, "progress": False, "out": out}
    return commenv.run(environment, algorithm, **(settings | changes))


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Simple Grid, learned to the optimum by one label and not at all by the other."""
    out = tmp_path_factory.mktemp("evaluate") / "grid"
    study(out, "SimpleGrid-v0", ["dql", "davia"], num_episodes=150)
    return out


@pytest.fixture(scope="module")
def cart_pole(tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluate") / "cart"
    study(out, "commenv/CartPole-v1", "es", num_episodes=5, gamma=0.99)
    return out


def call(capsys, *arguments):
    try:
        code = main(["evaluate", *map(str, arguments)])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def refused(outcome, code, *words):
    assert outcome[0] == code
    assert outcome[1] == ""
    assert outcome[2].count("\n") == 1
    for word in words:
        assert re.search(word, outcome[2]), (word, outcome[2])


def test_what_has_learned_the_optimum_is_worth_the_optimum(grid):
    row = evaluate(grid, label="dql")[0]
    optimum = commenv.load(grid).optimum["dql"]
    assert (row.label, row.trials, row.episodes) == ("dql", 3, 100)
    assert row.exact == pytest.approx(optimum, abs=1e-12)
    for number in (row.discounted.mean, row.discounted.high):
        assert number == pytest.approx(optimum, abs=1e-12)
    assert (row.total.mean, row.length) == (-7, 8)


def test_the_table_has_a_row_for_each_label(grid, capsys):
    code, out, err = call(capsys, grid, "--episodes", "7")
    assert (code, err) == (0, "")
    assert out == render(evaluate(grid, episodes=7)) + "\n"
    header, rule, dql, davia, *_ = out.splitlines()
    assert header.split() == [
        *("label", "trials", "episodes", "discounted", "return", "steps", "exact"),
    ]
    assert dql.split()[:3] == ["dql", "3", "7"]
    # Three equal trials, and any more could do as badly as can be.
    assert re.search(r"-5\.217 \[-[789]\.\d+, -5\.217\]", dql)
    assert davia.startswith("davia ")
    assert len(rule) == len(dql)


def test_episodes_are_those_of_the_scalar_environment(cart_pole):
    """The mean over episodes equals that of playing them one by one."""
    row = evaluate(cart_pole, trial=2, episodes=6, seed=9)[0]
    policy = commenv.load_policy(cart_pole, trial=2)
    uniforms = commenv.Draws(9, [2], 6, owner="evaluation").uniforms(
        "environment", 5, 4
    )[0]
    totals, discounted = [], []
    for start in uniforms:
        env = gym.make("CartPole-v1")
        env.reset(seed=0)
        env.unwrapped.state = -0.05 + 0.1 * start
        observation, done = env.unwrapped.state.astype(np.float32), False
        rewards = []
        while not done:
            action = policy.act(observation)
            observation, reward, terminated, truncated, _ = env.step(action)
            rewards.append(reward)
            done = terminated or truncated
        totals.append(sum(rewards))
        discounted.append(sum(rewards * 0.99 ** np.arange(len(rewards))))
    assert row.total.mean == pytest.approx(np.mean(totals), rel=1e-12)
    assert row.discounted.mean == pytest.approx(np.mean(discounted), rel=1e-12)
    assert row.length == np.mean(totals)
    assert row.exact is None
    assert row.total.low < row.total.mean < row.total.high


def test_a_trials_episodes_do_not_depend_on_the_other_trials(cart_pole):
    alone = [evaluate(cart_pole, trial=t, episodes=4)[0].total.mean for t in range(3)]
    assert evaluate(cart_pole, episodes=4)[0].total.mean == np.mean(alone)
    assert evaluate(cart_pole, episodes=4, seed=1)[0].total.mean != np.mean(alone)


def test_one_episode_has_no_interval(cart_pole):
    row = evaluate(cart_pole, trial=0, episodes=1)[0]
    assert np.isnan(row.total.low)
    assert "[" not in str(row.total)


def pictures(path):
    """All frames, shape (frames, height, width, 3), and how long the last is shown."""
    frames = []
    with pytest.importorskip("PIL.Image").open(path) as image:
        assert image.format == "GIF"
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
        return np.array(frames), image.info["duration"]


def test_an_episode_is_drawn_step_by_step(grid, capsys, tmp_path):
    path = tmp_path / "new" / "out.gif"
    code, out, err = call(capsys, grid, "--episodes", "2", "--render", path)
    assert (code, err) == (0, "")
    assert f"picture: {path} (an episode of dql, trial 0: 8 steps, return -7)" in out
    frames, _ = pictures(path)
    assert len(frames) == 9
    env = gym.make("SimpleGrid-v0", render_mode="rgb_array")
    env.reset(seed=0)
    assert np.abs(frames[0] - env.render()).max() < 16
    assert (frames[1:] != frames[:-1]).any(axis=(1, 2, 3)).all()
    assert [path.name for path in path.parent.iterdir()] == ["out.gif"]


def test_a_long_episode_is_thinned_and_keeps_its_end(cart_pole, tmp_path, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setattr("commenv.study.policies.animation._MOST_FRAMES", 4)
    policy = commenv.load_policy(cart_pole)
    drawn = draw(policy, tmp_path / "a.gif")
    assert drawn.steps == drawn.total > 4
    assert 2 < drawn.frames <= 5
    frames, last = pictures(tmp_path / "a.gif")
    assert (len(frames), last) == (drawn.frames, 1000)


def test_the_picture_is_the_same_for_the_same_seed(cart_pole, tmp_path):
    pytest.importorskip("pygame")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        draw(commenv.load_policy(cart_pole), tmp_path / f"{name}.gif", seed=seed)
    a, b, c = ((tmp_path / f"{name}.gif").read_bytes() for name in "abc")
    assert a == b != c


def test_a_renderer_that_is_missing_is_named(cart_pole, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r"drawing commenv/CartPole-v1 needs"):
        draw(commenv.load_policy(cart_pole), tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


class Dark(gym.Env):
    """An environment without pictures."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 1, 1.0, True, False, {}


class Broken(Dark):
    """An environment whose pictures fail."""

    metadata: dict = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        raise RuntimeError("no GL here")


@pytest.mark.parametrize(
    ("world", "words"),
    [(Dark, "cannot be drawn|makes no pictures"), (Broken, "no GL here.*MUJOCO_GL")],
)
@pytest.mark.filterwarnings("ignore:.*render")
def test_an_environment_without_pictures_is_refused(world, words, tmp_path):
    gym.register("commenv/Unseen-v0", world, max_episode_steps=3)
    try:
        study(tmp_path / "s", "commenv/Unseen-v0", "dql", num_episodes=2)
        with pytest.raises(ResultsError, match=f"commenv/Unseen-v0 .*({words})"):
            draw(commenv.load_policy(tmp_path / "s"), tmp_path / "a.gif")
        assert evaluate(tmp_path / "s", episodes=3)[0].total.mean == 1
    finally:
        del gym.registry["commenv/Unseen-v0"]
    assert not (tmp_path / "a.gif").exists()


def test_mistakes_in_the_usage_are_one_line(grid, capsys, tmp_path):
    refused(call(capsys, grid, "--label", "dqn"), 2, "unknown label 'dqn'.*'dql'")
    refused(call(capsys, grid, "--trial", "3"), 2, r"trial 3 is not .*\[0, 1, 2\]")
    refused(call(capsys, grid, "--episodes", "0"), 2, "0 episodes; at least 1")
    refused(call(capsys, grid, "--seed", "-1"), 2, "seed -1 is negative")
    refused(call(capsys, grid, "--render", tmp_path / "a.png"), 2, "is no .gif")
    refused(call(capsys), 2, "DIR")
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_written_is_one_line(grid, capsys, tmp_path):
    (tmp_path / "file").touch()
    code, out, err = call(capsys, grid, "--render", tmp_path / "file" / "a.gif")
    assert (code, err.count("\n")) == (1, 1)
    assert "picture:" not in out


def test_folders_that_are_not_ours_are_one_line(grid, capsys, tmp_path):
    refused(call(capsys, tmp_path), 1, "is not a results folder")
    copy = Path(shutil.copytree(grid, tmp_path / "copy"))
    for path in copy.glob("policies/00-dql/*"):
        path.write_bytes(path.read_bytes()[:-8])
    refused(call(capsys, copy), 1, "safetensors is damaged")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["study"]["arms"][0]["algorithm"]["class"] = "evil:Class"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    reseal(copy)
    refused(call(capsys, copy), 1, "names 'evil:Class'.*--allow evil:Class")
    refused(call(capsys, copy, "--allow", "evil:Class"), 1, "cannot import 'evil'")
    shutil.rmtree(copy / "blocks")
    refused(call(capsys, copy, "--label", "davia"), 1, "no finished trial yet")
