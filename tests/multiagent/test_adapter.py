"""Algorithms on PettingZoo environments: the same bits as on the batched face."""

from dataclasses import fields

import numpy as np
import pytest

import commenv
from commenv import Budget, Channel, Messages
from commenv.channel import BernoulliLoss, Chain, Delay, ErrorFeedback, TopK
from commenv.learning import Rounds
from commenv.multiagent import batched_from_parallel
from commenv.study.execution.build import problem_of, world_of
from commenv.wrappers import ChannelEnv
from tests.study.studies import built

TRIALS, AGENTS, ROUNDS = [0, 3], 3, 5
STEP = np.dtype([("state", "<i4")])
LOSSY = Channel(link=BernoulliLoss(0.3))
ROUGH = {
    "uplink": Channel(
        budget=Budget(messages=2, scope="team"),
        link=Chain(BernoulliLoss(0.2), Delay(1, spread=1)),
    ),
    "downlink": LOSSY,
}
QUEUE = {
    "uplink": Channel(budget=Budget(messages=1, scope="team", exceed="queue")),
    "downlink": Channel(medium="broadcast"),
}
PENALTY = {
    "uplink": Channel(budget=Budget(messages=0, exceed="penalize"), headers=True)
}
FEEDBACK = {
    "uplink": Channel(
        codec=ErrorFeedback(TopK(2)), link=BernoulliLoss(0.3), acknowledgements=True
    ),
    "downlink": LOSSY,
}
CASES = [
    ("SimpleGrid-v0", "dql", {}),
    ("WindyGrid-v0", "dql", ROUGH),
    ("WindyGrid-v0", "ebcdql", ROUGH),
    ("SimpleGrid-v0", "ebcdql", QUEUE),
    ("SimpleGrid-v0", "davia", ROUGH),
    ("WindyGrid-v0", "davia", FEEDBACK),
    ("commenv/CartPole-v1", "es", ROUGH),
    ("WindyGrid-v0", "es", PENALTY),
    ("commenv/CartPole-v1", "espc", {}),
    ("WindyGrid-v0", "espc", ROUGH),
    ("WindyGrid-v0", "espc", QUEUE),
]


def study_of(env_id, algorithm, channels):
    small = {f"{algorithm}.hidden_sizes": [4]} if algorithm.startswith("es") else {}
    return built(
        env_id,
        algorithm,
        settings=small,
        limit=30,
        num_agents=AGENTS,
        num_episodes=ROUNDS,
        seed=4,
        evaluation_episodes=2,
        **channels,
    )


def rounds_of(study, env):
    (arm,) = study.arms
    problem = problem_of(study, arm, TRIALS, world_of(arm, len(TRIALS) * AGENTS))
    algorithm = arm.algorithm
    return Rounds(
        env,
        algorithm.agents(problem),
        algorithm.learner(problem),
        arm.scheme,
        seed=study.seed,
    )


def parallel_envs(study):
    return [
        commenv.parallel_env(
            study.arms[0].environment,
            AGENTS,
            uplink=study.arms[0].uplink,
            downlink=study.arms[0].downlink,
            max_cycles=30,
            trial=trial,
        )
        for trial in TRIALS
    ]


@pytest.mark.parametrize(("env_id", "algorithm", "channels"), CASES)
def test_algorithms_give_the_same_bits_through_both_faces(env_id, algorithm, channels):
    study = study_of(env_id, algorithm, channels)
    world = world_of(study.arms[0], len(TRIALS) * AGENTS)
    batch = ChannelEnv(
        world,
        TRIALS,
        AGENTS,
        uplink=study.arms[0].uplink,
        downlink=study.arms[0].downlink,
    )
    one = rounds_of(study, batch)
    other = rounds_of(study, batched_from_parallel(parallel_envs(study)))
    pairs = zip(one.play(ROUNDS), other.play(ROUNDS), strict=True)
    for number, (expected, measured) in enumerate(pairs):
        for field in fields(expected):
            np.testing.assert_array_equal(
                getattr(measured, field.name),
                getattr(expected, field.name),
                err_msg=f"{field.name} in round {number}",
                strict=True,
            )
    for half in ("agents", "learner"):
        theirs, mine = getattr(one, half).memory, getattr(other, half).memory
        assert theirs.keys() == mine.keys()
        for name, values in theirs.items():
            np.testing.assert_array_equal(mine[name], values, strict=True)
    np.testing.assert_array_equal(
        other.learner.evaluate(ROUNDS), one.learner.evaluate(ROUNDS)
    )


def faces(agents=2, **how):
    batch = commenv.batched_env("SimpleGrid-v0", 2, agents, **how)
    envs = [
        commenv.parallel_env("SimpleGrid-v0", agents, trial=t, **how) for t in (0, 1)
    ]
    return batch, batched_from_parallel(envs)


def records(counts):
    out = np.zeros(np.sum(counts), STEP)
    out["state"] = np.arange(len(out))
    return Messages(out, np.asarray(counts))


def same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("exceed", ["refuse", "terminate", "queue", "truncate"])
def test_receipts_and_rests_are_the_same_in_the_middle_of_an_episode(exceed):
    uplink = Channel(budget=Budget(messages=1, bytes=8, exceed=exceed))
    batch, env = faces(uplink=uplink)
    assert env.episode == batch.episode == -1
    for face in (batch, env):
        face.reset(seed=2)
    for counts in ([[1, 0], [3, 1]], [[1, 1], [0, 0]]):
        one, other = batch.send(records(counts)), env.send(records(counts))
        same(
            [one.accepted, one.ended, *one.left],
            [other.accepted, other.ended, *other.left],
        )
        np.testing.assert_array_equal(batch.active, env.active)
        same(batch.step(np.full(4, 1))[:4], env.step(np.full(4, 1))[:4])
        np.testing.assert_array_equal(batch.active, env.active)
    one, other = batch.receive(), env.receive()
    same(
        [one.records, one.counts, one.headers, one.lengths],
        [other.records, other.counts, other.headers, other.lengths],
    )


def test_parameters_are_the_same():
    batch, env = faces(downlink=Channel(link=BernoulliLoss(0.5)))
    for face in (batch, env):
        face.reset(seed=1)
        assert face.receive_broadcast() is None
        assert face.receive() is None
    for number in range(4):
        parameters = np.array([(number,), (10 + number,)], STEP)
        one, other = batch.broadcast(parameters), env.broadcast(parameters)
        same([one.accepted, *one.left], [other.accepted, *other.left])
        np.testing.assert_array_equal(
            batch.receive_broadcast(), env.receive_broadcast()
        )
    for face in (batch, env):
        face.initialize_parameters(parameters)
        face.charge_shared(parameters)
    np.testing.assert_array_equal(batch.receive_broadcast(), env.receive_broadcast())
    same(vars(batch.metrics).values(), vars(env.metrics).values())
    assert env.draws.trials == batch.draws.trials
    assert env.shape == batch.shape
    env.close()


def test_a_trial_that_has_ended_waits_for_the_others():
    _, env = faces(1)
    env.reset(seed=0)
    for action in [1] * 4 + [3] * 4:
        seen, *_ = env.step(np.array([action, 4]))
    assert env.active.tolist() == [False, True]
    assert seen.tolist() == [24, 0]
    seen, rewards, terminated, _, _ = env.step(np.array([4, 4]))
    assert seen.tolist() == [24, 0]
    assert rewards.tolist() == [0.0, -1.0]
    assert not terminated.any()


def test_trials_that_do_not_fit_are_refused():
    two, three = (commenv.parallel_env("SimpleGrid-v0", n) for n in (2, 3))
    other = commenv.parallel_env("SimpleGrid-v0", 2, env_kwargs={"size": 4}, trial=1)
    with pytest.raises(ValueError, match="no environments"):
        batched_from_parallel([])
    with pytest.raises(ValueError, match="3 agents beside 2"):
        batched_from_parallel([two, three])
    with pytest.raises(ValueError, match="different observation spaces"):
        batched_from_parallel([two, other])
    with pytest.raises(ValueError, match="trial 0 stands twice"):
        batched_from_parallel([two, two])
