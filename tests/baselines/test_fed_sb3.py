"""Federated Stable-Baselines3, against lone models, hand calculations and twins."""

# ruff: noqa: NPY002 - the global generator is what is tested

import random
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import commenv
from commenv.channel import (
    BernoulliLoss,
    Budget,
    Channel,
    ErrorFeedback,
    Received,
    TopK,
)
from commenv.errors import CommenvError
from commenv.learning import MonteCarloEvaluator, Problem, Rounds, make_scheme
from commenv.rng import Draws
from commenv.study.execution.block import run_block
from commenv.wrappers import ChannelEnv
from tests.study.studies import built

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

from commenv_baselines.fed_sb3 import FedA2C, FedDQN, FedPPO  # noqa: E402
from commenv_baselines.sb3_models import (  # noqa: E402
    RandomState,
    read_parameters,
    write_parameters,
)
from stable_baselines3.common.logger import Logger  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: E402

from commenv.envs import make_batched, make_scalar  # noqa: E402

CART = "commenv/CartPole-v1"
PPO = FedPPO(local_steps=32, n_steps=16, batch_size=8, n_epochs=2, hidden_sizes=(8,))
A2C = FedA2C(local_steps=32, n_steps=8, hidden_sizes=(8,))
DQN = FedDQN(
    local_steps=32,
    hidden_sizes=(8,),
    learning_starts=16,
    batch_size=8,
    target_update_interval=10,
    exploration_steps=64,
)
ALL = pytest.mark.parametrize("settings", [PPO, A2C, DQN], ids=lambda one: one.name)
PPO_SIZE = 2 * (4 * 8 + 8) + (8 * 2 + 2) + (8 + 1)


def problem_of(env_id=CART, trials=(0,), agents=2, gamma=0.9, **changes):
    world = make_batched(env_id, 1)
    draws = Draws(3, trials, agents)
    evaluator = MonteCarloEvaluator(
        lambda count: make_batched(env_id, count), draws, 1, 2
    )
    return Problem(
        draws=draws,
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=gamma,
        num_episodes=10,
        evaluator=evaluator,
        make_env=lambda agent: make_scalar(env_id),
        **changes,
    )


def play(settings, rounds, scheme="always", problem=None, **channels):
    """Plays rounds; yields both halves and the metrics after each of them."""
    problem = problem or problem_of()
    world = make_batched(CART, problem.shape[0] * problem.shape[1])
    env = ChannelEnv(world, problem.draws.trials, problem.shape[1], **channels)
    agents, learner = settings.agents(problem), settings.learner(problem)
    scheme = make_scheme(scheme, {}) if isinstance(scheme, str) else scheme
    for metrics in Rounds(env, agents, learner, scheme, seed=3).play(rounds):
        yield agents.memory, learner.memory, metrics
    agents.close()


def copied(now):
    agents, learner, metrics = now
    return dict(agents), dict(learner), metrics


def last(*arguments, **how):
    return list(play(*arguments, **how))[-1]


class Lone:
    """One model of Stable-Baselines3, as its users would train it."""

    def __init__(self, settings, agent=0):
        problem = problem_of()
        self.steps = settings.local_steps
        seed = int(problem.draws.seeds("local model", 0)[0, agent])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        vector = DummyVecEnv([lambda: gym.make("CartPole-v1")])
        self.model = settings.model(vector, gamma=0.9)
        self.model.set_logger(Logger(None, []))
        self.model.action_space.seed(seed)
        vector.seed(seed)
        self.write(settings.learner(problem).memory["theta"][0])
        if settings.name == "fed-dqn":
            net = self.model.policy.q_net.state_dict()
            self.model.policy.q_net_target.load_state_dict(net)

    def train(self):
        self.model.learn(self.steps, log_interval=None, reset_num_timesteps=False)
        return read_parameters(self.model.policy)

    def write(self, vector):
        write_parameters(self.model.policy, vector)


@pytest.fixture
def restored():
    """The global generators, which a lone model seeds, and torch on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with RandomState(0):
        yield
    torch.set_num_threads(threads)


@ALL
def test_an_agent_that_never_sends_is_a_lone_model_bit_for_bit(settings, restored):
    rounds = list(map(copied, play(settings, 3, "never")))
    for agent in (0, 1):
        lone = Lone(settings, agent)
        for memory, _, _ in rounds:
            np.testing.assert_array_equal(memory["own"][0, agent], lone.train())
    assert not np.array_equal(memory["own"][0, 0], memory["own"][0, 1])


@ALL
def test_one_agent_that_always_sends_is_a_lone_model_of_float32_moves(
    settings, restored
):
    lone = Lone(settings)
    theta = read_parameters(lone.model.policy)
    for _, memory, _ in play(settings, 3, problem=problem_of(agents=1)):
        delta = lone.train() - theta
        theta = (theta + delta.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_equal(memory["theta"][0], theta)
        lone.write(theta)


def test_the_learner_adds_the_mean_of_the_deltas():
    before = PPO.learner(problem_of(agents=3)).memory["theta"][0]
    for agents, learner, _ in play(PPO, 3, problem=problem_of(agents=3)):
        deltas = (agents["own"][0] - before).astype(np.float64)
        expected = before + (deltas[0] + deltas[1] + deltas[2]) / 3
        np.testing.assert_allclose(learner["theta"][0], expected, rtol=2e-7, atol=1e-9)
        assert np.abs(deltas).max() > 0
        before = learner["theta"][0]


def test_deltas_by_hand():
    learner = PPO.learner(problem_of(trials=(0, 1, 2)))
    before = learner.memory["theta"]
    records = np.zeros(4, [("delta", "<f4", (PPO_SIZE,))])
    records["delta"][:, 0] = [1, 2, 8, np.inf]
    records["delta"][3, 1] = 5
    counts = np.array([[1, 1], [0, 0], [1, 1]])
    headers = np.zeros(4, [("episode", "<u4")])
    learner.update(Received(records, counts, headers, np.ones(4, dtype=int)))
    moved = learner.memory["theta"] - before
    np.testing.assert_allclose(moved[:, 0], [1.5, 0, 8], rtol=1e-6)
    assert not moved[:, 1:].any()
    assert learner.invalid.tolist() == [0, 0, 1]


def test_a_delta_too_large_for_float32_is_left_out():
    learner = PPO.learner(problem_of(agents=1))
    learner.memory["theta"] = np.full_like(learner.memory["theta"], 3e38)
    records = np.zeros(1, [("delta", "<f4", (PPO_SIZE,))])
    records["delta"][0, 0] = 3e38
    headers = np.zeros(1, [("episode", "<u4")])
    learner.update(Received(records, np.ones((1, 1), int), headers, np.ones(1, int)))
    assert (learner.memory["theta"] == np.float32(3e38)).all()
    assert learner.invalid.tolist() == [1]


@ALL
def test_without_a_learning_rate_nobody_moves(settings):
    still = type(settings)(**{**vars(settings), "learning_rate": 0.0})
    start = still.learner(problem_of()).memory["theta"]
    agents, learner, metrics = last(still, 2)
    np.testing.assert_array_equal(learner["theta"], start)
    np.testing.assert_array_equal(agents["own"][:, 0], start)
    assert metrics.messages.tolist() == [[1, 1]]


def test_a_message_is_four_bytes_a_parameter_in_both_directions():
    _, learner, metrics = last(PPO, 1)
    assert learner["theta"].shape == (1, PPO_SIZE)
    assert metrics.size.tolist() == [[4 * PPO_SIZE] * 2]
    assert metrics.downlink_size.tolist() == [[4 * PPO_SIZE] * 2]
    assert metrics.episode_length.tolist() == [[32, 32]]


def test_a_silent_agent_keeps_its_progress_and_an_accepted_one_starts_from_theta():
    budget = Budget(messages=1, per="lifetime")  # only the first delta gets through
    rounds = play(PPO, 3, uplink=Channel(budget=budget))
    (_, learner, metrics), (second, later, refused), _ = map(copied, rounds)
    assert metrics.messages.tolist() == [[1, 1]]
    assert refused.refused.tolist() == [[1, 1]]
    np.testing.assert_array_equal(second["base"][0], [learner["theta"][0]] * 2)
    np.testing.assert_array_equal(later["theta"], learner["theta"])
    agents = PPO.agents(problem_of())
    for accepted, expected in (
        (True, later["theta"][0]),
        (False, second["own"][0, 0] + (later["theta"][0] - second["base"][0, 0])),
    ):
        agents.memory = dict(second)
        agents.on_receipt(np.array([[accepted, accepted]]))
        records = np.zeros((1, 2), [("theta", "<f4", (PPO_SIZE,))])
        records["theta"] = later["theta"][:, None]
        agents.receive(records)
        np.testing.assert_array_equal(agents.memory["own"][0, 0], expected)
        np.testing.assert_array_equal(agents.memory["base"][0, 0], later["theta"][0])


def test_what_a_lone_silent_agent_learned_is_in_its_next_message():
    """Periodic, k = 2: the second message holds the moves of two rounds."""
    scheme = make_scheme("periodic", {"k": 2})
    rounds = list(map(copied, play(PPO, 3, scheme, problem=problem_of(agents=1))))
    thetas = [learner["theta"][0] for _, learner, _ in rounds]
    np.testing.assert_array_equal(thetas[0], thetas[1])
    own = rounds[2][0]["own"][0, 0]
    np.testing.assert_allclose(thetas[2], own, rtol=1e-6, atol=1e-8)
    assert [int(one.messages[0, 0]) for _, _, one in rounds] == [1, 0, 1]


@pytest.mark.parametrize(
    ("scheme", "sent"),
    [
        ("always", [[1, 1]]),
        ("periodic", [[0, 0]]),
        ("top", None),
        ("random", None),
        ("never", [[0, 0]]),
    ],
)
def test_schemes_choose_who_sends(scheme, sent):
    metrics = last(PPO, 2, scheme)[2]
    if sent is None:
        assert metrics.messages.sum() == 1
    else:
        assert metrics.messages.tolist() == sent


def test_top_sends_the_longest_delta():
    def start_of(settings):
        return settings.learner(problem_of(agents=3)).memory["theta"]

    scheme = make_scheme("top", {"m": 1, "signal": "delta_norm"})
    before = start_of(PPO)[:, None]
    agents, _, metrics = last(PPO, 1, scheme, problem=problem_of(agents=3))
    norms = np.linalg.norm(agents["own"] - before, axis=-1)
    assert metrics.messages[0].argmax() == norms[0].argmax()
    assert metrics.messages.sum() == 1


def test_top_k_with_error_feedback_sends_k_pairs_and_loses_nothing():
    uplink = Channel(codec=ErrorFeedback(TopK(5)))
    start = PPO.learner(problem_of(agents=1)).memory["theta"][0]
    rounds = map(copied, play(PPO, 4, problem=problem_of(agents=1), uplink=uplink))
    moves = []
    for agents, learner, metrics in rounds:
        assert metrics.size.tolist() == [[60]]
        moved = learner["theta"][0] - start
        assert 0 < np.count_nonzero(moved) <= 5
        moves.append(agents["own"][0, 0] - agents["base"][0, 0])
        start = learner["theta"][0]
    assert np.count_nonzero(moves[-1]) > 5


def test_agents_that_hear_nothing_new_go_on():
    downlink = Channel(link=BernoulliLoss(1.0))
    agents, learner, _ = last(PPO, 3, downlink=downlink)
    start = PPO.learner(problem_of()).memory["theta"]
    np.testing.assert_array_equal(agents["base"][:, 0], start)
    assert not np.array_equal(learner["theta"], start)


class Countdown(gym.Env):
    """Seven steps of reward 1, whatever is done; all instances share their spaces."""

    observation_space = gym.spaces.Box(0, 7, (1,), np.float32)
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 7
        return np.array([7], np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.array([self.left], np.float32), 1.0, self.left == 0, False, {}


def measured(settings, rounds=2, **how):
    problem = problem_of(agents=1, **how)
    problem = Problem(
        **{
            **vars(problem),
            "observation_space": Countdown.observation_space,
            "action_space": Countdown.action_space,
            "make_env": lambda agent: Countdown(),
        }
    )
    return [
        (float(one.reward[0, 0]), float(one.episode_return[0, 0]))
        for _, _, one in play(settings, rounds, problem=problem)
    ]


def test_returns_are_means_over_the_episodes_that_ended():
    discounted = (1 - 0.9**7) / (1 - 0.9)
    for reward, total in measured(PPO):  # 4 episodes, then 5
        assert reward == pytest.approx(discounted)
        assert total == 7


def test_where_no_episode_ended_the_return_is_that_so_far():
    short = FedA2C(local_steps=4, n_steps=4, hidden_sizes=(4,))
    assert [total for _, total in measured(short, 4, gamma=1.0)] == [4, 7, 5, 7]
    assert [total for total, _ in measured(short, 4, gamma=1.0)] == [4, 7, 5, 7]


def study(algorithm, scheme="bernoulli", environment=CART, trials=4, **changes):
    how = {"num_episodes": 3, "num_agents": 2, "evaluation_episodes": 2} | changes
    return built(environment, algorithm, scheme, None, 40, num_trials=trials, **how)


def table(one, trials):
    return run_block(one, one.arms[0], trials).to_pandas()


@ALL
def test_trials_do_not_depend_on_who_shares_their_block(settings):
    one = study(settings)
    together = table(one, [0, 1, 2])
    for trial in (0, 2):
        alone = table(one, [trial])
        expected = together[together["trial"] == trial].reset_index(drop=True)
        assert alone.equals(expected)
    assert together["reward"].nunique() > 5


def test_agents_that_share_an_action_space_do_not_share_its_draws():
    gym.register("Countdown-v0", Countdown)
    try:
        one = study(DQN, environment="Countdown-v0")
        together = table(one, [0, 1])
        assert table(one, [1]).equals(
            together[together["trial"] == 1].reset_index(drop=True)
        )
    finally:
        del gym.registry["Countdown-v0"]


@ALL
def test_the_global_generators_and_threads_are_left_alone(settings):
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    before = random.getstate(), np.random.get_state()[1].tolist()
    state = torch.get_rng_state()
    table(study(settings), [0])
    assert before == (random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    first = table(study(settings), [0])
    random.random(), np.random.random(), torch.rand(1)
    assert table(study(settings), [0]).equals(first)


def test_a_random_state_is_that_of_the_seeding_functions(restored):
    def numbers():
        return random.random(), np.random.random(), float(torch.rand(1))

    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    expected = [numbers(), numbers()]
    state, outer = RandomState(7), RandomState(8)
    with outer:
        found = []
        for _ in range(2):
            with state:
                found.append(numbers())
            numbers()
    assert found == expected


def test_a_failing_model_leaves_the_generators_as_they_were():
    before = torch.get_rng_state()
    wild = FedPPO(**{**vars(PPO), "learning_rate": 1e30})
    with pytest.raises(CommenvError, match=r"agent 0 of trial 0 in round \d.*smaller"):
        list(play(wild, 5))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["fed-ppo", "fed-dqn"])
def test_a_study_goes_on_by_trial_with_identical_results(tmp_path, name):
    settings = {"fed-ppo": PPO, "fed-dqn": DQN}[name]

    def run(trials, out):
        return commenv.run(
            CART,
            settings,
            "bernoulli",
            num_agents=2,
            num_trials=trials,
            num_episodes=3,
            evaluation_episodes=2,
            block=1,
            out=out,
            progress=False,
        ).frame

    whole = run(3, tmp_path / "whole")
    run(3, tmp_path / "part")
    removed = sorted((tmp_path / "part").rglob("*.parquet"))[1]
    removed.unlink()
    assert run(3, tmp_path / "part").equals(whole)
    assert removed.exists()


def test_stored_policies_play_again_and_become_modules(tmp_path):
    results = commenv.run(
        CART,
        PPO,
        num_agents=2,
        num_trials=2,
        num_episodes=2,
        evaluation_episodes=3,
        out=tmp_path,
        progress=False,
    )
    assert results.frame["evaluation"].notna().all()
    reference = "commenv_baselines.fed_sb3:FedPPO"
    policy = commenv.load_policy(tmp_path, trial=1, allow=[reference])
    module = policy.to_torch()
    seen = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    with torch.no_grad():
        chosen = module(torch.from_numpy(seen)).argmax(dim=1).tolist()
    assert [policy.act(one) for one in seen] == chosen
    assert set(chosen) == {0, 1}


def test_a_trace_holds_messages_and_no_steps(tmp_path):
    commenv.run(
        CART,
        PPO,
        num_agents=2,
        num_trials=1,
        num_episodes=2,
        evaluation_episodes=1,
        out=tmp_path,
        trace=True,
        progress=False,
    )
    names = {path.name.partition("-")[0] for path in (tmp_path / "trace").rglob("*.*")}
    assert names == {"messages"}


class Points(gym.Env):
    """Real observations, and the actions that are asked for."""

    observation_space = gym.spaces.Box(-1, 1, (2, 3), np.float64)

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, (2, 3)), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        done = bool(self.np_random.random() < 0.1)
        return self.np_random.uniform(-1, 1, (2, 3)), 1.0, done, False, {}


SPACES = [
    gym.spaces.Box(np.float32([-1, 0]), np.float32([0.01, 3])),
    gym.spaces.MultiDiscrete([2, 3]),
    gym.spaces.Discrete(4),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("settings", [PPO, A2C], ids=lambda one: one.name)
def test_actions_of_several_kinds_fit_their_space(settings, space):
    gym.register("Points-v0", lambda: Points(space), max_episode_steps=20)
    try:
        one = study(settings, environment="Points-v0")
        assert np.isfinite(table(one, [0])["evaluation"]).all()
        problem = problem_of("Points-v0", trials=(0, 1))
        policy = settings.learner(problem).policy()
        seen = np.random.default_rng(0).uniform(-1, 1, (6, 2, 3))
        actions = policy(seen)
        assert len(actions) == 6
        assert all(space.contains(one) for one in actions.astype(space.dtype))
        output = policy.to_torch(1)(torch.from_numpy(seen[3:]).float().flatten(1))
        if isinstance(space, gym.spaces.Box):
            np.testing.assert_allclose(output.detach(), actions[3:], rtol=1e-6)
        if isinstance(space, gym.spaces.Discrete):
            assert output.argmax(dim=1).tolist() == actions[3:].tolist()
    finally:
        del gym.registry["Points-v0"]


@ALL
def test_tabular_environments_are_evaluated_exactly(settings):
    results = commenv.run(
        "SimpleGrid-v0",
        settings,
        num_agents=2,
        num_trials=2,
        num_episodes=2,
        max_episode_steps=30,
        progress=False,
    )
    assert results.optimum[settings.name] == pytest.approx(-5.217031)
    assert (results.frame["evaluation"] <= -5.217).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "rounds", "least"),
    [
        (FedPPO(discount=0.98), 16, 100),
        (FedDQN(discount=0.98, exploration_steps=1000), 16, 60),
    ],
    ids=["ppo", "dqn"],
)
def test_cart_pole_is_learned_better_than_at_random(settings, rounds, least):
    results = commenv.run(
        CART,
        settings,
        num_agents=2,
        num_trials=1,
        num_episodes=rounds,
        gamma=1.0,
        seed=100,
        evaluate_every=4,
        progress=False,
    )
    assert results.frame["evaluation"].max() > least


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: FedPPO(local_steps=100, n_steps=64),
            "no multiple of n_steps 64; use 64",
        ),
        (
            lambda: FedPPO(n_steps=96, local_steps=96),
            "n_steps 96 is no multiple of batch",
        ),
        (lambda: FedPPO(local_steps=0), "local_steps is 0; at least 1"),
        (lambda: FedPPO(local_steps=64.0), "local_steps 64.0 is no whole number"),
        (lambda: FedPPO(batch_size=1), "batch_size is 1; at least 2"),
        (lambda: FedPPO(clip_range=0.0), "clip_range 0.0 is not above 0"),
        (lambda: FedPPO(gae_lambda=1.1), r"gae_lambda 1.1 is outside \[0, 1\]"),
        (lambda: FedA2C(learning_rate=-1.0), r"learning_rate -1.0 is outside"),
        (lambda: FedA2C(learning_rate=float("inf")), "inf is not finite"),
        (lambda: FedA2C(learning_rate=float("nan")), "nan is outside"),
        (lambda: FedA2C(n_steps=5), "use 255 or 260"),
        (lambda: FedA2C(hidden_sizes=(0,)), r"hidden_sizes \(0,\)"),
        (lambda: FedDQN(discount=1.5), r"discount 1.5 is outside \[0, 1\]"),
        (lambda: FedDQN(exploration=-0.1), "exploration -0.1 is outside"),
        (lambda: FedDQN(local_steps=10), "no multiple of train_freq 4; use 8 or 12"),
        (lambda: FedDQN(buffer_size=0), "buffer_size is 0"),
    ],
)
def test_settings_are_checked_when_made(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("settings", "observations", "actions", "words"),
    [
        (PPO, gym.spaces.Box(0, 255, (8, 8, 3), np.uint8), None, "images"),
        (PPO, gym.spaces.Text(3), None, "FlattenObservation"),
        (PPO, gym.spaces.Discrete(3, start=1), None, "counts choices from 0"),
        (PPO, None, gym.spaces.Discrete(3, start=-1), "counts choices from 0"),
        (A2C, None, gym.spaces.Box(-np.inf, np.inf, (2,)), "finite bounds"),
        (A2C, None, gym.spaces.MultiBinary(3), "do not fit"),
        (DQN, None, gym.spaces.Box(-1, 1, (2,)), "use fed-ppo or fed-a2c"),
        (DQN, None, gym.spaces.MultiDiscrete([2, 2]), "use fed-ppo or fed-a2c"),
    ],
)
def test_spaces_that_do_not_fit_are_refused(settings, observations, actions, words):
    problem = problem_of()
    changed = vars(problem) | {
        "observation_space": observations or problem.observation_space,
        "action_space": actions or problem.action_space,
    }
    for half in (settings.agents, settings.learner):
        with pytest.raises(ValueError, match=words):
            half(Problem(**changed))


def test_a_problem_must_say_how_to_make_an_instance():
    problem = Problem(**(vars(problem_of()) | {"make_env": None}))
    with pytest.raises(ValueError, match="make_env"):
        PPO.agents(problem)


def test_asking_for_settings_imports_neither_torch_nor_stable_baselines3():
    code = """
import sys
from commenv.cli import main
from commenv_baselines.fed_sb3 import FedPPO
FedPPO()
main(["list"])
print("imported:", *{"torch", "stable_baselines3"} & set(sys.modules))
"""
    assert run_python(code).splitlines()[-1] == "imported:"


def test_without_the_extra_the_error_names_it():
    code = """
import sys
sys.modules["stable_baselines3"] = None
import commenv
from commenv.errors import MissingExtraError
from commenv_baselines.fed_sb3 import FedPPO
try:
    commenv.run("SimpleGrid-v0", FedPPO(), num_trials=1, num_episodes=1)
except MissingExtraError as error:
    print(error)
try:
    import commenv_baselines.sb3_logging
except MissingExtraError as error:
    print(error.extra)
"""
    printed = run_python(code)
    assert '[sb3]"`' in printed
    assert printed.endswith("sb3")


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
