"""MPE2's worlds in which agents talk by themselves, and how their talk is metered."""

import warnings

import numpy as np
import pytest
from gymnasium import spaces
from mpe2 import (
    simple_crypto_v3,
    simple_reference_v3,
    simple_speaker_listener_v4,
    simple_spread_v3,
    simple_tag_v3,
    simple_world_comm_v3,
)

import commenv
from commenv import Budget
from commenv.multiagent import signal_v0


def wrap(world, symbols=3, **parts):
    return commenv.CommunicationBudget(
        world, message_space=spaces.Discrete(symbols), **parts
    )


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (
            simple_speaker_listener_v4,
            r"_listener_v4 has .* 'speaker_0' hold one of 3",
        ),
        (
            simple_reference_v3,
            r"_reference_v3 has .* 'agent_0', 'agent_1' hold one",
        ),
        (
            simple_crypto_v3,
            r"simple_crypto_v3 has a .* 'alice_0' hold one of 4",
        ),
        (simple_world_comm_v3, "of 'leadadversary_0' hold one of 4 symbols"),
    ],
)
@pytest.mark.parametrize("form", ["parallel_env", "env"])
def test_a_world_with_a_channel_of_its_own_is_named(module, words, form):
    world = getattr(module, form)()
    with pytest.warns(UserWarning, match=words) as caught:
        wrap(world)
    assert [one.filename for one in caught] == [__file__]
    world.close()


@pytest.mark.parametrize(
    "make",
    [simple_spread_v3.parallel_env, simple_tag_v3.parallel_env, signal_v0.parallel_env],
)
def test_worlds_without_one_pass_in_silence(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wrap(make()).close()


@pytest.mark.parametrize(
    ("module", "speaker", "symbols"),
    [
        (simple_speaker_listener_v4, "speaker_0", 3),
        (simple_reference_v3, "agent_0", 10),
        (simple_world_comm_v3, "leadadversary_0", 4),
    ],
)
def test_symbols_sent_as_messages_are_metered_and_refused(module, speaker, symbols):
    """Past the messages, nobody sees which symbol was meant."""
    budget = Budget(messages=2)
    envs = []
    for _ in range(2):
        with pytest.warns(UserWarning, match="has a channel of its own"):
            envs.append(wrap(module.parallel_env(), symbols, budget=budget))
    for env in envs:
        env.reset(seed=0)
    for step in range(4):
        seen = []
        for env, symbol in zip(envs, (1, 2), strict=True):
            quiet = {agent: {"action": 0, "to": 0} for agent in env.agents}
            says = {"action": 0, "message": symbol, "to": 1}
            seen.append(env.step(quiet | {speaker: says})[0])
        for agent in envs[0].possible_agents:
            one, other = (observations[agent] for observations in seen)
            np.testing.assert_array_equal(one["observation"], other["observation"])
            if agent != speaker:
                assert (one["inbox"] != other["inbox"]).any()
                assert one["spoke"].any() == (step < 2)
    assert envs[0].metrics.messages.sum() == 2
    assert envs[0].metrics.refused.sum() == 2
