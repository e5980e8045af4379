"""Whatever the links, budgets and departures: every copy has one fate."""

import numpy as np
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

import commenv
from commenv.channel import (
    BernoulliLoss,
    BitErrors,
    Budget,
    Chain,
    Channel,
    Delay,
    ErrorFeedback,
    Fate,
    Float16,
    GilbertElliottLoss,
    Identity,
    Int8,
    Messages,
    RateCap,
    TopK,
    Unit,
    shapes,
)
from tests.channel.budgets import budgets
from tests.multiagent.worlds import Counting, does

PAIR = spaces.Box(-10, 10, (2,), np.float32)

links = st.lists(
    st.one_of(
        st.builds(BernoulliLoss, st.floats(0, 1)),
        st.builds(GilbertElliottLoss, st.floats(0, 1), st.floats(0, 1)),
        st.builds(
            Delay,
            ticks=st.integers(0, 3),
            spread=st.integers(0, 2),
            expiry=st.none() | st.integers(0, 3),
        ),
        st.builds(RateCap, st.floats(1, 60), max_wait=st.none() | st.integers(0, 3)),
        st.builds(BitErrors, st.floats(0, 0.1)),
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: Chain(*parts))


@st.composite
def _settings(draw):
    count = draw(st.integers(1, 5))
    matrix = draw(
        st.lists(st.booleans(), min_size=count * count, max_size=count * count)
    )
    graph = np.array(matrix).reshape(count, count) & ~np.eye(count, dtype=bool)
    names = st.sampled_from(["broadcast", "complete", "ring", "star"])
    lives = draw(st.lists(st.integers(1, 8), min_size=count, max_size=count))
    return {
        "world": Counting(count, lives, length=8),
        "topology": draw(names | st.just(graph) | st.just(lambda env: graph)),
        "budget": draw(budgets(6, 60, ["refuse", "truncate", "queue", "penalize"])),
        "link": draw(links),
        "codec": draw(st.sampled_from([Identity(), Float16(), Int8()])),
        "headers": draw(st.booleans()),
        "acknowledgements": draw(st.booleans()),
    }


def check_ledger(env):
    """Every link's copies and bytes add up, and the journal says the same."""
    ledger = env.ledger
    assert ledger.balanced
    for unit in Unit:
        fates = sum(ledger.count(fate, unit) for fate in Fate)
        np.testing.assert_array_equal(ledger.attempted(unit), fates)
    settled = dict.fromkeys(Fate, 0)
    size = 4 if env.channel.codec.name == "float16" else None
    for entry in ledger.journal:
        settled[entry.fate] += len(entry.links)
        if size is not None:
            assert (entry.payload == size).all()
    for fate in (Fate.DELIVERED, Fate.LOST, Fate.REFUSED, Fate.EXPIRED):
        assert settled[fate] == ledger.count(fate).sum()
    refused = ledger.count(Fate.REFUSED).sum()
    assert refused == 0 or ledger.traffic[2].sum() > 0


@given(parts=_settings(), seed=st.integers(0, 2**32), picks=st.randoms())
@settings(max_examples=150, deadline=None)
def test_every_copy_has_one_fate_at_every_step(parts, seed, picks):
    env = commenv.CommunicationBudget(
        parts.pop("world"), message_space=PAIR, journal=True, **parts
    )
    for episode in range(2):
        env.reset(seed=seed if episode == 0 else None)
        check_ledger(env)
        while env.agents:
            env.step(
                {
                    agent: does(
                        0,
                        [picks.uniform(-10, 10), 1.0],
                        picks.randrange(int(env.action_space(agent)["to"].n)),
                    )
                    for agent in env.agents
                }
            )
            check_ledger(env)
            left = env.network.left
            assert (left.messages >= 0).all()
            assert (left.bytes >= 0).all()


@given(
    messages=st.integers(0, 3),
    values=st.lists(st.floats(-10, 10), min_size=12, max_size=12),
)
@settings(max_examples=50, deadline=None)
def test_what_was_not_accepted_is_still_in_the_senders_memory(messages, values):
    dtype = np.dtype([("message", "<f8", (4,))])
    channel = Channel(ErrorFeedback(TopK(2)), Budget(messages=messages, per="lifetime"))
    sources = np.array([0, 0, 1])
    mesh = shapes.mesh(channel, 0, "abc", sources, np.array([1, 2, 0]))
    mesh.tick(new_episode=True)
    offered, read = np.zeros((2, 3, 4))
    for row in np.reshape(values, (3, 4)):
        records = np.zeros(2, dtype)
        records["message"] = row, -row
        offered[:2] += records["message"]
        mesh.tick()
        mesh.send(Messages(records, np.array([[1, 1, 0]])), np.ones(3, bool))
        for arrived in mesh.deliveries():
            links = arrived.packets.links
            senders, first = np.unique(sources[links], return_index=True)
            read[senders] += arrived.records["message"][first]
    kept = mesh.encoder.memory["error"].reshape(3, 4)
    np.testing.assert_allclose(read + kept, offered, rtol=0, atol=1e-12)
