"""One round, watched from outside: who is called, and what passes the channel."""

import numpy as np

from commenv.channel import Budget, Channel, Identity, Messages
from commenv.envs import make_batched
from commenv.learning import Agents, Always, Learner, RoundAgents, Rounds, Scheme
from commenv.wrappers import ChannelEnv

RECORD = np.dtype([("agent", "<i4")])
PARAMETERS = np.dtype([("version", "<f8")])
STAY = 4


class Log(list):
    def __call__(self, name, *details):
        self.append((name, *details))


class LoggedAgents(Agents):
    def __init__(self, log, shape):
        self.memory = {}
        self.log, self.shape = log, shape

    def begin(self, episode):
        self.log("begin", episode)
        self.steps = 0

    def receive(self, parameters):
        self.log("receive", parameters["version"].tolist())

    def act(self, observations, active):
        return np.full(len(observations), STAY)

    def observe(self, transition):
        self.steps += int(transition.active.sum())

    def candidates(self):
        self.log("candidates", self.steps)
        counts = np.ones(self.shape, dtype=int)
        records = np.zeros(counts.size, RECORD)
        records["agent"] = np.arange(counts.size)
        return Messages(records, counts), {}


class LoggedLearner(Learner):
    def __init__(self, log, trials):
        self.memory = {"version": np.zeros(trials)}
        self.log = log

    def parameters(self):
        self.log("parameters")
        records = np.zeros(len(self.memory["version"]), PARAMETERS)
        records["version"] = self.memory["version"]
        return records

    def update(self, messages):
        self.log("update", messages.records["agent"].tolist())
        self.memory["version"] += 1

    def evaluate(self, episode):
        return np.zeros(len(self.memory["version"]))


class OddRounds(Scheme):
    """Only the first agent sends, and only in odd rounds, which it counts itself."""

    name = "odd"

    def start(self, shape):
        return {"rounds": np.zeros(shape, dtype=int)}

    def select(self, signals, state, draws, left):
        mask = np.zeros(left.messages.shape, dtype=bool)
        mask[:, 0] = state["rounds"][:, 0] % 2 == 1
        return mask, {"rounds": state["rounds"] + 1}


class Planned(Scheme):
    """Notes how far a study has come, and says nothing."""

    name = "planned"

    def __init__(self):
        self.seen = []

    def select(self, signals, state, draws, left):
        self.seen.append((draws.episode, draws.num_episodes))
        return np.zeros(left.messages.shape, dtype=bool), state


def rounds_of(log, scheme, **channels):
    world = make_batched("SimpleGrid-v0", 2, max_episode_steps=3)
    env = ChannelEnv(world, [0], 2, **channels)
    return Rounds(env, LoggedAgents(log, (1, 2)), LoggedLearner(log, 1), scheme, seed=0)


def test_a_round_broadcasts_acts_selects_sends_and_updates_in_this_order():
    log = Log()
    metrics = list(rounds_of(log, Always()).play(2))
    assert log == [
        ("parameters",),  # what everybody knows beforehand
        ("begin", 0),
        ("parameters",),
        ("receive", [[0.0, 0.0]]),
        ("candidates", 6),
        ("update", [0, 1]),
        ("begin", 1),
        ("parameters",),
        ("receive", [[1.0, 1.0]]),
        ("candidates", 6),
        ("update", [0, 1]),
    ]
    assert [one.downlink_size.tolist() for one in metrics] == [[[8, 8]], [[8, 8]]]
    assert [one.size.tolist() for one in metrics] == [[[4, 4]], [[4, 4]]]


def test_a_schemes_state_is_handed_from_round_to_round():
    log = Log()
    metrics = list(rounds_of(log, OddRounds()).play(4))
    assert [one.frequency.tolist() for one in metrics] == [
        [[0.0, 0.0]],
        [[1.0, 0.0]],
        [[0.0, 0.0]],
        [[1.0, 0.0]],
    ]
    assert [entry for entry in log if entry[0] == "update"] == [
        ("update", []),
        ("update", [0]),
        ("update", []),
        ("update", [0]),
    ]


def test_size_is_the_length_of_what_was_encoded():
    lengths = []

    class Spy(Identity):
        def encode(self, messages, memory, draws):
            encoded, pending = super().encode(messages, memory, draws)
            lengths.append(len(encoded.data.tobytes()))
            return encoded, pending

    metrics = list(rounds_of(Log(), Always(), uplink=Channel(codec=Spy())).play(3))
    assert [int(one.size.sum()) for one in metrics] == lengths == [8, 8, 8]


def test_a_scheme_is_told_the_rounds_planned_from_the_first_on():
    scheme = Planned()
    rounds = rounds_of(Log(), scheme)
    list(rounds.play(2))
    list(rounds.play(3))
    assert scheme.seen == [(0, 2), (1, 2), (2, 5), (3, 5), (4, 5)]


def test_senders_are_told_whose_message_was_accepted():
    told = []

    class Listening(LoggedAgents):
        def on_receipt(self, accepted):
            told.append(accepted.tolist())

    budget = Budget(messages=3, per="lifetime", exceed="refuse", scope="team")
    rounds = rounds_of(Log(), OddRounds(), uplink=Channel(budget=budget))
    rounds.agents = Listening(Log(), (1, 2))
    list(rounds.play(2))
    assert told == [[[False, False]], [[True, False]]]
    rounds.scheme = Always()
    list(rounds.play(2))
    assert told[2] == [[True, True]]
    assert told[3] == [[False, False]]  # nothing is left


def test_agents_may_train_elsewhere_and_enter_what_they_measured():
    class Elsewhere(RoundAgents):
        def begin(self, episode):
            self.episode = episode

        def receive(self, parameters):
            pass

        def play(self, env, observations):
            returns = np.array([[1.0, self.episode]])
            env.measure(returns, 2 * returns, np.array([[5, 6]]))

        def candidates(self):
            return Messages.silent(RECORD, (1, 2)), {}

    rounds = rounds_of(Log(), Always())
    rounds.agents = Elsewhere()
    metrics = list(rounds.play(2))
    assert [one.reward.tolist() for one in metrics] == [[[1.0, 0.0]], [[1.0, 1.0]]]
    assert metrics[1].episode_return.tolist() == [[2.0, 2.0]]
    assert metrics[1].episode_length.tolist() == [[5, 6]]
    assert metrics[1].messages.tolist() == [[0, 0]]
