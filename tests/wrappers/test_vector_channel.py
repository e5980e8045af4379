import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import commenv
from commenv.channel import Budget, Channel, Delay, Fate
from commenv.errors import NotResetError
from commenv.wrappers import MessageChannel, VectorMessageChannel

COUNT = 3
GRADIENT = np.dtype([("gradient", "<f8", (2,))])


def make(mode=AutoresetMode.NEXT_STEP, limit=5, **parts):
    def single():
        return gym.make("commenv/WindyGrid-v0", max_episode_steps=limit, size=3)

    envs = SyncVectorEnv([single] * COUNT, autoreset_mode=mode)
    return VectorMessageChannel(envs, **parts)


def singles(limit=5, **parts):
    return [
        MessageChannel(
            gym.make("commenv/WindyGrid-v0", max_episode_steps=limit, size=3),
            agent=agent,
            **parts,
        )
        for agent in range(COUNT)
    ]


CHANNELS = {
    "free": Channel(),
    "step": Channel(budget=Budget(messages=1, per="step")),
    "episode": Channel(budget=Budget(messages=2, bytes=40)),
    "queue": Channel(budget=Budget(messages=1, exceed="queue", max_wait=2)),
    "penalize": Channel(budget=Budget(messages=2, exceed="penalize", price=0.5)),
    "late": Channel(link=Delay(2), acknowledgements=True),
}


def same(batched, numbers, agent):
    """The numbers of one agent are in its rows, under their masks."""
    assert batched.keys() == {*numbers, *(f"_{name}" for name in numbers)}
    for name, value in numbers.items():
        assert batched[name][agent] == value
        assert batched[f"_{name}"][agent]


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_it_equals_one_wrapper_around_each_environment(name, mode):
    uplink = CHANNELS[name]
    vector, alone = make(mode, uplink=uplink), singles(uplink=uplink)
    _, infos = vector.reset(seed=4)
    for agent, env in enumerate(alone):
        same(infos["comm"], env.reset(seed=4 + agent)[1]["comm"], agent)
    over = np.zeros(COUNT, dtype=bool)
    rng = np.random.default_rng(1)
    begun = 0
    for _ in range(40):
        payloads = [
            [1.5] * agent if rng.random() < 0.6 else None for agent in range(COUNT)
        ]
        accepted = vector.send(payloads).accepted
        for agent, env in enumerate(alone):
            if payloads[agent] is not None:
                assert env.send(payloads[agent]).accepted == accepted[agent]
        actions = rng.integers(5, size=COUNT)
        if mode == AutoresetMode.DISABLED and over.any():
            mask = over.copy()
            _, infos = vector.reset(options={"reset_mask": mask})
            resets = mask
            rewards = np.zeros(COUNT)
            ends = np.zeros(COUNT, dtype=bool)
        else:
            resets = over if mode == AutoresetMode.NEXT_STEP else over & False
            _, rewards, terminated, truncated, infos = vector.step(actions)
            ends = terminated | truncated
        for agent, env in enumerate(alone):
            if resets[agent]:
                _, info = env.reset()
                begun += 1
                assert infos["_episode_comm"][agent]
                same(infos["episode_comm"], info["episode_comm"], agent)
            elif mode == AutoresetMode.DISABLED and resets.any():
                env.star.tick()  # the vector's clock is one for all
                info = {"comm": env._comm()}
            else:
                _, reward, one, other, info = env.step(int(actions[agent]))
                assert reward == rewards[agent]
                assert (one or other) == ends[agent]
                assert infos.get("_episode_comm", ends)[agent] == ends[agent]
                if ends[agent]:
                    same(infos["episode_comm"], info["episode_comm"], agent)
            same(infos["comm"], info["comm"], agent)
        over = ends
        assert vector.receive() == [
            arrived if isinstance(arrived := env.receive(), list) else arrived.tolist()
            for env in alone
        ]
    assert begun > 5
    for agent, env in enumerate(alone):
        for fate in Fate:
            mine = env.star.uplink.ledger.count(fate)[0, 0]
            assert vector.star.uplink.ledger.count(fate)[0, agent] == mine


def test_a_send_after_the_end_belongs_to_the_episode_that_ended():
    vector = make(limit=1)
    vector.reset(seed=0)
    vector.step(np.full(COUNT, 4))
    vector.send([b"x", None, b"xx"])
    assert vector.metrics.messages.tolist() == [[1, 0, 1]]
    *_, infos = vector.step(np.full(COUNT, 4))
    assert infos["_episode_comm"].all()
    assert infos["episode_comm"]["messages"].tolist() == [1, 0, 1]
    assert infos["comm"]["sent"].tolist() == [0, 0, 0]


def test_headers_carry_the_episode_of_their_own_sub_environment():
    vector = make(AutoresetMode.DISABLED)
    vector.reset(seed=0)
    vector.reset(options={"reset_mask": np.array([True, False, True])})
    records = commenv.Messages(np.zeros(COUNT, GRADIENT), np.ones((1, COUNT), int))
    vector.send(records)
    assert vector.receive().headers["episode"].tolist() == [1, 0, 1]


def test_the_learner_answers_everybody():
    vector = make()
    vector.reset(seed=0)
    assert vector.receive() == [[], [], []]
    assert vector.receive_broadcast() is None
    parameters = np.ones(1, GRADIENT)
    assert vector.broadcast(parameters).accepted.all()
    assert vector.receive_broadcast()["gradient"].tolist() == [[1, 1]] * COUNT


def test_a_seed_starts_everything_afresh():
    vector = make(uplink=Channel(budget=Budget(messages=1, per="lifetime")))
    vector.reset(seed=0)
    vector.send([1, 2, 3])
    *_, infos = vector.step(np.zeros(COUNT, int))
    assert infos["comm"]["messages_left"].tolist() == [0, 0, 0]
    _, infos = vector.reset(seed=[1, 2, 3])
    assert infos["comm"]["messages_left"].tolist() == [1, 1, 1]
    assert vector.star.draws.seed == 1


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_it_says_how_it_resets_itself(mode):
    assert make(mode).autoreset_mode == mode


def test_with_same_step_autoreset_the_last_infos_are_final_infos():
    vector = make(AutoresetMode.SAME_STEP, limit=2)
    vector.reset(seed=0)
    vector.step(np.full(COUNT, 4))
    vector.send(["x", None, "xx"])
    *_, infos = vector.step(np.full(COUNT, 4))
    final = infos["final_info"]
    assert final["_comm"].all()
    assert final["comm"]["sent"].tolist() == [1, 0, 1]
    for told in (final, infos):
        assert told["_episode_comm"].all()
        assert told["episode_comm"]["messages"].tolist() == [1, 0, 1]
        assert told["episode_comm"]["episode_length"].tolist() == [2, 2, 2]
    assert infos["comm"]["sent"].tolist() == [0, 0, 0]
    assert vector.metrics.episode_length.tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"uplink": Channel(budget=Budget(messages=1, exceed="terminate"))}, "termin"),
        ({"gamma": 2}, "gamma 2 is outside"),
    ],
)
def test_what_cannot_work_is_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        make(**parts)


def test_a_team_cannot_share_an_episode_that_begins_at_different_times():
    vector = make(uplink=Channel(budget=Budget(messages=1, scope="team")), limit=1)
    vector.reset(seed=0)
    vector.step(np.zeros(COUNT, int))
    with pytest.raises(ValueError, match=r"per='step' or 'lifetime'"):
        vector.step(np.zeros(COUNT, int))


def test_nothing_can_be_asked_before_the_first_reset():
    vector = make()
    for ask in (lambda: vector.step([0] * COUNT), lambda: vector.metrics):
        with pytest.raises(NotResetError, match="call reset"):
            ask()


def test_it_is_found_through_other_wrappers():
    vector = make()
    outer = gym.wrappers.vector.RecordEpisodeStatistics(vector)
    assert commenv.find_channel(outer) is vector


def test_payloads_may_be_given_by_the_agents_numbers():
    env = VectorMessageChannel(gym.make_vec("SimpleGrid-v0", 3))
    env.reset(seed=0)
    told = env.send({2: {"x": 1}, np.int64(0): "a"})
    assert told.accepted.tolist() == [True, False, True]
    assert env.receive() == [["a"], [], [{"x": 1}]]


@pytest.mark.parametrize(
    ("payloads", "error"),
    [
        ({"gradient": 1, "loss": 2, "x": 3}, ValueError),
        ({3: "x"}, ValueError),
        ({-1: "x"}, ValueError),
        ({True: "x"}, ValueError),
        ("abc", TypeError),
        (b"abc", TypeError),
        ({"a", "b", "c"}, TypeError),
    ],
)
def test_what_is_not_one_payload_for_each_agent_is_refused_in_words(payloads, error):
    env = VectorMessageChannel(gym.make_vec("SimpleGrid-v0", 3))
    env.reset(seed=0)
    with pytest.raises(error, match=r"agents are the numbers 0 to 2|list of one for"):
        env.send(payloads)
    assert env.metrics.messages.sum() == 0
