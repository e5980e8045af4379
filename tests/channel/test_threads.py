"""A channel belongs to the thread that has reset it, whatever the environment."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import commenv
from commenv import Messages
from commenv.errors import NotResetError, WrongThreadError
from commenv.wrappers import MessageChannel, VectorMessageChannel

RECORDS = np.zeros(2, dtype=[("x", "<f8")])


def vector():
    envs = gym.make_vec("WindyGrid-v0", 2, autoreset_mode="Disabled")
    return VectorMessageChannel(envs)


def talking():
    return commenv.CommunicationBudget(
        commenv.parallel_env("WindyGrid-v0", 2), message_space=spaces.Discrete(3)
    )


def says(to):
    return {f"agent_{row}": {"action": 0, "message": 1, "to": to} for row in range(2)}


BATCH = Messages(RECORDS, np.ones((1, 2), dtype=int))
FACES = {
    "MessageChannel": (
        lambda: MessageChannel(gym.make("WindyGrid-v0")),
        {
            "send": lambda env: env.send(b"x"),
            "receive": lambda env: env.receive(),
            "broadcast": lambda env: env.broadcast(RECORDS[:1]),
            "receive_broadcast": lambda env: env.receive_broadcast(),
            "step": lambda env: env.step(0),
        },
    ),
    "VectorMessageChannel": (
        vector,
        {
            "send": lambda env: env.send([b"x", None]),
            "receive": lambda env: env.receive(),
            "broadcast": lambda env: env.broadcast(RECORDS[:1]),
            "receive_broadcast": lambda env: env.receive_broadcast(),
            "step": lambda env: env.step([0, 0]),
            "reset of some": lambda env: env.reset(
                options={"reset_mask": np.array([True, False])}
            ),
        },
    ),
    "batched_env": (
        lambda: commenv.batched_env("WindyGrid-v0", 1, 2),
        {
            "send": lambda env: env.send(BATCH),
            "receive": lambda env: env.receive().records,
            "broadcast": lambda env: env.broadcast(RECORDS[:1]),
            "receive_broadcast": lambda env: env.receive_broadcast(),
            "step": lambda env: env.step(np.zeros(2, dtype=int)),
        },
    ),
    "parallel_env": (
        lambda: commenv.parallel_env("WindyGrid-v0", 2),
        {
            "send": lambda env: env.send("agent_0", b"x"),
            "receive": lambda env: env.receive(),
            "broadcast": lambda env: env.broadcast(RECORDS[:1]),
            "receive_broadcast": lambda env: env.receive_broadcast("agent_1"),
            "step": lambda env: env.step({"agent_0": 0, "agent_1": 0}),
        },
    ),
    "CommunicationBudget": (
        talking,
        {
            "silent step": lambda env: env.step(says(0)),
            "step": lambda env: env.step(says(1)),
        },
    ),
}
CALLS = [(name, call) for name, (_, calls) in FACES.items() for call in calls]


def elsewhere(call, *arguments):
    with ThreadPoolExecutor(1, thread_name_prefix="other") as pool:
        return pool.submit(call, *arguments).result()


@pytest.mark.parametrize(("name", "what"), CALLS)
def test_another_thread_is_refused_and_nothing_happens(name, what):
    make, calls = FACES[name]
    env, undisturbed = make(), make()
    for one in (env, undisturbed):
        one.reset(seed=0)
    with pytest.raises(WrongThreadError, match=r"thread 'other.*an environment of its"):
        elsewhere(calls[what], env)
    for call in calls.values():
        np.testing.assert_equal(call(env), call(undisturbed))
    np.testing.assert_equal(vars(env.metrics), vars(undisturbed.metrics))


@pytest.mark.parametrize("name", FACES)
def test_a_reset_moves_it_to_its_own_thread(name):
    make, calls = FACES[name]
    call = next(iter(calls.values()))
    env = elsewhere(make)
    env.reset(seed=0)
    call(env)
    elsewhere(lambda: (env.reset(), call(env)))
    with pytest.raises(WrongThreadError):
        call(env)
    assert env.metrics.episode_length.shape[0] == 1  # reading is free


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))]
)
def test_a_copy_belongs_to_whoever_uses_it_first(name, copied):
    make, calls = FACES[name]
    call = next(iter(calls.values()))
    env = make()
    env.reset(seed=0)
    other = copied(env)
    elsewhere(call, other)
    call(env)
    with pytest.raises(WrongThreadError):
        call(other)


def test_before_the_first_reset_no_thread_owns_it():
    env = talking()
    with pytest.raises(NotResetError):
        elsewhere(env.step, {})


def test_threads_that_share_a_channel_do_not_overspend_its_budget():
    budget = commenv.Budget(bytes=64, per="step")
    env = MessageChannel(
        gym.make("WindyGrid-v0"), uplink=commenv.Channel(budget=budget)
    )
    env.reset(seed=0)
    refused = []

    def send():
        for _ in range(100):
            try:
                env.send(b"x")
            except WrongThreadError as error:
                refused.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 400
    assert env.metrics.messages.sum() == 0
