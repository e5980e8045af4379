import traceback

import numpy as np
import pytest

import commenv
from commenv.errors import (
    BlocksFailedError,
    EnvironmentFaultError,
    NotResetError,
)
from commenv.rng import Draws
from tests.faults import Licence, Unlucky
from tests.study.execution.backends.rays import around_ray

CHANCE, AGENTS, TRIALS, EPISODES = 0.004, 2, 8, 20
UNLUCKY = "tests.faults:Unlucky-v0"


def run(out=None, block=2, **how):
    settings = {"env.chance": how.pop("chance", CHANCE)}
    return commenv.run(
        UNLUCKY,
        "dql",
        num_agents=AGENTS,
        num_trials=TRIALS,
        num_episodes=EPISODES,
        evaluate_every=100,
        evaluation_episodes=1,
        block=block,
        out=out,
        settings=settings,
        progress=False,
        **how,
    )


def first_faults(block):
    """Of each block the first fault: (episode, step, trial, agent), from the seeds."""
    draws, world = Draws(0, range(TRIALS), AGENTS, owner="environment"), Unlucky()
    found = {}
    for episode in reversed(range(EPISODES)):
        seeds = draws.seeds("environment", episode)
        for (trial, agent), seed in reversed(list(np.ndenumerate(seeds))):
            world.reset(seed=int(seed))
            drawn = world.np_random.random(6) < CHANCE
            if drawn.any():
                fault = (episode, int(drawn.argmax()), trial, agent)
                key = trial // block
                found[key] = min(found.get(key, fault), fault)
    return [found[key] for key in sorted(found)]


def places(error):
    return [
        tuple(one.place[name] for name in ("episode", "step", "trial", "agent"))
        for one in error.errors
    ]


@pytest.mark.parametrize("block", [1, 2, 8])
def test_the_other_blocks_are_finished_and_every_fault_is_named(tmp_path, block):
    expected = first_faults(block)
    assert expected
    with pytest.raises(BlocksFailedError, match="another run goes on") as caught:
        run(tmp_path / "s", block)
    assert places(caught.value) == expected
    assert isinstance(caught.value.__cause__, EnvironmentFaultError)
    assert isinstance(caught.value.__cause__.__cause__, Licence)
    text = str(caught.value)
    assert f"{len(expected)} block" in text
    for episode, step, trial, agent in expected:
        assert (
            "Unlucky-v0 raised Licence in step(): simulator lost its licence (label "
            f"'dql', trial {trial}, agent {agent}, episode {episode}, step {step})"
        ) in text
    failed = {trial // block for _, _, trial, _ in expected}
    kept = [trial for trial in range(TRIALS) if trial // block not in failed]
    if kept:
        frame = commenv.load(tmp_path / "s").frame
        assert sorted(set(frame["trial"])) == kept


def test_another_run_plays_the_missing_blocks_alone(tmp_path, monkeypatch):
    with pytest.raises(BlocksFailedError):
        run(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert before
    failed = {trial // 2 for _, _, trial, _ in first_faults(2)}
    seeds = []
    reset = Unlucky.reset
    monkeypatch.setattr(Unlucky, "step", Unlucky.sound_step)
    monkeypatch.setattr(
        Unlucky,
        "reset",
        lambda self, *, seed=None, options=None: (
            seeds.append(seed) or reset(self, seed=seed)
        ),
    )
    mended = run(tmp_path).frame
    assert sorted(set(mended["trial"])) == list(range(TRIALS))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    draws = Draws(0, range(TRIALS), AGENTS, owner="environment")
    again = draws.seeds("environment", 3)
    for trial in range(TRIALS):
        assert (int(again[trial, 0]) in seeds) == (trial // 2 in failed)
    assert mended.equals(run(chance=0.0).frame)


@pytest.mark.slow
def test_other_processes_name_the_same_and_quote_the_cause(tmp_path):
    with pytest.raises(BlocksFailedError) as caught:
        run(tmp_path, workers=2)
    assert places(caught.value) == first_faults(2)
    whole = "".join(traceback.format_exception(caught.value))
    assert 'Licence("simulator", "lost its licence")' in whole


@pytest.mark.slow
@pytest.mark.parametrize("how", [{"workers": 2}, {"actors": 2}], ids=str)
def test_ray_names_the_same(tmp_path, how):
    pytest.importorskip("ray")
    with around_ray(), pytest.raises(BlocksFailedError) as caught:
        run(tmp_path, backend="ray", **how)
    assert places(caught.value) == first_faults(2)


def test_where_nothing_is_kept_the_error_says_how_to_keep_it():
    with pytest.raises(BlocksFailedError, match="give out= to keep the others"):
        run()


def test_other_errors_stop_a_study_at_once(monkeypatch):
    calls = []

    def broken(self, *arguments):
        calls.append(arguments)
        raise NotResetError("not an environment's fault")

    monkeypatch.setattr("commenv_baselines.dql.QLearner.update", broken)
    with pytest.raises(NotResetError):
        run(chance=0.0)
    assert len(calls) == 1


def test_federated_agents_do_not_blame_the_learner(tmp_path):
    pytest.importorskip("stable_baselines3")
    for fault, words in (
        ("nan", "reward nan"),
        ("-inf", "reward -inf"),
        ("raise", "Lic"),
    ):
        with pytest.raises(BlocksFailedError, match=f"Unlucky-v0 r.*{words}") as caught:
            commenv.run(
                UNLUCKY,
                "fed-ppo",
                num_agents=2,
                num_trials=1,
                num_episodes=3,
                settings={
                    "n_steps": 32,
                    "local_steps": 32,
                    "batch_size": 16,
                    "env.chance": 0.02,
                    "env.fault": fault,
                    "env.boxed": True,
                },
                progress=False,
            )
        assert "learning_rate" not in str(caught.value)
        assert caught.value.errors[0].place.keys() == {
            "label",
            "trial",
            "agent",
            "episode",
        }


def test_vectors_of_rewards_are_refused_before_anything_runs(tmp_path, monkeypatch):
    from gymnasium import spaces

    monkeypatch.setattr(Unlucky, "reward_space", spaces.Box(0, 1, (3,)), raising=False)
    with pytest.raises(EnvironmentFaultError, match="Unlucky-v0 has rewards of shape"):
        run(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_command_says_it_without_a_traceback(capfd):
    from commenv.cli import main

    code = main(
        f"run --env {UNLUCKY} --algorithm dql --agents 2 --trials 2 --episodes 50 "
        "--set env.chance=0.05".split()
    )
    assert code == 1
    said = capfd.readouterr().err
    assert "Unlucky-v0 raised Licence in step()" in said
    assert "(label 'dql', trial " in said
    assert "Traceback" not in said
