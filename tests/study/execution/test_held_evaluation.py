"""The value of what agents hold, where a downlink may lose what the learner has."""

from __future__ import annotations

import numpy as np
import pytest

from commenv.channel import (
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Budget,
    Chain,
    Channel,
    Delay,
    Delta,
    Float16,
    Sparse,
)
from commenv.envs import greedy_policy
from commenv.study import Study
from commenv.study.execution.block import run_block
from commenv.study.execution.build import rounds_of
from tests.study.studies import built

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

LOSSY = Channel(link=Chain(BernoulliLoss(0.4), Delay(0, spread=2)))
EVERY = {
    "lossy": LOSSY,
    "shared": Channel(link=BernoulliLoss(0.5), medium="broadcast"),
    "coded": Channel(codec=Float16()),
    "budget": Channel(budget=Budget(messages=3, per="lifetime")),
    "team": Channel(budget=Budget(messages=2, scope="team", exceed="queue")),
    "differences": Channel(codec=Delta(Sparse(), 3), link=BernoulliLoss(0.4)),
    "noisy": Channel(link=AdditiveNoise(1.0)),
    "damaged": Channel(link=BitErrors(1e-3)),
}


def study(downlink, environment="SimpleGrid-v0", algorithm="dql", **changes) -> Study:
    settings = {"num_agents": 4, "num_trials": 3, "num_episodes": 8} | changes
    settings |= {"downlink": downlink, "evaluation_episodes": 2}
    return built(environment, [algorithm], None, {}, 20, **settings)


def frame_of(given):
    return run_block(given, given.arms[0], range(given.num_trials)).to_pandas()


@pytest.mark.parametrize("downlink", EVERY.values(), ids=EVERY)
def test_it_is_the_mean_over_agents_of_what_each_holds(downlink):
    given = study(downlink)
    rounds, evaluator = rounds_of(given, given.arms[0], range(3), None)
    mdp = rounds.env.instances.world.mdp
    found = []
    for episode, _ in enumerate(rounds.play(8)):
        held = rounds.star.receive_broadcast()["q"]  # of each agent by itself
        policies = greedy_policy(held.reshape(-1, *held.shape[2:]))
        values = mdp.start_value(mdp.finite_horizon_values(policies, given.gamma, 20))
        expected = values.reshape(3, 4).mean(axis=1)
        found.append(rounds.held_values(evaluator, episode))
        np.testing.assert_allclose(found[-1], expected, rtol=1e-12)
    frame = frame_of(given)
    column = frame["held_evaluation"].to_numpy().reshape(3, 8)
    np.testing.assert_array_equal(column, np.transpose(found))


def test_agents_whom_nothing_reaches_hold_what_they_began_with():
    given = study(Channel(link=BernoulliLoss(1.0)), num_episodes=40)
    frame = frame_of(given)
    rounds, _ = rounds_of(given, given.arms[0], [0], None)
    mdp = rounds.env.instances.world.mdp
    uniform = np.full((1, mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)
    value = mdp.start_value(mdp.finite_horizon_values(uniform, given.gamma, 20))
    np.testing.assert_allclose(frame["held_evaluation"], value[0])
    assert frame["evaluation"].max() > value[0] + 1


def test_played_evaluations_play_what_agents_hold():
    lost = Channel(link=BernoulliLoss(1.0))
    given = study(lost, "commenv/CartPole-v1", "es")
    held = frame_of(given)["held_evaluation"]
    rounds, evaluator = rounds_of(given, given.arms[0], range(3), None)
    start = rounds.learner.policy()  # before anything was learned
    expected = [evaluator.policy_values(start, episode) for episode in range(8)]
    np.testing.assert_array_equal(held, np.transpose(expected).ravel())


@pytest.mark.parametrize(
    "downlink", [Channel(), Channel(medium="broadcast"), Channel(headers=True)]
)
def test_nothing_is_evaluated_twice_where_everything_arrives(downlink):
    frame = frame_of(study(downlink))
    assert frame["held_evaluation"].isna().all()
    assert frame["evaluation"].notna().all()


def test_an_algorithm_that_does_not_say_what_parameters_do_has_no_value():
    from commenv_baselines.dql import DQL, QLearner

    from commenv.learning import Learner

    class Silent(QLearner):
        policy_of = Learner.policy_of

        def policy(self):
            return greedy_policy(self.memory["q"])

    class Other(DQL):
        def learner(self, problem):
            return Silent(problem, self)

    how = {"num_trials": 2, "num_episodes": 2, "downlink": LOSSY}
    frame = frame_of(built("SimpleGrid-v0", [Other()], None, {}, 20, **how))
    assert frame["held_evaluation"].isna().all()
    assert frame["evaluation"].notna().all()


def test_it_is_due_when_evaluations_are_and_costs_training_nothing():
    rare = frame_of(study(LOSSY, evaluate_every=3))
    often = frame_of(study(LOSSY))
    due = rare["evaluation"].notna()
    assert (rare["held_evaluation"].notna() == due).all()
    columns = ["evaluation", "held_evaluation"]
    assert (rare.loc[due, columns] == often.loc[due, columns]).all(axis=None)
    assert rare.drop(columns=columns).equals(often.drop(columns=columns))


@pytest.mark.parametrize("algorithm", ["dql", "davia", "es"])
@pytest.mark.parametrize("downlink", EVERY.values(), ids=EVERY)
def test_blocks_of_trials_change_nothing(downlink, algorithm):
    given = study(downlink, algorithm=algorithm)
    together = frame_of(given)
    for trial in range(3):
        alone = run_block(given, given.arms[0], [trial]).to_pandas()
        mine = together[together["trial"] == trial].reset_index(drop=True)
        assert mine["held_evaluation"].equals(alone["held_evaluation"])
