"""ES: its gradient by brute force, its noise, its toy problem, and what travels."""

import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.es import ES, RETURN, Noise
from commenv_baselines.shaping import centered_ranks
from gymnasium import spaces
from scipy import stats

import commenv
from commenv.channel import Messages, Received
from commenv.channel.wire import HEADER
from commenv.learning import Evaluator, Problem, Transition
from commenv.rng import Draws

TRIALS, AGENTS = 3, 6
SHAPINGS = ["raw", "centered", "centered_rank"]


class NoEvaluator(Evaluator):
    def table_values(self, policy, episode):
        raise NotImplementedError

    def values(self, act, episode):
        raise NotImplementedError


def problem(trials=TRIALS, agents=AGENTS, signals=(), inputs=4, gamma=1.0):
    return Problem(
        draws=Draws(0, range(trials) if isinstance(trials, int) else trials, agents),
        observation_space=spaces.Box(-np.inf, np.inf, (inputs,)),
        action_space=spaces.Discrete(2),
        gamma=gamma,
        num_episodes=10,
        evaluator=NoEvaluator(),
        signals=frozenset(signals),
    )


def received(returns, mask=None, episodes=0):
    """Messages with the given returns, (trials, agents), from those in the mask."""
    returns = np.asarray(returns, dtype=np.float64)
    mask = np.ones(returns.shape, bool) if mask is None else np.asarray(mask)
    records = np.zeros(mask.sum(), RETURN)
    records["return"] = returns[mask]
    headers = np.zeros(mask.sum(), HEADER)
    headers["sender"] = np.nonzero(mask)[1]
    headers["episode"] = np.broadcast_to(episodes, returns.shape)[mask]
    return Received(records, mask.astype(int), headers, np.ones(mask.sum(), int))


def played(agents, rewards, steps=2):
    """What agents offer after an episode with these rewards, (trials, agents)."""
    rewards = np.asarray(rewards, dtype=np.float64).ravel()
    nobody = np.zeros(len(rewards), bool)
    for _ in range(steps):
        agents.observe(Transition(None, None, rewards, None, nobody, nobody, ~nobody))
    return agents.candidates()


def brute_force_gradient(settings, theta, returns, mask, noise):
    gradient = []
    for trial in range(len(returns)):
        sent = [i for i in range(returns.shape[1]) if mask[trial, i]]
        given = [returns[trial, i] for i in sent]
        if settings.shaping == "centered_rank":
            ranks = stats.rankdata(given, method="average") - 1
            most = max(len(given) - 1, 1)
            shaped = [rank / most - 0.5 if len(given) > 1 else 0.0 for rank in ranks]
        elif settings.shaping == "centered":
            shaped = [one - sum(given) / len(given) for one in given]
        else:
            shaped = given
        total = np.zeros(theta.shape[1])
        for weight, agent in zip(shaped, sent, strict=True):
            total += weight * noise[trial, agent]
        scale = 1 if settings.shaping == "centered_rank" else settings.noise
        gradient.append(
            total / (max(len(sent), 1) * scale) - settings.l2 * theta[trial]
        )
    return np.array(gradient)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("shaping", SHAPINGS)
def test_the_gradient_is_the_brute_force_one(shaping, antithetic):
    settings = ES(shaping=shaping, antithetic=antithetic, l2=0.05, initial="random")
    learner = settings.learner(problem())
    rng = np.random.default_rng(0)
    returns = rng.integers(-3, 3, (TRIALS, AGENTS)).astype(float)  # few, so they tie
    mask = rng.random((TRIALS, AGENTS)) < 0.6
    mask[2] = False
    mask[2, 4] = True  # alone
    noise = learner._noise.of(5)
    expected = brute_force_gradient(
        settings, learner.memory["theta"], returns, mask, noise
    )
    gradient, heard = learner.gradient(received(returns, mask, 5))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)
    assert heard.all()
    assert gradient.any()


def test_centred_ranks_are_scipys_average_ranks():
    rng = np.random.default_rng(0)
    trials = np.repeat([0, 2, 3], [7, 1, 40])  # trial 1 sent nothing
    returns = rng.integers(0, 9, len(trials)).astype(float)
    shaped = centered_ranks(returns, trials)
    for trial, count in ((0, 7), (3, 40)):
        ranks = stats.rankdata(returns[trials == trial], method="average")
        expected = (ranks - 1) / (count - 1) - 0.5
        np.testing.assert_allclose(shaped[trials == trial], expected, atol=1e-15)
    assert shaped[trials == 2].tolist() == [0.0]
    assert centered_ranks(np.empty(0), np.empty(0, int)).shape == (0,)


def test_ties_pull_nowhere():
    learner = ES().learner(problem())
    learner.update(received(np.full((TRIALS, AGENTS), 7.0)))
    assert not learner.memory["theta"].any()


@pytest.mark.parametrize("antithetic", [False, True])
def test_the_learner_draws_the_noise_that_the_agents_used(antithetic):
    settings = ES(antithetic=antithetic, initial="random")
    agents, learner = settings.agents(problem()), settings.learner(problem())
    agents.begin(3)
    agents.act(np.zeros((TRIALS * AGENTS, 4)), np.ones(TRIALS * AGENTS, bool))
    used = agents._players._theta.reshape(TRIALS, AGENTS, -1)
    noise = learner._noise.of(3)
    theta = learner.memory["theta"][:, None]
    expected = (theta + settings.noise * noise).astype(np.float32)
    np.testing.assert_array_equal(used, expected)
    half = AGENTS // 2
    assert (noise[:, :half] == -noise[:, half:]).all() == antithetic
    everybody = learner._noise.under(received(np.zeros((TRIALS, AGENTS)), episodes=3))
    np.testing.assert_array_equal(everybody, noise.reshape(-1, noise.shape[-1]))


def test_a_late_return_uses_the_noise_of_its_headers_episode():
    learner = ES(shaping="raw").learner(problem(1, 2))
    gradient, _ = learner.gradient(received([[2.0, 3.0]], episodes=[[4, 7]]))
    noise = learner._noise
    expected = (2 * noise.of(4)[0, 0] + 3 * noise.of(7)[0, 1]) / (2 * 0.1)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-14)


def test_two_returns_of_one_agent_both_count():
    learner = ES(shaping="raw").learner(problem(1, 2))
    records = np.array([(2.0,), (3.0,)], RETURN)
    headers = np.zeros(2, HEADER)
    headers["episode"] = [1, 2]
    counts = np.array([[2, 0]])
    gradient, _ = learner.gradient(Received(records, counts, headers, np.ones(2, int)))
    noise = learner._noise
    expected = (2 * noise.of(1)[0, 0] + 3 * noise.of(2)[0, 0]) / (2 * 0.1)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-14)


def test_a_trial_that_hears_nobody_keeps_everything():
    learner = ES(l2=0.1, initial="random").learner(problem())
    returns = np.random.default_rng(0).normal(size=(TRIALS, AGENTS))
    learner.update(received(returns))
    before = {name: values.copy() for name, values in learner.memory.items()}
    mask = np.ones((TRIALS, AGENTS), bool)
    mask[1] = False
    learner.update(received(returns, mask, 1))
    assert learner.memory["steps"].tolist() == [2, 1, 2]
    for name, values in learner.memory.items():
        np.testing.assert_array_equal(values[1], before[name][1])
    assert (learner.memory["theta"][0] != before["theta"][0]).any()
    learner.update(received(returns, np.zeros_like(mask), 2))
    assert learner.memory["steps"].tolist() == [2, 1, 2]


@pytest.mark.parametrize("optimizer", ["adam", "momentum", "normalized"])
@pytest.mark.parametrize("shaping", SHAPINGS)
def test_a_trial_learns_the_same_bits_alone(shaping, optimizer):
    settings = ES(shaping=shaping, optimizer=optimizer, l2=0.01, initial="random")
    rng = np.random.default_rng(0)
    together = settings.learner(problem())
    alone = settings.learner(problem([1]))
    for episode in range(5):
        returns = rng.normal(size=(TRIALS, AGENTS))
        mask = rng.random((TRIALS, AGENTS)) < 0.7
        together.update(received(returns, mask, episode))
        alone.update(received(returns[1:2], mask[1:2], episode))
    for name, values in alone.memory.items():
        np.testing.assert_array_equal(values[0], together.memory[name][1])


def test_invalid_returns_count_as_the_worst():
    agents, learner = ES().agents(problem()), ES().learner(problem())
    agents.begin(0)
    rewards = np.arange(TRIALS * AGENTS, dtype=float).reshape(TRIALS, AGENTS)
    rewards[0, 2], rewards[0, 4], rewards[2] = np.nan, np.inf, np.nan
    messages, _ = played(agents, rewards)
    sent = messages.records["return"].reshape(TRIALS, AGENTS)
    assert np.isneginf(sent[0]).tolist() == [False, False, True, False, True, False]
    clean = np.where(np.isneginf(sent), sent[0, 0], sent)
    expected, _ = ES().learner(problem()).gradient(received(clean))
    learner.update(received(sent))
    assert learner.memory["invalid"].tolist() == [2, 0, 6]
    assert learner.memory["steps"].tolist() == [1, 1, 0]  # nothing finite in trial 2
    learner.update(received(sent, episodes=1))
    assert learner.memory["invalid"].tolist() == [4, 0, 12]
    fresh = ES().learner(problem())
    gradient, _ = fresh.gradient(received(sent))
    np.testing.assert_array_equal(gradient[:2], expected[:2])


def test_signals_are_the_return_and_the_noises_norm():
    asked = ("return", "noise_norm", "utility")
    agents = ES().agents(problem(signals=asked))
    agents.begin(2)
    rewards = np.random.default_rng(0).normal(size=(TRIALS, AGENTS))
    rewards[1, 1] = np.nan
    messages, signals = played(agents, rewards)
    norm = np.linalg.norm(Noise(problem().draws, 130, False).of(2), axis=-1)
    norm[1, 1] = np.nan
    assert set(signals) == set(asked)
    np.testing.assert_allclose(signals["return"].values, 2 * rewards)
    np.testing.assert_allclose(signals["noise_norm"].values, norm)
    np.testing.assert_allclose(signals["utility"].values, 2 * rewards * norm)
    assert messages.counts.tolist() == np.ones((TRIALS, AGENTS)).tolist()
    agents = ES().agents(problem(signals=["utility"]))
    agents.begin(2)
    assert set(played(agents, rewards)[1]) == {"utility"}


def test_returns_are_discounted():
    agents = ES().agents(problem(1, 1, gamma=0.5))
    agents.begin(0)
    messages, _ = played(agents, [[8.0]], steps=3)
    assert messages.records["return"].tolist() == [14.0]


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_window_baseline_is_the_mean_of_past_returns(offset):
    agents = ES(baseline="window", window=2).agents(problem(1, 2))
    sent = []
    for episode, rewards in enumerate([[1, 5], [2, np.nan], [6, 7], [8, 9]]):
        agents.begin(episode)
        messages, _ = played(agents, np.add([rewards], offset), steps=1)
        sent.append(messages.records["return"].tolist())
    assert sent == [[0, 0], [1, -np.inf], [4.5, 2], [4, 2]]


def test_an_offset_is_added_to_every_return_that_is_sent():
    agents = ES(offset=-10.0).agents(problem(1, 3, signals=["return"]))
    agents.begin(0)
    messages, signals = played(agents, [[1.0, 2.0, np.nan]], steps=2)
    assert messages.records["return"].tolist() == [-8, -6, -np.inf]
    assert signals["return"].values[0, :2].tolist() == [-8, -6]


def test_offsets_change_no_update_of_centred_forms():
    returns = np.random.default_rng(0).integers(0, 99, (TRIALS, AGENTS)) / 4
    for shaping in ("centered", "centered_rank"):
        learner = ES(shaping=shaping).learner(problem())
        plain, _ = learner.gradient(received(returns))
        moved, _ = learner.gradient(received(returns + 1024.0))
        np.testing.assert_allclose(plain, moved, rtol=1e-9, atol=1e-12)


def quadratic_toy(shaping, constant, seed):
    """Final squared distance of ES on F = C - |theta + noise e - t|^2."""
    settings = ES(
        shaping=shaping,
        optimizer="normalized",
        learning_rate=0.05,
        noise=0.05,
        hidden_sizes=(),
    )
    task = problem([seed], 50, inputs=24)  # q = 24 * 2 + 2 = 50
    learner = settings.learner(task)
    noise = Noise(task.draws, 50, antithetic=False)
    target = np.random.default_rng(seed).normal(size=50)
    target *= 2 / np.linalg.norm(target)
    for episode in range(300):
        theta = learner.parameters()["theta"][:, None]
        played = theta + settings.noise * noise.of(episode)
        returns = constant - ((played - target) ** 2).sum(axis=-1)
        learner.update(received(returns, episodes=episode))
    return ((learner.memory["theta"][0] - target) ** 2).sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shaping", "constant", "mean", "deviation"),
    [
        ("raw", 10.0, 3.02, 0.28),
        ("raw", -10.0, 4.08, 0.28),
        ("centered", 10.0, 0.01, 0.005),
        ("centered", -10.0, 0.01, 0.005),
    ],
)
def test_the_quadratic_toy_shows_what_an_offset_does(
    shaping, constant, mean, deviation
):
    finals = [quadratic_toy(shaping, constant, seed) for seed in range(20)]
    error = deviation * np.sqrt(1 / 20 + 1 / 8)  # the reference has 8 seeds
    assert abs(np.mean(finals) - mean) < 3 * error


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"noise": 0.0}, "noise 0.0"),
        ({"noise": np.nan}, "noise nan"),
        ({"learning_rate": -1.0}, "learning_rate -1.0"),
        ({"l2": -0.1}, "l2 -0.1"),
        ({"momentum": 1.0}, "momentum 1.0"),
        ({"window": 0}, "window 0"),
        ({"offset": np.inf}, "offset inf"),
        ({"hidden_sizes": (8, 0)}, r"hidden_sizes \(8, 0\)"),
        ({"shaping": "ranked"}, "'ranked' is none of centered_rank, raw, centered"),
        ({"optimizer": "sgd"}, "'sgd' is none of"),
        ({"baseline": "mean"}, "'mean' is none of"),
        ({"initial": "one"}, "'one' is none of"),
    ],
)
def test_settings_out_of_range_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        ES(**settings)


def test_an_odd_number_of_antithetic_agents_is_refused():
    with pytest.raises(ValueError, match="5 agents cannot be antithetic pairs"):
        ES(antithetic=True).agents(problem(2, 5))


def test_a_random_start_is_scaled_by_the_inputs_of_each_unit():
    settings = ES(initial="random", hidden_sizes=(100,))
    theta = settings.start(problem(400, 1))
    layer1, bias1, layer2, bias2 = np.split(theta, [400, 500, 700], axis=1)
    assert abs(layer1.std() - 0.5) < 0.01
    assert abs(layer2.std() - 0.1) < 0.002
    assert not bias1.any()
    assert not bias2.any()
    np.testing.assert_array_equal(settings.start(problem([7], 3))[0], theta[7])
    agents = settings.agents(problem(2, 3))
    np.testing.assert_array_equal(agents.memory["theta"][:, 2], theta[:2])


def run(environment, settings, **more):
    arguments = {"num_agents": 4, "num_trials": 5, "num_episodes": 6, "gamma": 1.0}
    arguments |= {"progress": False, "evaluation_episodes": 2}
    return commenv.run(environment, settings, **(arguments | more)).frame


@pytest.mark.parametrize(
    "settings", [ES(), ES(antithetic=True, baseline="window", shaping="raw")]
)
def test_blocks_and_workers_change_no_bit(settings):
    whole = run("commenv/CartPole-v1", settings)
    for more in ({"block": 1}, {"block": 3}, {"block": 2, "workers": 2}):
        assert run("commenv/CartPole-v1", settings, **more).equals(whole)
    assert (whole["size"] == 8).all()
    seed = np.where(whole["episode"] == 0, 8, 0)  # agreed on beforehand
    assert (whole["downlink_size"] == 8 * 130 + seed).all()
    assert (whole["downlink_header_size"] == 16 + 2 * seed).all()


@pytest.mark.parametrize("environment", ["SimpleGrid-v0", "Pendulum-v1"])
def test_discrete_observations_and_continuous_actions_run(environment):
    frame = run(environment, ES(), num_trials=2, num_episodes=2, max_episode_steps=20)
    assert np.isfinite(frame["evaluation"]).all()


def test_a_world_whose_rewards_are_infinite_is_warned_of_once_and_goes_on(tmp_path):
    class Broken(gym.Env):
        observation_space = spaces.Box(-1, 1, (2,))
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {}

        def step(self, action):
            reward = -float("inf") if action else 1.0
            return np.zeros(2, np.float32), reward, True, False, {}

    gym.register("Broken-v0", Broken)
    try:
        with pytest.warns(RuntimeWarning, match="not finite") as caught:
            frame = run("Broken-v0", ES(), num_agents=20, block=50, out=tmp_path)
    finally:
        del gym.registry["Broken-v0"]
    assert len(caught) == 1
    first, last = frame[frame["episode"] == 0], frame[frame["episode"] == 5]
    assert (last["evaluation"] == 1.0).all()
    assert first["invalid"].between(0.2, 0.8).all()  # about half of the policies
    valid = frame["invalid"] == 0
    assert (frame["reward"] == np.where(valid, 1.0, -np.inf)).all()
    assert commenv.load(tmp_path).frame.equals(frame)


@pytest.mark.slow
def test_it_learns_cart_pole():
    frame = run(
        "commenv/CartPole-v1",
        ES(),
        num_agents=20,
        num_trials=3,
        num_episodes=100,
        max_episode_steps=200,
        evaluate_every=100,
    )
    last = frame[frame["episode"] == 99]
    assert (last["evaluation"] > 150).all()
    assert frame[frame["episode"] == 0]["reward"].mean() < 30


def test_a_message_is_one_return_of_8_bytes():
    agents = ES().agents(problem())
    agents.begin(0)
    messages, _ = played(agents, np.zeros((TRIALS, AGENTS)))
    assert isinstance(messages, Messages)
    assert messages.records.dtype.itemsize == 8
