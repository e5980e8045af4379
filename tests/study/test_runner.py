from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from commenv_baselines.dql import DQL

import commenv
from commenv import BernoulliLoss, Budget, Channel
from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BitErrors,
    Chain,
    Delay,
    Delta,
    Float16,
    GilbertElliottLoss,
    RateCap,
)
from commenv.errors import BudgetExceededError, MissingExtraError, ResultsError
from commenv.learning import Always, Scheme
from commenv.study.execution.block import run_block

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

CHANNELS = {
    "perfect": {},
    "lossy": {
        "uplink": Channel(link=BernoulliLoss(0.3)),
        "downlink": Channel(link=BernoulliLoss(0.2)),
    },
    "team": {"uplink": Channel(budget=Budget(messages=2, scope="team"))},
    "truncate": {
        "uplink": Channel(
            budget=Budget(bytes=1500, exceed="truncate"), link=BernoulliLoss(0.2)
        )
    },
    "queue": {
        "uplink": Channel(budget=Budget(messages=1, scope="team", exceed="queue"))
    },
    "penalize": {
        "uplink": Channel(
            budget=Budget(bytes=3000, scope="team", exceed="penalize"), headers=True
        ),
        "downlink": Channel(medium="broadcast", link=BernoulliLoss(0.2)),
    },
    "late": {
        "uplink": Channel(
            link=Chain(GilbertElliottLoss(0.2, 0.4), Delay(0, spread=2, expiry=1))
        ),
        "downlink": Channel(link=RateCap(300, burst=500, max_wait=3)),
    },
    "coded": {
        "uplink": Channel(
            codec=Float16(), link=Chain(BitErrors(1e-3), AdditiveNoise(0.01))
        ),
        "downlink": Channel(codec=Delta(QSGD(), key_every=3), link=BernoulliLoss(0.1)),
    },
    "lifetime": {
        "uplink": Channel(budget=Budget(messages=6, per="lifetime")),
        "downlink": Channel(budget=Budget(messages=9, per="lifetime")),
    },
}

FOUR_SCHEMES = ["always", "never", "random", "periodic"]


def study(environment="WindyGrid-v0", algorithm=None, **changes):
    settings = {
        "num_agents": 3,
        "num_trials": 10,
        "num_episodes": 10,
        "settings": {"env.size": 4} if environment == "WindyGrid-v0" else None,
        "progress": False,
    }
    return commenv.run(environment, algorithm or DQL(alpha=0.9), **settings | changes)


def same_bits(one, other):
    one, other = one.reset_index(drop=True), other.reset_index(drop=True)
    assert list(one.columns) == list(other.columns)
    assert len(one) == len(other)
    for name in one.columns:
        assert one[name].dtype == other[name].dtype
        if one[name].dtype == np.float64:
            bits = [frame[name].to_numpy().view(np.int64) for frame in (one, other)]
            assert (bits[0] == bits[1]).all(), name
        else:
            assert one[name].equals(other[name]), name


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ({"num_trials": 10}, [5, 5]),
        ({"num_trials": 3, "workers": 2}, [1, 1, 1]),
        ({"num_trials": 3, "workers": 2, "schemes": FOUR_SCHEMES}, [3, 3, 3, 3]),
        ({"num_trials": 102}, [34, 34, 34]),
    ],
)
def test_unless_told_every_worker_has_two_blocks(sizes, blocks, tmp_path):
    how = {"num_agents": 1, "num_episodes": 1, "progress": False, "out": tmp_path}
    commenv.run("SimpleGrid-v0", "dql", **sizes, **how)
    files = sorted(tmp_path.glob("blocks/*/*.parquet"))
    assert [len(pd.read_parquet(file)) for file in files] == blocks


@pytest.mark.parametrize(("num_trials", "expected"), [(10, [10]), (102, [51, 51])])
def test_a_worker_alone_has_larger_blocks_where_nothing_is_kept(
    num_trials, expected, monkeypatch
):
    blocks = []

    def note(study, arm, trials, **how):
        blocks.append(len(trials))
        return run_block(study, arm, trials, **how)

    monkeypatch.setattr(sys.modules["commenv.study.execution.jobs"], "run_block", note)
    how = {"num_agents": 1, "num_episodes": 1, "progress": False}
    commenv.run("SimpleGrid-v0", "dql", num_trials=num_trials, **how)
    assert blocks == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_no_number_depends_on_blocks_workers_or_the_folder(name, tmp_path):
    channels = CHANNELS[name]
    expected = study(**channels, block=10, out=tmp_path / "10").frame
    assert expected["episode_length"].nunique() > 10
    for how in (
        {"block": 1},
        {"block": 3},
        {"block": 3, "workers": 2, "out": tmp_path / "workers"},
    ):
        same_bits(study(**channels, **how).frame, expected)
    alone = study(**channels, num_trials=1).frame
    same_bits(alone, expected[expected["trial"] == 0])


@pytest.mark.parametrize("environment", ["FrozenLake8x8-v1", "Taxi-v4"])
def test_nor_in_gymnasiums_environments(environment):
    sizes = {"num_trials": 4, "num_episodes": 4}
    expected = study(environment, **sizes).frame
    for block in (1, 3):
        same_bits(study(environment, **sizes, block=block).frame, expected)


def test_a_stop_does_not_depend_on_blocks_either(tmp_path):
    stop = {"env_steps": 1000, "uplink_bytes": 25_000}
    expected = study(stop=stop, evaluate_every=4).frame
    assert expected.groupby("trial").size().nunique() > 1
    for how in ({"block": 1}, {"block": 4}, {"block": 3, "workers": 2}):
        again = study(stop=stop, evaluate_every=4, out=tmp_path / str(how), **how)
        same_bits(again.frame, expected)
    last = expected.groupby("trial").tail(1)
    assert last["evaluation"].notna().all()


def test_other_seeds_give_other_numbers_and_equal_ones_the_same():
    one, other = study(num_trials=1), study(num_trials=1, seed=1)
    assert not one.frame["reward"].equals(other.frame["reward"])
    same_bits(one.frame, study(num_trials=1).frame)
    np.random.seed(5)  # noqa: NPY002 - the global generator has no say
    same_bits(one.frame, study(num_trials=1).frame)


def test_compared_algorithms_meet_the_same_worlds():
    frame = study(algorithm=[DQL(alpha=0.9), DQL(alpha=0.9, exploration=1.0)]).frame
    alone = study(algorithm=DQL(alpha=0.9, exploration=1.0)).frame
    both = frame[frame["label"] == "dql (alpha=0.9, exploration=1.0)"]
    same_bits(both.drop(columns="label"), alone.drop(columns="label"))


def test_a_second_run_does_nothing_and_returns_the_same(tmp_path, monkeypatch):
    first = study(out=tmp_path, block=4)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}

    def refuse(*args, **kwargs):
        raise AssertionError("nothing was missing")

    monkeypatch.setattr(
        sys.modules["commenv.study.execution.jobs"], "run_block", refuse
    )
    for how in ({}, {"block": 1}, {"workers": 2}, {"block": 100, "workers": 3}):
        again = study(out=tmp_path, **how)
        same_bits(again.frame, first.frame)
        assert again.optimum == first.optimum
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")} == before


def test_only_what_is_missing_is_run(tmp_path, monkeypatch):
    first = study(out=tmp_path, block=2)
    blocks = tmp_path / "blocks" / "00-dql"
    for missing in ("00002-00003", "00004-00005", "00008-00009"):
        (blocks / f"trials-{missing}.parquet").unlink()
    ran = []

    def note(study, arm, trials, **how):
        ran.append(trials)
        return run_block(study, arm, trials, **how)

    monkeypatch.setattr(sys.modules["commenv.study.execution.jobs"], "run_block", note)
    same_bits(study(out=tmp_path, block=3).frame, first.frame)
    assert ran == [[2, 3, 4], [5], [8, 9]]


def test_other_settings_are_refused_and_nothing_is_run(tmp_path):
    first = study(out=tmp_path, num_trials=2)
    for changes, words in (
        ({"num_trials": 3, "seed": 1}, "num_trials: 2 there, 3 .*seed: 0 there, 1"),
        ({"num_trials": 1}, "a study of 2 trials; .* give as many or more"),
        ({"num_episodes": 21, "gamma": 0.5}, "gamma: 0.9.*num_episodes: 10"),
        ({"algorithm": DQL(alpha=0.5)}, r"arms\[0\].algorithm.alpha: 0.9 there, 0.5"),
        ({"settings": {"env.size": 5}}, r"arms\[0\].env_kwargs.size: 4 there, 5"),
        ({"max_episode_steps": 50}, r"arms\[0\].time_limit: 200 there, 50"),
    ):
        with pytest.raises(ResultsError, match=words):
            study(out=tmp_path, **{"num_trials": 2} | changes)
    same_bits(study(out=tmp_path, num_trials=2).frame, first.frame)


def test_workers_share_the_trials_unless_told_otherwise(tmp_path):
    study(out=tmp_path / "a", workers=3, num_episodes=1)
    study(out=tmp_path / "b", num_episodes=1)
    names = [
        sorted(path.stem for path in (tmp_path / one).glob("blocks/*/*"))
        for one in ("a", "b")
    ]
    assert names == [
        [f"trials-{2 * i:05d}-{2 * i + 1:05d}" for i in range(5)],
        ["trials-00000-00004", "trials-00005-00009"],
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 0}, "workers is 0; at least 1"),
        ({"block": 0}, "block is 0; at least 1"),
        ({"block": -1}, "block is -1"),
        ({"workers": "2"}, "workers must be an integer, got '2'"),
        ({"gamma": "0.9"}, "gamma '0.9' is outside"),
        ({"stop": {"uplink_bytes": "a"}}, "uplink_bytes='a'; give a finite number"),
        ({"num_agents": 0}, "num_agents is 0"),
        ({"gamma": 2}, "gamma 2 is outside"),
        ({"environment": "CartPole-v1"}, "needs discrete spaces"),
        ({"environment": "WindyGird-v0"}, "unknown environment"),
        ({"stop": {"bytes": 3}}, "unknown stop quantity"),
    ],
)
def test_a_refused_study_leaves_nothing_behind(changes, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        study(out=tmp_path / "new", **changes)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("module", ["pandas", "pyarrow", "safetensors"])
def test_without_the_extra_it_is_named_and_nothing_is_written(
    module, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r'pip install .*\[study\]"`'):
        study(out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@dataclass(frozen=True)
class Every(Always):
    """A scheme of one's own: agents send in every n-th round."""

    name: ClassVar[str] = "every"
    n: int

    def select(self, signals, state, draws, left):
        return np.full(left.messages.shape, draws.episode % self.n == 0), state


@pytest.mark.parametrize("workers", [1, 2])
def test_a_scheme_of_ones_own_runs_by_its_name(workers):
    assert issubclass(Every, Scheme)
    frame = commenv.run(
        "SimpleGrid-v0",
        "commenv_baselines.dql:DQL",
        f"{__name__}:Every",
        settings={"n": 3},
        num_agents=2,
        num_trials=2,
        num_episodes=7,
        workers=workers,
        progress=False,
    ).frame
    assert list(frame["label"].unique()) == ["dql + every"]
    assert (frame["frequency"] == [1, 0, 0, 1, 0, 0, 1] * 2).all()
    assert ((frame["size"] > 0) == (frame["frequency"] > 0)).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_budget_that_raises_keeps_the_blocks_before_it(workers, tmp_path):
    uplink = Channel(budget=Budget(messages=5, per="lifetime", exceed="raise"))
    with pytest.raises(BudgetExceededError, match="exceeds the budget of 5 messages"):
        study(uplink=uplink, workers=workers, block=1, out=tmp_path)
    with pytest.raises(ResultsError, match="no finished block yet"):
        commenv.load(tmp_path)


SCRIPT = """
import sys
import commenv
from commenv_baselines.dql import DQL
if __name__ == "__main__":
    commenv.run("WindyGrid-v0", DQL(alpha=0.9), settings={"env.size": 4}, num_agents=3,
        num_trials=20, num_episodes=30, block=1, out=sys.argv[1],
        workers=int(sys.argv[2]), trace=True, progress=False)
"""


def processes_of(session):
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = entry.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it has just ended
        if int(its_session) == session and state != "Z":
            found.append(entry.parent.name)
    return found


def wait_until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_five_times_and_continued_it_ends_like_an_unkilled_one(
    workers, tmp_path
):
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(SCRIPT)
    killed_at = []

    def blocks():
        return len(list(out.glob("blocks/*/trials-*.parquet")))

    def start():
        return subprocess.Popen(
            [sys.executable, str(script), str(out), str(workers)],
            start_new_session=True,
        )

    for number in range(5):
        process = start()
        before = killed_at[-1] if killed_at else -1
        wait_until(
            lambda before=before: (out / "manifest.json").exists() and blocks() > before
        )
        time.sleep(0.013 * number)  # not always right after a block
        assert process.poll() is None, "it ended before it could be killed"
        process.kill()
        assert process.wait() == -signal.SIGKILL
        wait_until(lambda process=process: not processes_of(process.pid), 10)
        killed_at.append(blocks())
        if killed_at[-1]:
            part = commenv.load(out).frame
            assert (part.groupby("trial").size() == 30).all()
    assert len(set(killed_at)) == 5
    assert killed_at[-1] < 20
    process = start()
    assert process.wait() == 0
    wait_until(lambda: not processes_of(process.pid), 10)

    expected = study(num_trials=20, num_episodes=30)
    found = commenv.load(out)
    same_bits(found.frame, expected.frame)
    assert found.optimum == expected.optimum
    both = (one.cost("lora", per_trial=True) for one in (found, expected))
    pd.testing.assert_frame_equal(*both, check_exact=True)
    for block in out.glob("blocks/*/*"):
        policies = out / "policies" / block.parent.name / f"{block.stem}.safetensors"
        assert policies.exists()
    assert len(list(out.glob("policies/*/*"))) == len(list(out.glob("blocks/*/*")))
    leftovers = [path for path in out.rglob("*") if path.name.startswith(".")]
    assert not leftovers
    steps = [pd.read_parquet(path) for path in out.glob("trace/*/*/steps-*.parquet")]
    total = (expected.frame["episode_length"] * 3).sum().round()
    assert sum(map(len, steps)) == total
