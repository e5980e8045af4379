import pickle

import numpy as np
import pytest

from commenv.rng import Draws, GeneratorUniforms


def philox(seed, trial, agent, purpose, episode, block=0):
    """NumPy's generator at one address, made from scratch."""
    number = int.from_bytes(purpose.encode(), "little")
    key = np.random.SeedSequence(seed, spawn_key=(trial, agent, number))
    bits = np.random.Philox(
        key=key.generate_state(2, np.uint64), counter=[block, 0, episode, 0]
    )
    return np.random.Generator(bits)


@pytest.fixture
def draws():
    return Draws(seed=5, trials=[2, 9], agents=3)


def test_uniforms_are_numpys_at_the_address(draws):
    numbers = draws.uniforms("policy", episode=4, count=10)
    assert numbers.shape == (2, 3, 10)
    for row, trial in enumerate([2, 9]):
        for agent in range(3):
            expected = philox(5, trial, agent, "policy", 4).random(10)
            assert numbers[row, agent].tolist() == expected.tolist()


def test_normals_are_numpys_at_the_address(draws):
    numbers = draws.normals("noise", episode=3, count=11)
    expected = philox(5, 9, 2, "noise", 3).standard_normal(11)
    assert numbers.shape == (2, 3, 11)
    assert numbers[1, 2].tolist() == expected.tolist()


def test_a_later_start_gives_the_later_part_of_the_sequence(draws):
    whole = draws.uniforms("policy", 1, 20)
    assert (draws.uniforms("policy", 1, 12, start=8) == whole[..., 8:]).all()
    expected = philox(5, 2, 0, "policy", 1, block=2).random(12)
    assert whole[0, 0, 8:].tolist() == expected.tolist()


@pytest.mark.parametrize("start", [1, 2, 3, 7])
def test_a_start_within_a_block_is_refused(draws, start):
    with pytest.raises(ValueError, match=f"start {start} is not a multiple of 4"):
        draws.uniforms("policy", 0, 4, start=start)


def test_rows_draw_for_some_agents_alone(draws):
    whole = draws.uniforms("policy", 1, 5).reshape(6, 5)
    some = draws.uniforms("policy", 1, 5, rows=np.array([4, 1]))
    assert (some == whole[[4, 1]]).all()


def test_nobody_feels_who_else_is_in_the_batch(draws):
    alone = Draws(seed=5, trials=[9], agents=[1])
    for method in ("uniforms", "normals"):
        together = getattr(draws, method)("policy", 7, 6)
        assert (getattr(alone, method)("policy", 7, 6)[0, 0] == together[1, 1]).all()
    assert alone.seeds("policy", 7)[0, 0] == draws.seeds("policy", 7)[1, 1]


def test_draws_do_not_depend_on_what_was_drawn_before(draws):
    fresh = Draws(seed=5, trials=[2, 9], agents=3)
    draws.normals("noise", 0, 3)  # leaves a buffer half used
    draws.uniforms("policy", 8, 1)
    assert (draws.uniforms("policy", 3, 9) == fresh.uniforms("policy", 3, 9)).all()


def test_every_part_of_the_address_matters():
    def numbers(seed=0, trial=0, agent=0, purpose="policy", episode=0):
        drawn = Draws(seed, [trial], [agent]).uniforms(purpose, episode, 4)
        return tuple(drawn[0, 0].tolist())

    addresses = [
        numbers(),
        numbers(seed=1),
        numbers(trial=1),
        numbers(agent=1),
        numbers(purpose="noise"),
        numbers(episode=1),
    ]
    assert len(set(addresses)) == len(addresses)


def test_uniforms_and_normals_have_their_distributions():
    draws = Draws(seed=0, trials=range(50), agents=2)
    uniforms = np.sort(draws.uniforms("policy", 0, 400).ravel())
    size = len(uniforms)
    assert uniforms[0] >= 0
    assert uniforms[-1] < 1
    # Kolmogorov and Smirnov's distance; 1.95 is exceeded with probability 0.001.
    distance = np.abs(uniforms - (np.arange(size) + 0.5) / size).max()
    assert distance * np.sqrt(size) < 1.95
    normals = draws.normals("noise", 0, 400).ravel()
    assert abs(normals.mean()) < 4 / np.sqrt(size)
    assert abs(normals.var() - 1) < 4 * np.sqrt(2 / size)


def test_neighbouring_addresses_are_not_correlated():
    draws = Draws(seed=0, trials=range(3), agents=3)
    episodes = [draws.uniforms("policy", k, 500).reshape(9, 500) for k in range(3)]
    correlation = np.corrcoef(np.concatenate(episodes))
    off_diagonal = correlation[~np.eye(27, dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(500)


def test_seeds_fit_31_bits_and_differ(draws):
    many = Draws(0, range(100), 10).seeds("world", 0)
    assert many.shape == (100, 10)
    assert many.dtype == np.int64
    assert many.min() >= 0
    assert many.max() < 2**31
    assert len(np.unique(many)) == 1000
    expected = int(philox(5, 2, 1, "world", 6).random() * 2**31)
    assert draws.seeds("world", 6)[0, 1] == expected


def test_a_stream_hands_out_the_numbers_of_the_block_draw(draws):
    stream = draws.stream("world", episode=2)
    block = draws.uniforms("world", 2, 100).reshape(6, 100)
    drawn = np.array([stream.next() for _ in range(100)]).T
    assert (drawn == block).all()


@pytest.mark.parametrize("kind", ["addressed", "generators"])
def test_in_a_stream_everybody_has_a_position_of_ones_own(draws, kind):
    block = draws.uniforms("world", 2, 500).reshape(6, 500)
    stream = draws.stream("world", episode=2)
    if kind == "generators":
        agents = [(trial, agent) for trial in (2, 9) for agent in range(3)]
        stream = GeneratorUniforms(
            [philox(5, trial, agent, "world", 2) for trial, agent in agents]
        )
    rng = np.random.default_rng(0)
    position = np.zeros(6, dtype=int)
    speed = np.array([1.0, 0.9, 0.5, 0.3, 0.05, 0.0])
    for _ in range(499):
        active = rng.random(6) < speed
        numbers = stream.next(active)
        assert (numbers[active] == block[active, position[active]]).all()
        position += active
    assert position[0] == 499
    assert position[5] == 0


@pytest.mark.parametrize("kind", ["addressed", "generators"])
def test_the_next_numbers_of_a_few_are_those_that_a_mask_gives(draws, kind):
    def stream():
        if kind == "addressed":
            return draws.stream("world", episode=2)
        return GeneratorUniforms([np.random.default_rng(row) for row in range(6)])

    ours, theirs = stream(), stream()
    rng = np.random.default_rng(0)
    for share in np.repeat([0.0, 0.1, 1.0, 0.3], 300):
        assert (ours.next() == theirs.next()).all()
        mask = rng.random(6) < share
        rows = np.flatnonzero(mask)
        assert ours.next_of(rows).tolist() == theirs.next(mask)[rows].tolist()


def test_generators_are_read_in_order_however_unevenly():
    stream = GeneratorUniforms([np.random.default_rng(row) for row in range(4)])
    rng, drawn = np.random.default_rng(9), [[] for _ in range(4)]
    for _ in range(3000):
        mask = rng.random(4) < [1.0, 0.9, 0.4, 0.01]
        numbers = stream.next(mask)
        for row in np.flatnonzero(mask):
            drawn[row].append(numbers[row])
    for row, numbers in enumerate(drawn):
        assert numbers == np.random.default_rng(row).random(len(numbers)).tolist()


@pytest.mark.parametrize("counts", [[4], [3, 1, 7, 40], [130, 270]])
@pytest.mark.parametrize("kind", ["addressed", "generators"])
def test_several_numbers_of_some_rows_are_those_of_as_many_calls(draws, kind, counts):
    def stream():
        if kind == "addressed":
            return draws.stream("world", episode=2)
        agents = [(trial, agent) for trial in (2, 9) for agent in range(3)]
        return GeneratorUniforms(
            [philox(5, trial, agent, "world", 2) for trial, agent in agents]
        )

    some, single = stream(), stream()
    rng = np.random.default_rng(0)
    for _ in range(400 if max(counts) < 100 else 20):
        active, count = rng.random(6) < 0.4, int(rng.choice(counts))
        rows = np.flatnonzero(active)
        expected = np.array([single.next(active)[rows] for _ in range(count)])
        assert (some.several_of(rows, count) == expected.T).all()
        if rng.random() < 0.3:
            assert (some.next(active)[rows] == single.next(active)[rows]).all()


def test_normals_asked_for_twice_are_one_array_that_nobody_can_change(draws):
    first = draws.normals("noise", 3, 11)
    assert draws.normals("noise", 3, 11) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0
    assert (draws.normals("noise", 4, 11) != first).all()
    assert (draws.normals("policy", 3, 11) != first).all()
    assert draws.normals("noise", 3, 12).shape == (*draws.shape, 12)
    assert (draws.normals("noise", 3, 11) == first).all()


def test_a_replaced_generator_starts_at_once_and_alone():
    def make(seed):
        return np.random.default_rng(seed)

    stream = GeneratorUniforms([make(1), make(2)])
    used = [stream.next() for _ in range(3)]
    stream.replace(0, make(3))
    after = [stream.next() for _ in range(300)]
    assert [row[0] for row in after] == make(3).random(300).tolist()
    assert [row[1] for row in used + after] == make(2).random(303).tolist()


def test_a_world_draws_its_stream_and_its_seeds_from_the_environment_purpose(draws):
    world = draws.world(episode=3)
    numbers = draws.uniforms("environment", 3, 2).reshape(6, 2)
    stream = world.uniforms()
    assert (stream.next() == numbers[:, 0]).all()
    assert (world.uniforms().next() == numbers[:, 0]).all()  # a stream of its own
    assert (world.seeds() == draws.seeds("environment", 3).ravel()).all()
    other = draws.owned_by("evaluation").world(3).uniforms().next()
    expected = philox(5, 2, 0, "evaluation environment", 3).random()
    assert other[0] == expected
    assert (other != numbers[:, 0]).all()


def test_the_draws_of_another_owner_are_the_same_object_each_time(draws):
    scheme = draws.owned_by("scheme")
    assert scheme is draws.owned_by("scheme")
    assert scheme.owned_by("scheme") is scheme
    assert (scheme.seed, scheme.trials, scheme.agents) == (5, (2, 9), (0, 1, 2))


def test_a_copy_draws_the_same(draws):
    other = pickle.loads(pickle.dumps(draws))
    assert (other.uniforms("a", 1, 5) == draws.uniforms("a", 1, 5)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, [0], 1), "seed -1 is negative"),
        ((0, [], 1), "0 trials and 1 agents"),
        ((0, [0], 0), "1 trials and 0 agents"),
    ],
)
def test_impossible_draws_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Draws(*arguments)


@pytest.mark.parametrize("source", ["addressed", "generators"])
def test_a_part_of_a_stream_has_the_numbers_of_its_rows(source):
    def stream():
        if source == "addressed":
            return Draws(seed=5, trials=[2, 9], agents=3).stream("world", 1)
        return GeneratorUniforms([np.random.default_rng(row) for row in range(6)])

    whole, part = stream(), stream().part([4, 1])
    active = np.random.default_rng(0).random((500, 6)) < 0.7
    for mask in active:
        expected, drawn = whole.next(mask), part.next(mask[[4, 1]])
        assert drawn[mask[[4, 1]]].tolist() == expected[[4, 1]][mask[[4, 1]]].tolist()


@pytest.mark.parametrize(("trials", "agents"), [([-1], 2), ([2**63], 2), ([0], [-3])])
def test_numbers_that_do_not_fit_63_bits_are_refused(trials, agents):
    with pytest.raises(ValueError, match=r"give one from 0 to 2\*\*63 - 1"):
        Draws(0, trials, agents)
