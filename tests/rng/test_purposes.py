"""Nobody can foresee what others draw, whatever it calls its purposes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar, get_args

import numpy as np
import pytest
from gymnasium import spaces

import commenv
from commenv.channel import (
    QSGD,
    BernoulliLoss,
    BitErrors,
    Budget,
    Chain,
    Channel,
    Delay,
    LinkDraws,
    RandomK,
)
from commenv.learning import Scheme, SchemeDraws
from commenv.rng import Draws, Owner, full_purpose
from commenv.testing import check_scheme

OWNERS = get_args(Owner)
TEAM = Budget(messages=50, per="episode", scope="team")
LOSSY = Chain(BernoulliLoss(0.2), Delay(0, spread=2), BitErrors(1e-6))
# What takes Stable-Baselines3, or a window to look at.
ELSEWHERE = {
    ("algorithm", "local model"),
    ("algorithm", "initial network"),
    ("picture", "picture"),
}


def play_everything() -> None:
    """Lets every kind of user draw: studies, and agents that talk while they act."""
    channels = {
        "uplink": Channel(RandomK(2), TEAM, LOSSY),
        "downlink": Channel(QSGD(), TEAM, LOSSY),
    }
    for algorithm, scheme in (("dql", "bernoulli"), ("es", "random")):
        chosen = channels if algorithm == "dql" else {"uplink": Channel(link=LOSSY)}
        commenv.run(
            "CartPole-v1" if algorithm == "es" else "WindyGrid-v0",
            algorithm,
            scheme,
            num_agents=2,
            num_trials=1,
            num_episodes=2,
            settings={"initial": "random"} if algorithm == "es" else {},
            evaluation_episodes=1,
            progress=False,
            **chosen,
        )
    mdp_free = commenv.CommunicationBudget(
        commenv.parallel_env("CartPole-v1", 2),
        message_space=spaces.Box(-1, 1, (3,), np.float32),
        budget=TEAM,
        link=LOSSY,
        codec=RandomK(1),
    )
    mdp_free.reset(seed=0)
    said = {"action": 0, "message": np.ones(3, np.float32), "to": 1}
    mdp_free.step(dict.fromkeys(mdp_free.agents, said))


@pytest.fixture(scope="module")
def in_use() -> set[tuple[str, str]]:
    """Every purpose that anybody draws for, with its owner."""
    found = set(ELSEWHERE)
    keys = Draws.keys

    def recorded(self, purpose):
        found.add((self.owner, purpose))
        return keys(self, purpose)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Draws, "keys", recorded)
        play_everything()
    return found


def names(in_use) -> set[str]:
    """All that somebody might call a purpose, to see what others draw."""
    full = {full_purpose(*one) for one in in_use}
    short = {purpose for _, purpose in in_use}
    joined = {f"{owner} {purpose}" for owner, purpose in product(OWNERS, short)}
    return full | short | joined | set(OWNERS) | {"", " "}


def numbers(owner, purpose) -> tuple[float, ...]:
    return tuple(Draws(1, [0], 1, owner=owner).uniforms(purpose, 0, 4).ravel())


def test_every_kind_of_user_was_seen_to_draw(in_use):
    expected = {
        ("algorithm", "policy"),
        ("algorithm", "noise"),
        ("algorithm", "initial parameters"),
        ("environment", "environment"),
        ("evaluation", "environment"),
        ("scheme", "scheme"),
        *product(("uplink", "downlink", "mesh"), ("codec", "turn", "link 0")),
        *product(("uplink", "downlink", "mesh"), ("link 1", "link 2 contents")),
    }
    assert expected <= in_use


def test_no_owner_draws_what_another_one_does(in_use):
    seen = {}
    for owner, purpose in product(OWNERS, names(in_use)):
        drawn = numbers(owner, purpose)
        assert seen.setdefault(drawn, owner) == owner, f"{owner} as {purpose!r}"


def test_an_owners_purposes_differ(in_use):
    for owner in OWNERS:
        every = names(in_use)
        assert len({numbers(owner, purpose) for purpose in every}) == len(every)


def test_a_scheme_sees_none_of_the_others_numbers(in_use):
    others = {numbers(*one) for one in in_use if one[0] != "scheme"}
    for owner in OWNERS:  # whoever's draws it is given
        draws = SchemeDraws(Draws(1, [0], 1, owner=owner), 0, 1)
        for name in names(in_use):
            assert tuple(draws.uniforms(4, name).ravel()) not in others


def test_a_link_and_a_codec_see_none_of_the_others_numbers(in_use):
    link, first = np.zeros(1, dtype=np.intp), np.zeros(1, np.uint32)
    for owner in ("uplink", "downlink", "mesh"):
        others = {numbers(*one) for one in in_use if one[0] != owner}
        draws = LinkDraws(Draws(1, [0], 1, owner=owner), "link")
        for name in names(in_use):
            part = draws.part(name)
            drawn = tuple(part.uniforms(link)[0] for _ in range(4))
            inside = part.of(link, first).uniforms(np.ones(1, int), 4)
            assert drawn not in others
            assert tuple(inside.ravel()) not in others


@pytest.mark.parametrize(
    ("owner", "purpose", "full"),
    [
        ("algorithm", "policy", "policy"),
        ("algorithm", "uplink link", "algorithm uplink link"),
        ("algorithm", "scheme", "algorithm scheme"),
        ("algorithm", "schemes", "schemes"),
        ("scheme", "scheme", "scheme"),
        ("scheme", "", "scheme "),
        ("scheme", "uplink link", "scheme uplink link"),
        ("uplink", "link 0", "uplink link 0"),
        ("environment", "environment", "environment"),
        ("evaluation", "environment", "evaluation environment"),
        ("evaluation", "policy", "evaluation policy"),
    ],
)
def test_addresses_are_those_that_published_numbers_were_drawn_with(
    owner, purpose, full
):
    assert full_purpose(owner, purpose) == full


def test_what_could_look_like_another_purpose_is_refused():
    with pytest.raises(ValueError, match="NUL"):
        Draws(0, [0], 1).uniforms("scheme\0", 0, 1)
    with pytest.raises(ValueError, match="owner 'me' is none of algorithm"):
        Draws(0, [0], 1, owner="me")


@dataclass(frozen=True)
class Clairvoyant(Scheme):
    """Sends only what it thinks the link will not lose."""

    name: ClassVar[str] = "clairvoyant"
    purpose: str = "uplink link"

    def start(self, shape):
        return {"sent": np.zeros(shape, int)}

    def select(self, signals, state, draws, left):
        first = SchemeDraws(draws._draws, 0, 1).uniforms(100, self.purpose)
        number = np.take_along_axis(first, state["sent"][..., None], -1)[..., 0]
        mask = number >= 0.5
        return mask, {"sent": state["sent"] + mask}


@pytest.mark.parametrize("purpose", ["uplink link", "link", "uplink link 0"])
def test_a_scheme_cannot_foresee_what_a_link_loses(purpose):
    results = commenv.run(
        "SimpleGrid-v0",
        "dql",
        Clairvoyant(purpose),
        num_agents=5,
        num_trials=4,
        num_episodes=40,
        uplink=Channel(link=BernoulliLoss(0.5)),
        progress=False,
    ).frame
    assert 0.35 < results["lost"].sum() / results["messages"].sum() < 0.65


@dataclass(frozen=True)
class OtherSeed(Scheme):
    """Draws for itself, with the study's seed, past what it was given."""

    name: ClassVar[str] = "other_seed"

    def select(self, signals, state, draws, left):
        known = draws._draws
        drawn = Draws(known.seed, known.trials, known.agents, owner="uplink")
        return drawn.uniforms("link", draws.episode, 1)[..., 0] < 0.5, state


def test_a_scheme_that_draws_others_numbers_is_found():
    with pytest.raises(AssertionError, match="numbers that are not its own"):
        check_scheme(OtherSeed())
