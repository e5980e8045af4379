"""What was learned: kept with a study, checked when it comes back, and the same."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from commenv_baselines.dql import DQL
from commenv_baselines.policies import MLP

import commenv
from commenv.envs import greedy_policy
from commenv.errors import MissingExtraError, ResultsError, UnknownNameError
from commenv.learning import Algorithm, Learner
from commenv.study.policies.evaluation import evaluate
from commenv.study.policies.loader import trained
from commenv.study.storage.weights import check_memory, packed, unpacked
from tests.study.storage.seals import reseal

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
safetensors = pytest.importorskip("safetensors.numpy")

GRID = "00-dql"
FIRST = "trials-00000-00002"


def study(out, environment="SimpleGrid-v0", algorithm="dql", **changes):
    settings = {
        "num_agents": 4,
        "num_trials": 5,
        "num_episodes": 12,
        "block": 3,
        "progress": False,
    }
    return commenv.run(environment, algorithm, out=out, **(settings | changes))


def tensors(path):
    return safetensors.load(Path(path).read_bytes())


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """A finished study in two blocks; copy it before changing anything."""
    out = tmp_path_factory.mktemp("policies") / "grids"
    study(out, algorithm=["dql", "davia", "es"], settings={"env.size": 4})
    return out


@pytest.fixture
def copy(grids, tmp_path):
    return Path(shutil.copytree(grids, tmp_path / "copy"))


def first_file(directory, arm=GRID):
    return directory / "policies" / arm / f"{FIRST}.safetensors"


def test_every_block_has_its_policies(grids):
    def stems(kind):
        return sorted(
            str(path.relative_to(grids / kind).with_suffix(""))
            for path in (grids / kind).glob("*/*")
        )

    assert stems("policies") == stems("blocks")
    assert len(stems("blocks")) == 6
    q = tensors(first_file(grids))["q"]
    assert (q.shape, q.dtype) == ((3, 16, 5), np.float64)
    assert {"theta", "invalid"} < tensors(first_file(grids, "02-es")).keys()


@pytest.mark.parametrize("algorithm", ["dql", "es"])
@pytest.mark.parametrize("how", [{"block": 1}, {"block": 2, "workers": 2}])
def test_a_policy_depends_on_its_trial_alone(algorithm, how, tmp_path):
    """Trials stop at different rounds, while the others of their block go on."""
    settings = {"settings": {"env.size": 4}, "stop": {"env_steps": 1000}}
    settings |= {"environment": "WindyGrid-v0", "algorithm": algorithm}
    expected = study(tmp_path / "a", block=5, **settings)
    assert expected.frame.groupby("trial").size().nunique() > 1
    study(tmp_path / "b", **settings, **how)
    for trial in range(5):
        one, other = (
            commenv.load_policy(tmp_path / name, trial=trial).policy for name in "ab"
        )
        states = np.arange(16)
        if algorithm == "dql":
            assert (one == other).all()
        else:
            assert (one(states) == other(states)).all()
    together = tensors(tmp_path / "a" / "policies" / f"00-{algorithm}" / ALL)
    for path in (tmp_path / "b" / "policies").glob("*/*"):
        first, last = map(int, path.stem.split("-")[1:])
        for name, values in tensors(path).items():
            np.testing.assert_array_equal(values, together[name][first : last + 1])


ALL = "trials-00000-00004.safetensors"


def test_what_is_kept_is_what_the_study_evaluated(grids):
    frame = commenv.load(grids).frame
    world = commenv.TabularMDP.from_env(gym.make("SimpleGrid-v0", size=4))
    last = frame[frame["episode"] == 11].set_index(["label", "trial"])["evaluation"]
    for label in ("dql", "davia", "es"):
        for trial in (0, 4):
            policy = commenv.load_policy(grids, label, trial).policy
            if callable(policy):
                policy = policy(np.arange(16))[None]
            values = world.finite_horizon_values(policy, 0.9, 200)
            assert world.start_value(values)[0] == last[label, trial]


def test_other_partitions_leave_no_stale_file_and_blocks_may_overlap(copy):
    expected = commenv.load_policy(copy, "dql", 1).policy
    (copy / "blocks" / GRID / f"{FIRST}.parquet").unlink()
    half = copy / "policies" / GRID / f".{FIRST}.safetensors.x1"
    half.write_text("half")
    study(copy, algorithm=["dql", "davia", "es"], settings={"env.size": 4}, block=2)
    assert sorted(path.stem for path in (copy / "policies" / GRID).iterdir()) == [
        "trials-00000-00001",
        "trials-00002-00002",
        "trials-00003-00004",
    ]
    assert (commenv.load_policy(copy, "dql", 1).policy == expected).all()


def test_a_policy_acts_in_gymnasiums_environment(grids):
    q = tensors(first_file(grids))["q"][1]
    policy = commenv.load_policy(grids, "dql", 1, seed=5)
    env = gym.make("SimpleGrid-v0", size=4)
    observation, done = env.reset(seed=0)[0], False
    while not done:
        action = policy.act(observation)
        assert isinstance(action, int)
        assert greedy_policy(q)[observation, action] > 0
        observation, _, terminated, truncated, _ = env.step(action)
        done = terminated or truncated


def test_ties_are_broken_at_random_from_the_policys_own_seed(tmp_path):
    study(tmp_path, num_episodes=1, max_episode_steps=1, settings={"env.size": 4})
    seen = [
        [policy.act(14) for _ in range(40)]
        for policy in (commenv.load_policy(tmp_path, seed=s) for s in (0, 0, 1))
    ]
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) > 1


@pytest.fixture(scope="module")
def cart_pole(tmp_path_factory):
    out = tmp_path_factory.mktemp("policies") / "cart"
    settings = {"num_agents": 6, "num_trials": 2, "num_episodes": 4, "gamma": 1.0}
    study(out, "commenv/CartPole-v1", "es", **settings)
    return out


def test_a_network_acts_as_it_did_and_as_its_torch_module(cart_pole):
    theta = tensors(next((cart_pole / "policies").glob("*/*")))["theta"]
    env = gym.make("CartPole-v1")
    mlp = MLP(env.observation_space, env.action_space, (8, 8))
    policy = commenv.load_policy(cart_pole, trial=1)
    seen = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    acted = [policy.act(one) for one in seen]
    assert acted == mlp.act(theta[[1]].repeat(50, axis=0), seen).tolist()
    assert len(set(acted)) == 2
    torch = pytest.importorskip("torch")
    outputs = policy.to_torch()(torch.from_numpy(seen)).detach().numpy()
    expected = mlp.outputs(theta[[1]].repeat(50, axis=0), seen)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_table_is_no_torch_module(grids):
    with pytest.raises(ValueError, match=r"'dql', trial 0.* is no network"):
        commenv.load_policy(grids).to_torch()


@pytest.mark.parametrize(
    ("folder", "observation"),
    [("grids", 16), ("grids", -1), ("grids", [1]), ("grids", 0.5), ("cart_pole", [1])],
)
def test_an_observation_that_does_not_fit_is_refused(folder, observation, request):
    policy = commenv.load_policy(request.getfixturevalue(folder))
    with pytest.raises(ValueError, match="does not fit the space"):
        policy.act(observation)


def test_a_typo_in_a_label_and_a_trial_that_is_not_there(grids):
    with pytest.raises(UnknownNameError, match="label 'davi'; did you mean 'davia'"):
        commenv.load_policy(grids, "davi")
    with pytest.raises(ValueError, match=r"trial 5 is not .*\[0, 1, 2, 3, 4\]"):
        commenv.load_policy(grids, trial=5)


@pytest.mark.parametrize("kept", [0.0, 0.05, 0.5, 0.99])
@pytest.mark.parametrize("prepare", [lambda folder: None, reseal])
def test_a_truncated_file_is_refused(copy, kept, prepare):
    data = first_file(copy).read_bytes()
    first_file(copy).write_bytes(data[: int(len(data) * kept)])
    prepare(copy)
    with pytest.raises(ResultsError, match=r"safetensors is damaged.*delete .*and"):
        commenv.load_policy(copy)


def test_a_policy_of_which_a_part_is_zero_is_refused(copy):
    data = first_file(copy).read_bytes()
    first_file(copy).write_bytes(data[:-512] + bytes(512))
    for use in (commenv.load_policy, evaluate):
        with pytest.raises(ResultsError, match=r"safetensors is damaged .it is not as"):
            use(copy)


def test_wrong_bytes_are_read_or_refused_but_never_fail_otherwise(copy):
    data = first_file(copy).read_bytes()
    refused = 0
    for position in range(120):
        changed = bytearray(data)
        changed[position] ^= 0xFF
        first_file(copy).write_bytes(bytes(changed))
        reseal(copy)
        try:
            commenv.load_policy(copy)
        except ResultsError:
            refused += 1
    assert refused > 60


Q = np.zeros((3, 16, 5))


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        ({}, r"'q' is missing, not F64 \(3, 16, 5\)"),
        ({"q": Q, "more": Q}, r"'more' is F64 \(3, 16, 5\), not expected"),
        ({"q": Q.astype(np.float32)}, r"'q' is F32 .* not F64"),
        ({"q": Q[:2]}, r"'q' is F64 \(2, 16, 5\), not F64 \(3, 16, 5\)"),
        ({"q": Q[:, :9]}, r"\(3, 9, 5\), not F64 \(3, 16, 5\)"),
        ({"q": np.zeros(3)}, r"'q' is F64 \(3,\), not"),
    ],
)
def test_arrays_that_do_not_fit_the_settings_are_refused(copy, memory, words):
    first_file(copy).write_bytes(packed(memory))
    reseal(copy)
    with pytest.raises(ResultsError, match=words):
        commenv.load_policy(copy)


def test_types_that_numpy_lacks_are_refused(copy):
    header = {"q": {"dtype": "BF16", "shape": [3, 16, 5], "data_offsets": [0, 480]}}
    text = json.dumps(header).encode()
    first_file(copy).write_bytes(len(text).to_bytes(8, "little") + text + bytes(480))
    reseal(copy)
    with pytest.raises(ResultsError, match=r"BF16|damaged"):
        commenv.load_policy(copy)


def test_a_missing_file_and_a_folder_in_its_place_are_refused(copy):
    first_file(copy).unlink()
    with pytest.raises(ResultsError, match=r"safetensors is missing; delete .*parquet"):
        commenv.load_policy(copy)
    assert commenv.load_policy(copy, trial=3).trial == 3
    first_file(copy).mkdir()
    with pytest.raises(ResultsError, match="damaged"):
        commenv.load_policy(copy)


LABELS = ("dql", "davia", "es")
CART_POLE = {"environment": "CartPole-v1", "env_kwargs": {}}


def rewrite(directory, change):
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["study"])
    path.write_text(json.dumps(manifest))
    reseal(directory)


@dataclass(frozen=True)
class Own(DQL):
    """An algorithm of one's own, which no package has registered."""

    name: ClassVar[str] = "own"


def test_an_algorithm_that_is_not_registered_is_imported_only_when_allowed(tmp_path):
    study(tmp_path, algorithm=Own(), settings={"env.size": 4})
    reference = f"{__name__}:Own"
    with pytest.raises(ResultsError, match=f"{reference}.* --allow {reference}"):
        commenv.load_policy(tmp_path)
    assert commenv.load_policy(tmp_path, allow=[reference]).arm.label == "own"


MARK = "import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch()"


@pytest.mark.parametrize(
    "change",
    [
        lambda study: study["arms"][0]["algorithm"].update({"class": "evil:X"}),
        lambda study: study["arms"][0].update(environment="evil:SimpleGrid-v0"),
        lambda study: study["arms"][0]["env_kwargs"].update(size="evil:X"),
        lambda study: study["arms"][1]["algorithm"].update(features="evil:X"),
        lambda study: study["arms"][1]["algorithm"].update(features=["evil:X"]),
    ],
)
def test_no_module_that_a_manifest_names_is_run(copy, tmp_path, monkeypatch, change):
    (tmp_path / "evil.py").write_text(MARK)
    monkeypatch.syspath_prepend(str(tmp_path))
    rewrite(copy, change)
    with pytest.raises(ResultsError, match="importing it would run its code"):
        list(trained(copy))
    assert not (tmp_path / "evil.ran").exists()
    assert "evil" not in sys.modules


_UNUSABLE = r"manifest.json (cannot be used here: |is damaged or not ours \(|names it)"


@pytest.mark.parametrize(
    "change",
    [
        lambda study: study.update(arms=[{"label": one} for one in LABELS]),
        lambda study: study.update(gamma="high"),
        lambda study: study.update(gamma=7),
        lambda study: study["arms"][0].update(num_agents=0),
        lambda study: study["arms"][0].update(time_limit=0),
        lambda study: study["arms"][0].update(environment="SimpleGird-v0"),
        lambda study: study["arms"][0].update(CART_POLE),
        lambda study: study["arms"][0].update(env_kwargs={"sise": 3}),
        lambda study: study["arms"][0]["algorithm"].update(alpha=7),
        lambda study: study["arms"][0]["algorithm"].update(alhpa=0.5),
        lambda study: study["arms"][0]["algorithm"].pop("class"),
        lambda study: study["arms"][0]["algorithm"].update({"class": 3}),
        lambda study: study["arms"][0]["algorithm"].update({"class": "always"}),
    ],
)
def test_settings_that_cannot_be_used_are_refused(copy, change):
    rewrite(copy, change)
    with pytest.raises(ResultsError, match=_UNUSABLE):
        commenv.load_policy(copy, "dql")


def test_an_allowed_class_must_be_an_algorithm(copy):
    reference = "commenv.learning.schemes:Always"
    rewrite(
        copy, lambda study: study["arms"][0]["algorithm"].update({"class": reference})
    )
    with pytest.raises(ResultsError, match="is not an Algorithm"):
        commenv.load_policy(copy, allow=[reference])


@dataclass(frozen=True)
class Odd(DQL):
    """A learner that remembers text, which no file of numbers keeps."""

    name: ClassVar[str] = "odd"

    def learner(self, problem):
        learner = super().learner(problem)
        learner.memory["words"] = np.array(["a"] * problem.shape[0])
        return learner


def test_memory_that_cannot_be_kept_is_refused_before_anything_is_run(tmp_path):
    assert issubclass(Odd, Algorithm)
    with pytest.raises(ValueError, match=r"'odd' remembers 'words' of dtype <U1"):
        study(tmp_path / "new", algorithm=Odd())
    assert not (tmp_path / "new").exists()


def test_numbers_of_every_kind_come_back(tmp_path):
    memory = {
        str(np.dtype(kind)): np.arange(6).reshape(3, 2).astype(kind)
        for kind in ("?", "i1", "u2", "<i8", ">f8", "f2", "f4")
    }
    memory["turned"] = np.arange(6.0).reshape(2, 3).T
    check_memory(memory, "mine")
    found = unpacked(packed(memory))
    assert found.keys() == memory.keys()
    for name, values in memory.items():
        np.testing.assert_array_equal(found[name], values)


def test_a_learner_that_does_not_say_its_policy_cannot_act_again(copy, monkeypatch):
    from commenv_baselines.dql import QLearner

    for name in ("policy", "policy_of"):
        monkeypatch.setattr(QLearner, name, getattr(Learner, name))
    with pytest.raises(ResultsError, match=r"'dql' cannot act again: QLearner has no"):
        commenv.load_policy(copy)


def test_without_the_extra_it_is_named(grids, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r'pip install .*\[study\]"`'):
        commenv.load_policy(grids)
