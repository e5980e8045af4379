import gymnasium as gym
import pytest

import commenv  # noqa: F401 - registers the ids
from commenv.envs import SimpleGridEnv, WindyGridEnv

LEFT, RIGHT, UP, DOWN, STAY = range(5)


def outcomes(env, state, action):
    """{(next state, reward, terminated): probability} of one step."""
    mdp = env.mdp
    chances: dict[tuple[int, float, bool], float] = {}
    for chance, *what in zip(
        mdp.probability[state, action].tolist(),
        mdp.next_state[state, action].tolist(),
        mdp.reward[state, action].tolist(),
        mdp.terminated[state, action].tolist(),
        strict=True,
    ):
        if chance:
            chances[tuple(what)] = chances.get(tuple(what), 0) + chance
    return chances


def test_the_five_actions_move_as_the_docstring_says():
    env = SimpleGridEnv()
    for action, end in [(LEFT, 11), (RIGHT, 13), (UP, 7), (DOWN, 17), (STAY, 12)]:
        assert outcomes(env, 12, action) == {(end, -1.0, False): 1.0}


@pytest.mark.parametrize(
    ("state", "action"), [(0, LEFT), (0, UP), (4, RIGHT), (20, DOWN), (20, LEFT)]
)
def test_walls_stop_the_agent(state, action):
    assert outcomes(SimpleGridEnv(), state, action) == {(state, -1.0, False): 1.0}


def test_only_the_step_onto_the_goal_is_free_and_ends():
    env = SimpleGridEnv()
    assert outcomes(env, 23, RIGHT) == {(24, 0.0, True): 1.0}
    assert outcomes(env, 19, DOWN) == {(24, 0.0, True): 1.0}
    assert outcomes(env, 24, LEFT) == {(24, 0.0, True): 1.0}


def test_a_shortest_walk_returns_minus_7():
    env = gym.make("SimpleGrid-v0")
    assert env.reset(seed=0) == (0, {})
    steps = [env.step(action) for action in [RIGHT] * 4 + [DOWN] * 4]
    assert [step[0] for step in steps] == [1, 2, 3, 4, 9, 14, 19, 24]
    assert [step[1] for step in steps] == [-1.0] * 7 + [0.0]
    assert [step[2] for step in steps] == [False] * 7 + [True]


def test_two_winds_push_independently_after_the_move():
    # From (2, 2) right to (2, 3); up leads to (1, 3), left to (2, 2), both to (1, 2).
    assert outcomes(WindyGridEnv(), 12, RIGHT) == pytest.approx(
        {
            (13, -1.0, False): 0.49,
            (8, -1.0, False): 0.21,
            (12, -1.0, False): 0.21,
            (7, -1.0, False): 0.09,
        }
    )


def test_the_goal_counts_only_after_the_push():
    assert outcomes(WindyGridEnv(), 23, RIGHT) == pytest.approx(
        {
            (24, 0.0, True): 0.49,
            (19, -1.0, False): 0.21,
            (23, -1.0, False): 0.21,
            (18, -1.0, False): 0.09,
        }
    )
    # A wind may also blow onto the goal: from (3, 4) staying, a push down.
    blown = WindyGridEnv(wind={"down": 0.25})
    assert outcomes(blown, 19, STAY) == {(19, -1.0, False): 0.75, (24, 0.0, True): 0.25}


def test_every_push_is_stopped_by_the_walls():
    assert outcomes(WindyGridEnv(), 0, STAY) == pytest.approx({(0, -1.0, False): 1.0})
    # Down then up from the last row ends one row up; up then down ends where it was.
    kwargs = {"goal": (0, 4), "start": (2, 2)}
    down_first = WindyGridEnv(wind={"down": 1.0, "up": 1.0}, **kwargs)
    up_first = WindyGridEnv(wind={"up": 1.0, "down": 1.0}, **kwargs)
    assert outcomes(down_first, 22, STAY) == {(17, -1.0, False): 1.0}
    assert outcomes(up_first, 22, STAY) == {(22, -1.0, False): 1.0}


@pytest.mark.parametrize("wind", [{}, {"up": 0.0}])
def test_without_wind_it_is_the_simple_grid(wind):
    assert WindyGridEnv(wind=wind).mdp == SimpleGridEnv().mdp
    assert SimpleGridEnv().mdp.deterministic


def test_sizes_goals_and_starts_of_ones_own():
    env = SimpleGridEnv(size=(2, 3), goal=(0, 1), start=(1, 2))
    assert env.mdp.shape == (2, 3)
    assert env.observation_space.n == 6
    assert env.reset(seed=0)[0] == 5
    assert outcomes(env, 2, LEFT) == {(1, 0.0, True): 1.0}
    assert SimpleGridEnv(size=3).mdp.shape == (3, 3)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"size": 0}, "size 0 has no cells"),
        ({"size": (3, -1)}, r"size \(3, -1\)"),
        ({"size": 2.5}, r"size 2.5 is no pair of integers"),
        ({"size": (2, 3, 4)}, r"size \(2, 3, 4\) is no pair"),
        ({"goal": 24}, "goal 24 is no pair"),
        ({"start": (0, "1")}, r"start \(0, '1'\) is no pair"),
        ({"size": 1}, r"goal and start are both \(0, 0\)"),
        ({"goal": (5, 0)}, r"goal \(5, 0\) is outside .* rows are 0 ... 4"),
        ({"start": (0, -1)}, r"start \(0, -1\) is outside .* columns 0 ... 4"),
        ({"goal": (0, 0)}, "choose different cells"),
    ],
)
@pytest.mark.parametrize("env_class", [SimpleGridEnv, WindyGridEnv])
def test_impossible_grids_are_refused(env_class, kwargs, message):
    with pytest.raises(ValueError, match=message):
        env_class(**kwargs)


@pytest.mark.parametrize(
    ("wind", "message"),
    [
        ({"north": 0.3}, r"direction 'north'; choose from \['left', 'right', 'up'"),
        ({"up": 1.5}, r"wind 'up' has probability 1.5; it must lie in \[0, 1\]"),
        ({"up": -0.1}, "probability -0.1"),
        ({"up": "0.1"}, "probability '0.1'"),
        ((("up", 0.1),), r"is no mapping; give one, as \{"),
        ({"up": float("nan")}, "probability nan"),
    ],
)
def test_impossible_winds_are_refused(wind, message):
    with pytest.raises(ValueError, match=message):
        WindyGridEnv(wind=wind)
