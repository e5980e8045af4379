"""Agents in Ray actors, with one Ray that all of these tests share."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import time
from pathlib import Path
from typing import ClassVar

import pytest
from commenv_baselines.dql import DQL, QAgents

import commenv
from commenv.channel import Chain, Channel
from commenv.channel.codecs import Delta
from commenv.channel.links import BernoulliLoss, Delay
from commenv.errors import ShardsLostError
from tests.study.execution.backends.rays import around_ray
from tests.study.test_callbacks import Log

ray = pytest.importorskip("ray")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("safetensors")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="kills processes"),
]

AGENTS, TRIALS, EPISODES = 4, 2, 12
UPLINK = Chain(BernoulliLoss(0.2), Delay(1, spread=2))
CHANNELS = {
    "uplink": Channel(link=UPLINK, acknowledgements=True),
    "downlink": Channel(codec=Delta(key_every=3), link=BernoulliLoss(0.2)),
}
DELTAS = {**CHANNELS, "uplink": dataclasses.replace(CHANNELS["uplink"], codec=Delta())}
GOALS = [{"goal": (3, column)} for column in range(AGENTS)]
ALGORITHMS = {
    "dql": (("dql", None), CHANNELS),
    "es": (("es", None), DELTAS),
    "espc": (("espc", ["top", "random"]), DELTAS),
    "own worlds": (("dql", None), CHANNELS | {"env_kwargs": GOALS}),
}


@pytest.fixture(autouse=True, scope="module")
def _ray():
    with around_ray():
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=100 * 2**20,
        )
        yield
        assert ray.is_initialized()  # they found it running
        ray.shutdown()


def run(what, channels=CHANNELS, actors=None, progress=False, **how):
    if actors is not None:
        how |= {"backend": "ray", "actors": actors}
    return commenv.run(
        "SimpleGrid-v0",
        *what,
        num_agents=AGENTS,
        num_trials=TRIALS,
        num_episodes=EPISODES,
        settings={"env.size": 4},
        max_episode_steps=20,
        block=2,
        progress=progress,
        **channels,
        **how,
    )


def kept(out):
    """What a study has kept, file by file."""
    paths = [path for path in out.rglob("*") if path.is_file()]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def wait_until(condition):
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_any_number_of_actors_gives_the_same_files_bit_for_bit(name, tmp_path):
    what, channels = ALGORITHMS[name]
    expected = run(what, channels, out=tmp_path / "local").frame
    files = kept(tmp_path / "local")
    kinds = {path.partition("/")[0] for path in files} - {"manifest.json"}
    assert kinds == {"blocks", "sizes", "policies", "checksums"}
    for actors in (1, 2, 4):
        out = tmp_path / str(actors)
        assert run(what, channels, actors, out=out).frame.equals(expected)
        found = kept(out)
        assert found.keys() == files.keys()
        assert not [path for path in found if found[path] != files[path]]


class HauntedAgents(QAgents):
    """Agents that write down their rounds, and to whom something happens."""

    def __init__(self, problem, settings):
        super().__init__(problem, settings)
        self._folder, self._what = Path(settings.folder), settings.what
        part = len(problem.draws.agents) < problem.team
        self._first = part and problem.draws.agents[0] == 0
        if part and self._what == "refuse":
            raise ValueError("these agents do not want to")

    def begin(self, episode):
        super().begin(episode)
        with (self._folder / f"rounds-{self._first}").open("a") as file:
            file.write(f"{episode}\n")
        if episode == 5 and self._first:
            getattr(self, f"_{self._what}")()

    def _nothing(self):
        pass

    def _die(self):
        """Twice."""
        (self._folder / f"died-{os.getpid()}").touch()
        if len(list(self._folder.glob("died-*"))) <= 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def _perish(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def _fail(self):
        raise LookupError("an agent is at a loss")

    def _wait(self):
        (self._folder / f"pid-{os.getpid()}").touch()
        wait_until((self._folder / "said").exists)


@dataclasses.dataclass(frozen=True)
class Haunted(DQL):
    name: ClassVar[str] = "haunted"
    folder: str = ""
    what: str = "nothing"

    def agents(self, problem):
        return HauntedAgents(problem, self)


def haunted(folder, what, **how):
    return run((Haunted(folder=str(folder), what=what),), **how)


def rounds(folder, first):
    return [int(one) for one in (folder / f"rounds-{first}").read_text().split()]


def warnings_of(caplog):
    return [one.getMessage() for one in caplog.records if one.name == "commenv"]


@pytest.mark.parametrize("out", [True, False])
def test_an_actor_killed_twice_costs_the_rounds_since_the_last_state_alone(
    out, tmp_path, caplog, capsys
):
    expected = haunted(tmp_path, "nothing").frame
    for path in tmp_path.glob("rounds-*"):
        path.unlink()
    how = {"out": tmp_path / "out"} if out else {}
    how |= {"checkpoint_episodes": 2, "progress": True}
    with caplog.at_level(logging.WARNING, "commenv"):
        found = haunted(tmp_path, "die", actors=2, **how)
    assert found.frame.equals(expected)
    assert len(list(tmp_path.glob("died-*"))) == 3
    lost = [*range(6), 4, 5, *range(4, EPISODES)]  # the last state is that of round 3
    assert rounds(tmp_path, True) == lost
    assert "100 % · 24 of 24 trial-episodes" in capsys.readouterr().err
    said = warnings_of(caplog)
    assert len(said) == 2
    for text in said:
        assert text.startswith("an actor was lost (")
        assert text.endswith("; block haunted:0-1 goes on from its last state")


def test_without_a_state_a_block_begins_again(tmp_path, caplog):
    expected = haunted(tmp_path, "nothing").frame
    (tmp_path / "rounds-False").unlink()
    with caplog.at_level(logging.WARNING, "commenv"):
        found = haunted(tmp_path, "die", actors=2, checkpoint_minutes=float("inf"))
    assert found.frame.equals(expected)
    assert rounds(tmp_path, True) == [*range(6), *range(6), *range(EPISODES)]
    assert [one.rpartition("; ")[2] for one in warnings_of(caplog)] == [
        "block haunted:0-1 begins again"
    ] * 2


def test_actors_that_are_lost_again_and_again_are_an_error_with_a_cure(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("commenv.study.execution.jobs._MOST_ATTEMPTS", 3)
    with pytest.raises(ShardsLostError, match=r"no further in 3 .* smaller blocks"):
        haunted(tmp_path, "perish", actors=2, checkpoint_episodes=2)
    # A state counts as coming further, so there is one attempt more.
    assert rounds(tmp_path, True) == [*range(6), 4, 5, 4, 5]


def test_what_an_agent_raises_is_raised_here_and_nothing_is_repeated(tmp_path, caplog):
    with pytest.raises(LookupError, match="an agent is at a loss"):
        haunted(tmp_path, "fail", actors=2, checkpoint_episodes=2)
    assert rounds(tmp_path, True) == [*range(6)]
    assert not warnings_of(caplog)


def test_what_the_making_of_agents_raises_is_raised_here_and_not_repeated(
    tmp_path, caplog
):
    with pytest.raises(ValueError, match="do not want to"):
        haunted(tmp_path, "refuse", actors=2)
    assert not list(tmp_path.glob("rounds-*"))
    assert not warnings_of(caplog)


class Touch(logging.Handler):
    """Makes a file when something is said."""

    def __init__(self, path):
        super().__init__()
        self._path = path

    def emit(self, record):
        self._path.touch()


def test_an_actor_that_is_late_is_named_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(
        "commenv.study.execution.backends.ray_actors._SECONDS_OF_PATIENCE", 0.5
    )
    handler = Touch(tmp_path / "said")
    logging.getLogger("commenv").addHandler(handler)
    try:
        with caplog.at_level(logging.WARNING, "commenv"):
            haunted(tmp_path, "wait", actors=2)
    finally:
        logging.getLogger("commenv").removeHandler(handler)
    (text,) = warnings_of(caplog)
    assert text.startswith("actor 0 of 2 works on its round for ")


def test_an_interrupt_here_ends_the_actors_and_leaves_a_ray_that_it_found(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "commenv.study.execution.backends.ray_actors._SECONDS_OF_PATIENCE", 0.5
    )

    class Interrupt(logging.Handler):
        def emit(self, record):
            os.kill(os.getpid(), signal.SIGINT)

    handler = Interrupt()
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    logging.getLogger("commenv").addHandler(handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            haunted(tmp_path, "wait", actors=2)
    finally:
        logging.getLogger("commenv").removeHandler(handler)
    (path,) = tmp_path.glob("pid-*")
    wait_until(lambda: not Path(f"/proc/{path.name[4:]}").exists())
    assert ray.is_initialized()
    after = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    assert after == handlers


def test_actors_that_do_not_start_are_said(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(
        "commenv.study.execution.backends.ray_actors._SECONDS_TO_START", -1.0
    )
    with caplog.at_level(logging.WARNING, "commenv"):
        haunted(tmp_path, "nothing", actors=2)
    (text,) = warnings_of(caplog)
    assert "of 2 actors are not up after" in text
    assert "`ray status`" in text


@pytest.mark.parametrize("what", ["nothing", "die"])
def test_callbacks_hear_of_rounds_and_stop_trials_though_an_actor_dies(what, tmp_path):
    log = Log(round={("haunted", 1, 3): commenv.StopTrial()})
    found = haunted(tmp_path, what, actors=2, callbacks=[log])
    assert found.pruned == {"haunted": [1]}
    whole = haunted(tmp_path, "nothing").frame
    assert found.frame.equals(
        whole[(whole["trial"] == 0) | (whole["episode"] < 4)].reset_index(drop=True)
    )
    told = [one[2:] for one in log.of("round")]
    assert told == [
        (trial, episode)
        for episode in range(EPISODES)
        for trial in range(2 if episode < 4 else 1)
    ]
    assert len(list(tmp_path.glob("died-*"))) == (3 if what == "die" else 0)


def test_what_a_callback_raises_keeps_the_state_of_all_actors(tmp_path):
    log = Log(round={("haunted", 0, 6): LookupError("enough")})
    how = {"actors": 2, "out": tmp_path / "out"}
    how |= {"checkpoint_minutes": float("inf")}
    with pytest.raises(LookupError, match="enough"):
        haunted(tmp_path, "nothing", callbacks=[log], **how)
    (tmp_path / "rounds-True").unlink()
    found = haunted(tmp_path, "nothing", **how)
    assert rounds(tmp_path, True) == list(range(7, EPISODES))
    assert found.frame.equals(haunted(tmp_path, "nothing").frame)
