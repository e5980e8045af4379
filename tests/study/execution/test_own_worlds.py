"""Agents in worlds of their own that learn together."""

from __future__ import annotations

import numpy as np
import pytest

import commenv
from commenv.channel import BernoulliLoss, Channel
from commenv.envs import WindyGridEnv
from commenv.envs.making import make_batched
from commenv.learning import ExactEvaluator
from commenv.learning.evaluation import MeanEvaluator
from commenv.study.execution.build import problem_of, world_of
from tests.study.blocks import ALGORITHMS, measured
from tests.study.execution.test_sharding import alike
from tests.study.studies import built

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

GAMMA = 0.9
WINDS = [{"wind": {way: 0.5}} for way in ("up", "left", "down", "right")]
COLUMNS = [f"evaluation_agent_{agent}" for agent in range(4)]
# Four grids, each with a push of probability one half in a direction of its own: the
# best deterministic policy that they can share, found by branch and bound.
BEST_COMMON = "DRRRDRRDDDRRRDDSRRRDRRRR"
WORTH = [-7.320388, -7.545581, -3.835787, -4.009089]


def study(**how):
    how = {"num_agents": 4, "num_trials": 3, "num_episodes": 12} | how
    own = {"env_kwargs": WINDS, "progress": False}
    return commenv.run("WindyGrid-v0", how.pop("algorithm", "dql"), **(own | how))


def table(letters):
    moves = ["LRUDS".index(letter) for letter in letters + "S"]
    return np.eye(5)[moves][None]


def test_optima_and_the_best_common_policy_are_what_is_known_of_them():
    results = study(num_episodes=1)
    assert results.optimum["dql"] == pytest.approx(-5.261696, abs=5e-7)
    optima = [results.ranges["dql"][name][1] for name in COLUMNS]
    expected = [-6.733168, -6.733168, -3.790224, -3.790224]
    assert optima == pytest.approx(expected, abs=5e-7)
    one = built("WindyGrid-v0", "dql", env_kwargs=WINDS, num_agents=4)
    arm = one.arms[0]
    evaluator = problem_of(one, arm, [0], world_of(arm, 1)).evaluator
    each = evaluator.each(table(BEST_COMMON), 0)
    assert [float(values[0]) for values in each.values()] == pytest.approx(
        WORTH, abs=5e-7
    )
    both = evaluator.policy_values(table(BEST_COMMON), 0), evaluator.mean(each)
    assert both[0][0] == both[1][0] == pytest.approx(-5.677711, abs=5e-7)


def test_an_evaluation_is_the_mean_over_worlds_and_each_has_a_column(tmp_path):
    results = study(num_agents=6, env_kwargs=[*WINDS, *WINDS[:2]], out=tmp_path)
    frame = results.frame
    worlds = frame[COLUMNS].to_numpy()
    assert not (set(frame.columns) & {"evaluation_agent_4", "evaluation_agent_5"})
    expected = worlds @ [2 / 6, 2 / 6, 1 / 6, 1 / 6]
    np.testing.assert_allclose(frame["evaluation"], expected, rtol=1e-14)
    last = frame.groupby("trial").last()
    for trial in range(3):
        policy = commenv.load_policy(tmp_path, trial=trial).policy
        for own, column in zip(WINDS, COLUMNS, strict=True):
            world = make_batched("WindyGrid-v0", 1, env_kwargs=own)
            exact = ExactEvaluator(world.mdp, GAMMA, 200, 1).policy_values(policy, 0)
            assert last[column][trial] == exact[0]
    assert commenv.load(tmp_path).verify(progress=False).verdict == "holds"


def test_evaluation_of_trained_policies_says_each_world(tmp_path):
    from commenv.study.policies.evaluation import evaluate, render

    results = study(out=tmp_path)
    rows = evaluate(tmp_path, episodes=2)
    last = results.frame.groupby("trial").last()
    assert [row.agent for row in rows] == [0, 1, 2, 3]
    assert [row.exact for row in rows] == pytest.approx(last[COLUMNS].mean().tolist())
    assert "dql, agent 3" in render(rows)


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("name", ["dql", "ebcdql", "espc", "periodic"])
def test_shards_give_the_numbers_of_one_batch(name, count):
    assert alike(of(name), count)


def test_trials_do_not_depend_on_those_beside_them():
    one = of("dql", num_trials=3)
    together = measured(one, (0, 1, 2))[0]
    alone = measured(one, (2,))[0]
    rows = [row for row, trial in enumerate(together["trial"]) if trial == 2]
    for name, values in alone.items():
        assert repr([together[name][row] for row in rows]) == repr(values), name


def of(name, **how):
    _, algorithm, scheme, own = ALGORITHMS[name]
    how = {"num_agents": 4, "num_trials": 2, "num_episodes": 5} | how
    return built("WindyGrid-v0", algorithm, scheme, own, 20, env_kwargs=WINDS, **how)


def test_a_world_that_all_agents_share_is_none_of_their_own(tmp_path):
    shared = study(env_kwargs=[WINDS[0]] * 4, out=tmp_path / "list")
    setting = study(env_kwargs=None, settings={"env.wind": {"up": 0.5}})
    pd.testing.assert_frame_equal(shared.frame, setting.frame, check_exact=True)
    assert shared.settings == setting.settings
    one = study(env_kwargs=WINDS[0], out=tmp_path / "list")
    assert one.settings == shared.settings


def test_an_agent_meets_what_it_would_meet_were_all_in_its_world():
    # Nobody learns anything, so that each agent's episodes are its own affair.
    lost = {"uplink": Channel(link=BernoulliLoss(1.0))}
    own = study(num_agents=2, env_kwargs=WINDS[:2], **lost).frame["reward"]
    first = study(num_agents=1, env_kwargs=WINDS[0], **lost).frame["reward"]
    both = study(num_agents=2, env_kwargs=WINDS[1], **lost).frame["reward"]
    other = study(num_agents=1, env_kwargs=WINDS[1], **lost).frame["reward"]
    second = 2 * both - other
    np.testing.assert_allclose(own, (first + second) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("environment", "algorithm", "own", "settings"),
    [
        ("SimpleGrid-v0", "davia", [{"goal": (4, 4)}, {"goal": (4, 3)}], {}),
        ("SimpleGrid-v0", "ebcdql", [{"goal": (4, 4)}, {"goal": (0, 4)}], {}),
        (
            "commenv/FrozenLake-v0",
            "es",
            [{"is_slippery": True}, {"is_slippery": False}],
            {},
        ),
        (
            "commenv/FrozenLake-v0",
            "fed-dqn",
            [{"is_slippery": True}, {"is_slippery": False}],
            {"local_steps": 8},
        ),
    ],
)
def test_every_kind_of_algorithm_learns_from_own_worlds(
    environment, algorithm, own, settings
):
    if algorithm.startswith("fed"):
        pytest.importorskip("stable_baselines3")
    how = {"num_agents": 2, "num_trials": 2, "num_episodes": 3, "settings": settings}
    frame = commenv.run(
        environment, algorithm, env_kwargs=own, progress=False, **how
    ).frame
    each = frame[["evaluation_agent_0", "evaluation_agent_1"]].to_numpy()
    np.testing.assert_allclose(frame["evaluation"], each.mean(axis=1), rtol=1e-14)


def test_agents_that_train_in_instances_of_their_own_get_their_own():
    one = built("WindyGrid-v0", "dql", env_kwargs=WINDS, num_agents=4)
    arm = one.arms[0]
    problem = problem_of(one, arm, [0], world_of(arm, 1))
    assert problem.mdp is None
    assert isinstance(problem.evaluator, MeanEvaluator)
    for agent, own in enumerate(WINDS):
        table = problem.make_env(agent).unwrapped.mdp
        np.testing.assert_array_equal(
            table.next_state, WindyGridEnv(**own).mdp.next_state
        )


def test_a_function_of_the_agents_number_goes_with_any_number_of_agents():
    arms = commenv.study.arms(
        "SimpleGrid-v0",
        "dql",
        num_agents=[1, 3],
        env_kwargs=lambda agent: {"goal": (4, 4 - agent)},
    )
    assert [arm.label for arm in arms] == ["dql, 1 agent", "dql, 3 agents"]
    assert arms[0].env_kwargs == {"goal": (4, 4)}
    assert arms[1].env_kwargs == tuple({"goal": (4, column)} for column in (4, 3, 2))


def test_own_and_common_worlds_are_a_product_by_name():
    arms = commenv.study.arms(
        "WindyGrid-v0",
        "dql",
        num_agents=4,
        env_kwargs={"calm": {"wind": {}}, "four winds": WINDS},
    )
    assert [arm.label for arm in arms] == ["dql, calm", "dql, four winds"]
    assert arms[0].env_kwargs == {"wind": {}}
    assert len(arms[1].worlds) == 4


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"env_kwargs": WINDS, "num_agents": 5}, "length 4, and num_agents is 5"),
        (
            {"env_kwargs": WINDS, "num_agents": [4, 3]},
            "length 4, and num_agents is 3",
        ),
        (
            {"env_kwargs": WINDS, "settings": {"env.wind": {"up": 0.1}}},
            "'wind' is given as an argument and as the setting 'env.wind'",
        ),
        ({"env_kwargs": [{}, {}, {}, {"size": 6}]}, "agent 3's world has observations"),
        ({"env_kwargs": [{}, {}, {"sise": 6}, {}]}, "sise"),
        ({"env_kwargs": [{}, {}, 3, {}]}, "env_kwargs of agent_2 is 3"),
        ({"env_kwargs": "up"}, "env_kwargs"),
    ],
)
def test_worlds_that_do_not_fit_are_named(how, words):
    with pytest.raises((ValueError, TypeError), match=words):
        study(**how)


def test_a_study_with_own_worlds_grows_and_merges(tmp_path):
    whole = study(num_trials=4).frame
    study(num_trials=2, out=tmp_path / "grown")
    grown = study(num_trials=4, out=tmp_path / "grown").frame
    pd.testing.assert_frame_equal(grown, whole, check_exact=True)
    for first in (0, 2):
        trials = {"first_trial": first, "last_trial": first + 1}
        study(num_trials=4, **trials, out=tmp_path / f"{first}")
    merged = commenv.merge(tmp_path / "all", [tmp_path / "0", tmp_path / "2"])
    pd.testing.assert_frame_equal(merged.frame, whole, check_exact=True)


def test_arms_of_both_kinds_stand_in_one_frame():
    results = study(env_kwargs={"calm": {"wind": {}}, "winds": WINDS}, num_trials=1)
    calm = results.frame["label"] == "dql, calm"
    assert results.frame.loc[calm, COLUMNS].isna().all(axis=None)
    assert results.frame.loc[~calm, COLUMNS].notna().all(axis=None)
    assert results.settings["dql, winds"]["environment argument of each agent"] == WINDS


def test_listeners_hear_of_each_world_where_it_was_evaluated():
    heard = []

    class Listen(commenv.Callback):
        def on_round(self, measured):
            heard.append({name: measured.values.get(name) for name in COLUMNS})

    how = {"num_trials": 1, "num_episodes": 4, "evaluate_every": 2}
    frame = study(callbacks=[Listen()], **how).frame
    assert heard[0] == heard[2] == dict.fromkeys(COLUMNS)
    assert heard[1::2] == frame.loc[1::2, COLUMNS].to_dict("records")
