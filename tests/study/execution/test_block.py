from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.dql import DQL

import commenv
from commenv.errors import ResultsError
from commenv.study.analysis.estimands import final
from commenv.study.execution.block import optimum_of, run_block
from commenv.study.storage.frame import COLUMNS, NAMES, validate
from tests.study.studies import built

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


class Corridor(gym.Env):
    """Five arms in a row without tables: action 1 goes right, to the end and 1."""

    observation_space = gym.spaces.Discrete(5)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.arm = int(self.np_random.integers(2))
        return self.arm, {}

    def step(self, action):
        self.arm = max(0, self.arm + (1 if action else -1))
        done = self.arm == 4
        return self.arm, float(done), done, False, {}


@pytest.fixture
def corridor():
    gym.register("Corridor-v0", Corridor, max_episode_steps=30)
    yield "Corridor-v0"
    del gym.registry["Corridor-v0"]


def make_study(environment=None, algorithm="dql", **changes):
    """By default on a grid of 4 x 4, where episodes differ much in length."""
    settings = {"num_agents": 3, "num_trials": 4, "num_episodes": 12} | changes
    if environment is None:
        return built("SimpleGrid-v0", algorithm, settings={"env.size": 4}, **settings)
    return built(environment, algorithm, **settings)


def frame_of(study, trials=None):
    trials = list(range(study.num_trials)) if trials is None else trials
    return run_block(study, study.arms[0], trials).to_pandas()


def by_trial(frame):
    return dict(iter(frame.groupby("trial")))


def costs_twenty_bytes_a_step(frame):
    """Exactly, once the means over agents are undone."""
    totals = frame[["size", "episode_length"]].mul(frame["num_agents"], axis=0).round()
    return (totals["size"] == 20 * totals["episode_length"]).all()


def same_bits(one, other):
    one, other = one.reset_index(drop=True), other.reset_index(drop=True)
    assert list(one.columns) == list(other.columns)
    assert len(one) == len(other)
    for name in one.columns:
        if one[name].dtype == np.float64:
            bits = [frame[name].to_numpy().view(np.int64) for frame in (one, other)]
            assert (bits[0] == bits[1]).all(), name
        else:
            assert one[name].equals(other[name]), name


def test_one_row_per_trial_and_episode_in_order_with_the_promised_columns():
    study = make_study()
    frame = frame_of(study, [1, 3])
    assert list(frame.columns) == list(NAMES)
    assert frame["trial"].tolist() == [1] * 12 + [3] * 12
    assert frame["episode"].tolist() == [*range(12), *range(12)]
    assert (frame["num_agents"] == 3).all()
    for column in COLUMNS:
        if column.dtype != "str":
            assert frame[column.name].dtype == column.dtype
    for name, value in {
        "label": "dql",
        "environment": "SimpleGrid-v0",
        "algorithm": "dql",
        "scheme": "always",
        "codec": "identity",
    }.items():
        assert (frame[name] == value).all()
    validate(frame)


def test_dql_sends_twenty_bytes_a_step_and_the_columns_add_up():
    frame = frame_of(make_study())
    assert costs_twenty_bytes_a_step(frame)
    assert (frame["frequency"] == 1).all()
    assert (frame["messages"] == 1).all()
    assert (frame["header_size"] == 16).all()
    assert (frame["downlink_size"] == 8 * 16 * 5).all()
    assert (frame["downlink_header_size"] == 16).all()
    parts = ["size", "header_size", "downlink_size", "downlink_header_size"]
    np.testing.assert_allclose(frame["total_size"], frame[parts].sum(axis=1), 1e-14)
    assert not frame[["refused", "refused_bytes", "lost", "penalty"]].any().any()
    for rows in by_trial(frame).values():
        assert (rows["env_steps"] == rows["episode_length"].cumsum()).all()
        assert rows["episode_length"].nunique() > 5


def test_refused_messages_are_counted_and_not_sent():
    study = make_study(
        uplink=commenv.Channel(budget=commenv.Budget(messages=5, per="lifetime"))
    )
    for rows in by_trial(frame_of(study)).values():
        assert (rows["messages"] == [1] * 5 + [0] * 7).all()
        assert (rows["refused"] == [0] * 5 + [1] * 7).all()
        cost = 20 * rows["episode_length"]
        assert np.allclose(rows["size"] + rows["refused_bytes"], cost, rtol=1e-14)
        learned = rows["evaluation"].to_numpy()
        assert (learned[5:] == learned[4]).all()


def test_lost_messages_were_paid_for():
    study = make_study(uplink=commenv.Channel(link=commenv.BernoulliLoss(1.0)))
    frame = frame_of(study)
    assert (frame["lost"] == 1).all()
    assert costs_twenty_bytes_a_step(frame)
    for rows in by_trial(frame).values():
        assert rows["evaluation"].nunique() == 1


@pytest.mark.parametrize(
    ("every", "evaluated"),
    [(1, range(12)), (5, [4, 9, 11]), (6, [5, 11]), (12, [11]), (100, [11])],
)
def test_evaluations_come_every_so_many_rounds_and_last(every, evaluated):
    frame, full = frame_of(make_study(evaluate_every=every)), frame_of(make_study())
    for trial, rows in by_trial(frame).items():
        known = rows[rows["evaluation"].notna()]
        assert known["episode"].tolist() == list(evaluated)
        expected = by_trial(full)[trial]["evaluation"].iloc[list(evaluated)]
        assert known["evaluation"].tolist() == expected.tolist()
    same_bits(frame.drop(columns="evaluation"), full.drop(columns="evaluation"))


COSTS = {
    "env_steps": "episode_length",
    "messages": "messages",
    "uplink_bytes": "size",
    "total_bytes": "total_size",
}


@pytest.mark.parametrize(
    ("quantity", "limit"),
    [
        ("env_steps", 600),
        ("messages", 5),
        ("uplink_bytes", 9000),
        ("total_bytes", 15_000),
    ],
)
def test_a_trial_stops_after_the_round_that_reaches_the_limit(quantity, limit):
    free = by_trial(frame_of(make_study()))
    stopped = by_trial(frame_of(make_study(stop={quantity: limit}, evaluate_every=5)))
    lengths = []
    for trial, rows in stopped.items():
        total = free[trial][COSTS[quantity]].cumsum().to_numpy()
        lengths.append(int((total < limit).sum()) + 1)
        assert len(rows) == lengths[-1]
        same_bits(
            rows.drop(columns="evaluation"),
            free[trial].head(lengths[-1]).drop(columns="evaluation"),
        )
        due = {4, 9, lengths[-1] - 1}
        known = rows.loc[rows["evaluation"].notna(), "episode"]
        assert set(known) == {episode for episode in due if episode < lengths[-1]}
        final = free[trial]["evaluation"].iloc[lengths[-1] - 1]
        assert rows["evaluation"].iloc[-1] == final
    assert max(lengths) < 12
    if quantity == "env_steps":
        assert len(set(lengths)) > 1  # or the test would not tell trials apart


def test_the_first_of_several_limits_counts():
    frame = frame_of(make_study(stop={"messages": 3, "env_steps": 1e9}))
    assert (frame.groupby("trial").size() == 3).all()


def test_a_limit_that_is_never_reached_changes_nothing():
    same_bits(frame_of(make_study(stop={"messages": 1e9})), frame_of(make_study()))


@pytest.mark.parametrize("stop", [None, {"env_steps": 600}])
def test_a_trial_does_not_depend_on_the_others_of_its_block(stop):
    study = make_study(stop=stop, evaluate_every=3)
    whole = by_trial(frame_of(study))
    for trials in ([2], [0, 1], [1, 2, 3]):
        for trial, rows in by_trial(frame_of(study, trials)).items():
            same_bits(rows, whole[trial])


def test_reports_count_the_trials_that_play():
    study, reports = make_study(stop={"env_steps": 600}), []
    table = run_block(study, study.arms[0], [0, 1, 2, 3], report=reports.append)
    assert sum(reports) == table.num_rows
    assert reports[0] == 4
    assert reports == sorted(reports, reverse=True)


@pytest.mark.parametrize(
    ("environment", "gamma", "optimum"),
    [
        ("SimpleGrid-v0", 0.9, -5.217031),
        ("WindyGrid-v0", 1.0, -14.47349),
        ("FrozenLake-v1", 1.0, 0.74419),  # 14/17 without the limit of 100 steps
    ],
)
def test_the_optimum_is_exact_within_the_time_limit(environment, gamma, optimum):
    study = make_study(environment, gamma=gamma)
    assert optimum_of(study, study.arms[0]) == pytest.approx(optimum, abs=1e-5)


def test_there_is_no_optimum_without_tables(corridor):
    study = make_study(corridor)
    assert optimum_of(study, study.arms[0]) is None


class Endless(gym.Env):
    """One arm that costs 1 a step, for ever."""

    observation_space = gym.spaces.Discrete(1)
    action_space = gym.spaces.Discrete(1)

    def __init__(self):
        self.P = {0: {0: [(1.0, 0, -1.0, False)]}}
        self.initial_state_distrib = np.ones(1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, -1.0, False, False, {}


def test_the_optimum_of_an_endless_task_is_that_within_the_limit():
    gym.register("Endless-v0", Endless, max_episode_steps=5)
    try:
        study = make_study("Endless-v0", gamma=1.0)
        assert optimum_of(study, study.arms[0]) == -5.0
        frame = frame_of(study)
        assert (frame["evaluation"] == -5).all()
        discounted = make_study("Endless-v0", gamma=0.5)
        assert optimum_of(discounted, discounted.arms[0]) == -1.9375
    finally:
        del gym.registry["Endless-v0"]


@pytest.mark.parametrize(
    ("environment", "limit"),
    [("FrozenLake-v1", 100), ("CliffWalking-v1", 200), ("Taxi-v4", 200)],
)
def test_gymnasiums_tabular_environments_are_evaluated_exactly(environment, limit):
    study = make_study(environment, num_trials=2, num_episodes=6)
    frame = frame_of(study)
    assert frame["episode_length"].between(1, limit).all()
    if environment != "FrozenLake-v1":
        assert (frame["episode_length"] == limit).any()  # nothing is learned yet
    assert costs_twenty_bytes_a_step(frame)
    optimum = optimum_of(study, study.arms[0])
    assert (frame["evaluation"] <= optimum + 1e-12).all()
    same_bits(frame_of(study, [1]), frame[frame["trial"] == 1])


def test_an_environment_without_tables_is_evaluated_by_play(corridor):
    study = make_study(
        corridor,
        DQL(alpha=0.5, initial_value=1.0),
        gamma=0.5,
        num_episodes=40,
        evaluation_episodes=50,
        evaluate_every=40,
    )
    frame = frame_of(study)
    # From arm 0 or 1 the way is 4 or 3 steps: 0.125 or 0.25, half of the time each.
    final = frame["evaluation"].dropna()
    assert len(final) == study.num_trials
    assert final.between(0.16, 0.215).all()
    assert final.nunique() > 1  # each trial on draws of its own
    same_bits(frame_of(study, [2]), frame[frame["trial"] == 2])


def test_a_policy_whose_value_is_no_number_is_not_taken_for_one_without_a_value():
    class Unsure(DQL):
        def learner(self, problem):
            learner = super().learner(problem)
            learner.evaluate = lambda episode: np.array([np.nan, 1.0, -2.0, np.nan])
            return learner

    frame = frame_of(make_study(algorithm=Unsure(), evaluate_every=4))
    values = frame["evaluation"].to_numpy().reshape(4, 12)
    assert np.isnan(values[:, [0, 1, 2, 4]]).all()
    assert values[:, 3].tolist() == values[:, 11].tolist() == [-np.inf, 1, -2, -np.inf]
    with pytest.raises(ResultsError, match="last evaluation of dql is -inf in trial 0"):
        final("dql")(frame)


def test_evaluation_by_play_costs_the_training_nothing(corridor):
    rare = frame_of(make_study(corridor, evaluate_every=12, evaluation_episodes=1))
    often = frame_of(make_study(corridor, evaluation_episodes=7))
    same_bits(rare.drop(columns="evaluation"), often.drop(columns="evaluation"))


def test_a_continuous_space_is_refused():
    study = make_study("CartPole-v1")
    with pytest.raises(ValueError, match=r"dql keeps a table.*Box.*discretise"):
        optimum_of(study, study.arms[0])
