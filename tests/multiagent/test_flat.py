import numpy as np
import pytest
from gymnasium import spaces

from commenv.multiagent import CommunicationBudget
from commenv.multiagent.flat import FlatActions
from tests.multiagent.worlds import Counting


def dictionary(action, message=None):
    return spaces.Dict(
        action=action, message=message or spaces.Discrete(3), to=spaces.Discrete(2)
    )


@pytest.mark.parametrize(
    ("space", "choices", "element"),
    [
        (spaces.Discrete(4, start=2), [3], 5),
        (spaces.MultiDiscrete([3, 4]), [2, 1], [2, 1]),
        (spaces.MultiBinary((2, 2)), [1, 0, 0, 1], [[1, 0], [0, 1]]),
        (spaces.Box(-1, 1, (2,), np.float32), [0, 4], [-1, 1]),
        (spaces.Box(-1, 1, (1, 1), np.float64), [1], [[-0.5]]),
    ],
)
def test_choices_name_elements_of_the_dictionary(space, choices, element):
    flat = FlatActions(dictionary(space), 5, "a")
    parts = flat.parts(np.array([*choices, 2, 1]))
    assert np.asarray(parts["action"]).tolist() == element
    assert (parts["message"], parts["to"]) == (2, 1)
    assert dictionary(space).contains(parts | {"to": np.int64(1)})


def test_every_flat_action_stands_for_an_element_of_the_dictionary():
    space = dictionary(spaces.MultiDiscrete([2, 3]), spaces.Box(0, 1, (2,)))
    flat = FlatActions(space, 4, "a")
    flat.space.seed(0)
    for _ in range(100):
        assert space.contains(flat.parts(flat.space.sample()))


@pytest.mark.parametrize(
    ("space", "bins", "words"),
    [
        (spaces.Box(-1, 1, (2,)), None, "action of agent 'a'.*give bins= of 2 or more"),
        (spaces.Box(-1, 1, (2,)), 1, "bins= of 2 or more, not 1"),
        (spaces.Box(-np.inf, 1, (2,)), 3, "without limits on every side"),
        (spaces.Text(3), 3, "cannot be flattened"),
    ],
)
def test_what_cannot_be_flattened_says_why(space, bins, words):
    with pytest.raises(ValueError, match=words):
        FlatActions(dictionary(space), bins, "a")


@pytest.mark.parametrize("action", [[0, 0], [4, 0, 0], [0.5, 0, 0], [0, -1, 0], "no"])
def test_a_flat_action_outside_its_space_is_named(action):
    flat = FlatActions(dictionary(spaces.Discrete(4)), None, "a")
    with pytest.raises(ValueError, match=r"is not in MultiDiscrete\(\[4 3 2\]\)"):
        flat.parts(action)


def test_flat_observations_hold_the_parts_one_after_the_other():
    env = CommunicationBudget(
        Counting(3), message_space=spaces.Discrete(3, start=1), flatten=True
    )
    seen, _ = env.reset(seed=7)
    nothing = [0] * 6 + [0, 0] + [0, 0] + [1, 1]
    assert seen["agent_0"].tolist() == [7, 0, -1, *nothing]
    silent = [1, 0, 0]
    seen, *_ = env.step({"agent_0": silent, "agent_1": [2, 1, 1], "agent_2": silent})
    heard = [0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 1]
    assert seen["agent_0"].tolist() == [7, 1, 1, *heard]
    seen, *_ = env.step(dict.fromkeys(env.agents, silent))
    later = [0, 1, 0, 0, 0, 0, 0, 0, 0.5, 0, 1, 1]
    assert seen["agent_0"].tolist() == [7, 2, 1, *later]
    for agent, observation in seen.items():
        assert env.observation_space(agent).contains(observation)


def test_flat_boxes_keep_their_numbers_and_bits_their_order():
    for space, message in [
        (spaces.Box(-2, 2, (2,), np.float32), [0, 4]),
        (spaces.MultiBinary(2), [0, 1]),
        (spaces.MultiDiscrete([2, 2]), [0, 1]),
    ]:
        env = CommunicationBudget(
            Counting(2), message_space=space, flatten=True, bins=5
        )
        env.reset(seed=0)
        seen, *_ = env.step({"agent_0": [0, *message, 1], "agent_1": [0, 0, 0, 0]})
        heard = {"Box": [-2, 2], "MultiBinary": [0, 1], "MultiDiscrete": [1, 0, 0, 1]}
        assert seen["agent_1"].tolist()[3:-4] == heard[type(space).__name__]
        assert env.observation_space("agent_1").contains(seen["agent_1"])
