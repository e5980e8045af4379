import itertools

import numpy as np
import pettingzoo
import pytest
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)

from commenv.errors import NotResetError
from commenv.multiagent import signal_v0
from commenv.multiagent.signal_v0 import SignalEnv

LEFT, RIGHT, UP, DOWN, STAY = range(5)
CENTRE = 12
TO_GOAL = {  # in two moves, in reading order of the goals
    0: [UP, UP],
    1: [UP, LEFT],
    2: [UP, RIGHT],
    3: [LEFT, LEFT],
    4: [RIGHT, RIGHT],
    5: [DOWN, LEFT],
    6: [DOWN, RIGHT],
    7: [DOWN, DOWN],
}


def both(action, speaker=STAY):
    return {"speaker": speaker, "listener": action}


def reset_to(env, goal):
    observations, _ = env.reset(seed=0, options={"goal": goal})
    assert observations["speaker"][1] == goal


def played(env, goal, actions, gamma):
    """The listener's discounted return for a sequence of actions, as far as it goes."""
    reset_to(env, goal)
    total = 0.0
    for step, action in enumerate(actions):
        if not env.agents:
            break
        _, rewards, *_ = env.step(both(action))
        total += gamma**step * rewards["listener"]
    return total


def brute_force(gamma, blind, horizon):
    """The best return over all blind starts, each with the best rest for each goal."""
    sequences = list(itertools.product(range(5), repeat=horizon))
    starts = {}
    for sequence in sequences:
        returns = [written_out(goal, sequence, gamma) for goal in range(8)]
        start = sequence[:blind]
        starts[start] = np.maximum(starts.get(start, 0.0), returns)
    return max(row.mean() for row in starts.values())


def written_out(goal, actions, gamma):
    """The same as ``played``, on a grid written out here."""
    goals = [(0, 2), (1, 1), (1, 3), (2, 0), (2, 4), (3, 1), (3, 3), (4, 2)]
    row = column = 2
    for step, action in enumerate(actions):
        down, right = [(0, -1), (0, 1), (-1, 0), (1, 0), (0, 0)][action]
        row, column = min(max(row + down, 0), 4), min(max(column + right, 0), 4)
        if (row, column) in goals:
            return gamma**step * ((row, column) == goals[goal])
    return 0.0


# PettingZoo's kit


def test_pettingzoos_parallel_kit_finds_nothing():
    parallel_api_test(SignalEnv(), num_cycles=1000)
    parallel_seed_test(SignalEnv, num_cycles=500)


@pytest.mark.filterwarnings("ignore:Observation space for each agent probably")
@pytest.mark.filterwarnings("ignore:We recommend agents to be named")
def test_pettingzoos_kit_for_agents_in_turn_finds_nothing():
    api_test(signal_v0.env(), num_cycles=1000)
    seed_test(signal_v0.env, num_cycles=500)


def test_pettingzoos_kit_finds_nothing_wrong_with_the_time_limit():
    max_cycles_test(_Still)


class _Still:
    """The module, for the kit's random walk, that must not meet a goal by chance."""

    @staticmethod
    def parallel_env(max_cycles):
        return _still(signal_v0.parallel_env(max_cycles=max_cycles))

    @staticmethod
    def env(max_cycles):
        env = signal_v0.env(max_cycles=max_cycles)
        _still(env.unwrapped)
        return env


def _still(env):
    env.action_space("listener").sample = lambda mask=None: STAY
    return env


def test_pettingzoos_kit_finds_nothing_wrong_with_the_pictures(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    render_test(signal_v0.env)


@pytest.mark.parametrize("env_id", ["commenv/signal-v0", "commenv/Signal-v0"])
def test_pettingzoo_makes_it_in_both_forms(env_id):
    together = pettingzoo.make("parallel", env_id, max_cycles=7)
    in_turn = pettingzoo.make("aec", env_id, max_cycles=7)
    assert together.max_cycles == in_turn.unwrapped.max_cycles == 7
    assert str(together) == str(in_turn) == "signal_v0"


# What happens


@pytest.mark.parametrize("goal", range(8))
def test_the_shortest_way_to_the_goal_earns_one_at_its_end(goal):
    env = SignalEnv()
    reset_to(env, goal)
    for action in TO_GOAL[goal][:-1]:
        _, rewards, terminations, truncations, _ = env.step(both(action))
        assert rewards == {"speaker": 0.0, "listener": 0.0}
        assert not any(terminations.values())
        assert not any(truncations.values())
    observations, rewards, terminations, truncations, infos = env.step(
        both(TO_GOAL[goal][-1])
    )
    assert observations["listener"].tolist() == [1, 8, env.goals[goal]]
    assert rewards == {"speaker": 1.0, "listener": 1.0}
    assert terminations == {"speaker": True, "listener": True}
    assert truncations == {"speaker": False, "listener": False}
    assert infos == {"speaker": {}, "listener": {}}
    assert env.agents == []


def test_a_wrong_goal_ends_the_episode_with_nothing():
    env = SignalEnv()
    reset_to(env, 4)
    env.step(both(LEFT))
    _, rewards, terminations, truncations, _ = env.step(both(LEFT))
    assert rewards == {"speaker": 0.0, "listener": 0.0}
    assert all(terminations.values())
    assert not any(truncations.values())


def test_walls_stop_the_listener():
    mdp = SignalEnv().mdp(0)
    assert mdp.next_state[:5, UP, 0].tolist() == [0, 1, 2, 3, 4]
    assert mdp.next_state[4::5, RIGHT, 0].tolist() == [4, 9, 14, 19, 24]


def test_the_time_limit_truncates_both_agents():
    env = SignalEnv(max_cycles=3)
    env.reset(seed=0)
    for _ in range(2):
        *_, truncations, _ = env.step(both(STAY))
        assert not any(truncations.values())
    _, rewards, terminations, truncations, _ = env.step(both(STAY))
    assert truncations == {"speaker": True, "listener": True}
    assert not any(terminations.values())
    assert rewards == {"speaker": 0.0, "listener": 0.0}


def test_a_goal_at_the_last_step_terminates_and_does_not_truncate():
    env = SignalEnv(max_cycles=2)
    reset_to(env, 0)
    env.step(both(UP))
    _, _, terminations, truncations, _ = env.step(both(UP))
    assert all(terminations.values())
    assert not any(truncations.values())


def test_goals_are_drawn_evenly_and_by_one_uniform_number_each():
    env = SignalEnv()
    drawn = [int(env.reset(seed=5)[0]["speaker"][1])]
    drawn += [int(env.reset()[0]["speaker"][1]) for _ in range(7999)]
    expected = np.random.Generator(np.random.PCG64(5)).random(8000)
    assert drawn == (8 * expected).astype(int).tolist()
    assert np.bincount(drawn, minlength=8).min() > 900


def test_a_goal_that_is_asked_for_shifts_no_later_draw():
    env, free = SignalEnv(), SignalEnv()
    env.reset(seed=1, options={"goal": 3})
    free.reset(seed=1)
    for _ in range(20):
        assert repr(env.reset()) == repr(free.reset())


def test_twins_live_the_same_lives():
    def life():
        env, trace = SignalEnv(), []
        draws = np.random.default_rng(3)
        for episode in range(50):
            trace.append(env.reset(seed=11 if episode == 0 else None))
            while env.agents:
                actions = both(int(draws.integers(5)), int(draws.integers(5)))
                trace.append(env.step(actions))
        return repr(trace)

    assert life() == life()


# Nobody learns of the goal but by being told


def test_whatever_the_speaker_does_the_listeners_life_is_the_same():
    def life(speakers):
        env, trace = SignalEnv(), []
        walk = np.random.default_rng(0)
        for seed in range(30):
            observations, infos = env.reset(seed=seed)
            trace.append((observations["listener"].tolist(), infos["listener"]))
            while env.agents:
                step = env.step(both(int(walk.integers(5)), speakers()))
                trace.append([repr(part["listener"]) for part in step])
        return trace

    draws = np.random.default_rng(1)
    assert life(lambda: STAY) == life(lambda: int(draws.integers(5)))


def test_before_the_end_the_listeners_life_is_the_same_for_all_goals():
    lives = []
    for goal in range(8):
        env = SignalEnv()
        reset_to(env, goal)
        walk, life = np.random.default_rng(4), []
        while True:
            parts = env.step(both(int(walk.integers(5))))
            if not env.agents:
                break
            life.append([repr(part["listener"]) for part in parts])
        lives.append(life)
    assert len(lives[0]) > 2
    assert all(life == lives[0] for life in lives)


def test_the_two_agents_have_equal_spaces_and_see_their_own_part():
    env = SignalEnv()
    assert env.observation_space("speaker") == env.observation_space("listener")
    assert env.action_space("speaker") == env.action_space("listener")
    reset_to(env, 6)
    observations, *_ = env.step(both(LEFT, speaker=UP))
    assert observations["speaker"].tolist() == [0, 6, 11]
    assert observations["listener"].tolist() == [1, 8, 11]
    for agent, observation in observations.items():
        assert env.observation_space(agent).contains(observation)


# The exact optimum


@pytest.mark.parametrize("gamma", [0.3, 0.9, 0.95, 1.0])
def test_the_optimal_returns_have_their_closed_forms(gamma):
    env = SignalEnv()
    waits = gamma**2
    moves = (3 * gamma + 5 * gamma**3) / 8  # three goals nearer, five further away
    assert env.optimal_return(gamma, communication=False) == pytest.approx(gamma / 8)
    assert env.optimal_return(gamma, delay=0) == pytest.approx(gamma)
    assert env.optimal_return(gamma) == pytest.approx(max(waits, moves))


@pytest.mark.parametrize("gamma", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("horizon", [1, 2, 4, 5])
def test_the_optimal_returns_are_those_of_trying_everything(gamma, horizon):
    env = SignalEnv(max_cycles=horizon)
    for delay in range(horizon + 1):
        expected = brute_force(gamma, delay, horizon)
        assert env.optimal_return(gamma, delay=delay) == pytest.approx(expected)
    silent = env.optimal_return(gamma, communication=False)
    assert silent == pytest.approx(brute_force(gamma, horizon, horizon))


def test_known_optimal_returns():
    env = SignalEnv()
    assert env.optimal_return(0.9) == pytest.approx(0.81)
    assert env.optimal_return(0.9, communication=False) == pytest.approx(0.1125)
    assert env.optimal_return(1.0) == pytest.approx(1.0)
    assert env.optimal_return(1.0, communication=False) == pytest.approx(0.125)


def test_the_optimum_is_reached_by_waiting_for_the_message_and_walking_there():
    env = SignalEnv()
    returns = [played(env, goal, [STAY, *TO_GOAL[goal]], 0.9) for goal in range(8)]
    assert np.mean(returns) == pytest.approx(env.optimal_return(0.9))


def test_the_tables_are_what_the_environment_plays():
    env = SignalEnv()
    for goal in range(8):
        mdp = env.mdp(goal)
        reset_to(env, goal)
        walk, cell = np.random.default_rng(goal), CENTRE
        while env.agents:
            action = int(walk.integers(5))
            observations, rewards, terminations, *_ = env.step(both(action))
            assert rewards["listener"] == mdp.reward[cell, action, 0]
            assert terminations["listener"] == mdp.terminated[cell, action, 0]
            cell = int(mdp.next_state[cell, action, 0])
            assert observations["listener"][2] == cell


# Pictures and bad input


def test_the_text_tells_the_goal_from_the_cells_that_could_have_been_it():
    env = SignalEnv(render_mode="ansi")
    reset_to(env, 2)
    assert env.render() == (". . g . .\n. g . G .\ng . A . g\n. g . g .\n. . g . .\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"render_mode": "video"}, "render_mode 'video' is not available"),
        ({"max_cycles": 0}, "max_cycles 0 leaves no step"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        SignalEnv(**arguments)


@pytest.mark.parametrize("actions", [{"listener": 0}, both(5), both(0.5), {}])
def test_missing_and_impossible_actions_are_named(actions):
    env = SignalEnv()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is outside the action space"):
        env.step(actions)


def test_a_step_without_an_episode_names_the_cure():
    env = SignalEnv(max_cycles=1, render_mode="ansi")
    with pytest.raises(NotResetError, match="call reset"):
        env.step(both(STAY))
    with pytest.raises(NotResetError, match="call reset"):
        env.render()
    env.reset(seed=0)
    env.step(both(STAY))
    with pytest.raises(NotResetError, match="call reset"):
        env.step(both(STAY))


@pytest.mark.parametrize("goal", [-1, 8, "corner", None])
def test_goals_that_do_not_exist_are_named(goal):
    env = SignalEnv()
    with pytest.raises(ValueError, match="does not exist; goals are 0"):
        env.reset(options={"goal": goal})
    with pytest.raises(ValueError, match="does not exist; goals are 0"):
        env.mdp(goal)


def test_impossible_questions_about_the_optimum_are_refused():
    env = SignalEnv()
    with pytest.raises(ValueError, match=r"gamma 1\.5"):
        env.optimal_return(1.5)
    with pytest.raises(ValueError, match="delay -1 is negative"):
        env.optimal_return(0.9, delay=-1)
