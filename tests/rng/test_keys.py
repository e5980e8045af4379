import numpy as np
import pytest

from commenv.rng.keys import spawned_keys


@pytest.mark.parametrize(
    "seed", [0, 1, 2**32 - 1, 2**32, 2**63 + 5, 2**128 + 1, 2**200]
)
@pytest.mark.parametrize(
    "number", [0, 7, int.from_bytes(b"evaluation policy", "little")]
)
def test_keys_are_those_of_numpys_seed_sequence(seed, number):
    rng = np.random.default_rng(0)
    trials, agents = rng.integers(2**32, size=(2, 20))
    trials[:3], agents[2:5] = [0, 1, 2**32 - 1], [0, 1, 2**32 - 1]
    trials[4:7], agents[6:9] = 2**32, [2**32 + 1, 2**63 - 1, 5 * 2**32]
    expected = [
        np.random.SeedSequence(
            seed, spawn_key=(int(trial), int(agent), number)
        ).generate_state(2, np.uint64)
        for trial, agent in zip(trials, agents, strict=True)
    ]
    keys = spawned_keys(seed, (trials, agents, number))
    assert keys.dtype == np.uint64
    np.testing.assert_array_equal(keys, expected)


def test_a_single_spawn_key_gives_a_single_row():
    expected = np.random.SeedSequence(3, spawn_key=(4,)).generate_state(2, np.uint64)
    np.testing.assert_array_equal(spawned_keys(3, (4,)), [expected])
