import inspect
import json
from dataclasses import dataclass
from typing import ClassVar

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec

import commenv.channel
from commenv import Budget, Channel
from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Chain,
    Delay,
    Delta,
    ErrorFeedback,
    Float16,
    GilbertElliottLoss,
    Identity,
    Int8,
    PerfectLink,
    RandomK,
    Range,
    RateCap,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.channel.plain import channel_from, plain_channel
from commenv.wrappers import MessageChannel

CODECS = [
    Identity(),
    Float16(),
    Int8(),
    Uniform(bits=3),
    QSGD(levels=5),
    ScaledSign(),
    TopK(k=2),
    RandomK(k=2, unbiased=True),
    Sparse(),
    ErrorFeedback(TopK(k=2)),
    Delta(Float16(), key_every=7),
]
LINKS = [
    PerfectLink(),
    BernoulliLoss(0.1),
    GilbertElliottLoss(0.1, 0.5),
    Delay(ticks=1, spread=2, expiry=2),
    RateCap(10),
    AdditiveNoise(0.1),
    BitErrors(0.1),
    Range(3.0),
    Chain(BernoulliLoss(0.1), Chain(Delay(1), BitErrors(0.2))),
]


def test_every_codec_and_link_of_ours_is_among_the_cases():
    public = {getattr(commenv.channel, name) for name in commenv.channel.__all__}
    for base, cases in ((commenv.channel.Codec, CODECS), (commenv.channel.Link, LINKS)):
        ours = {
            one
            for one in public
            if isinstance(one, type) and issubclass(one, base)
            if not inspect.isabstract(one)
        }
        assert ours == {type(one) for one in cases}


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("link", LINKS, ids=lambda link: type(link).__name__)
def test_a_channel_comes_back_from_json(codec, link):
    channel = Channel(
        codec,
        Budget(bytes=3, per="step", exceed="penalize", price=0.5),
        link,
        headers=True,
    )
    text = json.dumps(plain_channel(channel))
    assert channel_from(json.loads(text)) == channel


def test_an_environment_comes_back_from_its_spec_in_json():
    channel = Channel(budget=Budget(bytes=64, per="step"), link=BernoulliLoss(0.1))
    env = MessageChannel(
        gym.make("SimpleGrid-v0", max_episode_steps=7),
        uplink=channel,
        downlink=Channel(codec=ErrorFeedback(TopK(k=2))),
        agent=3,
    )
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gym.make(spec)
        again.reset(seed=0)
        assert isinstance(again, MessageChannel)
        assert again.star.uplink.channel == channel
        assert again.star.downlink.channel == Channel(codec=ErrorFeedback(TopK(k=2)))
        assert again.spec.to_json() == env.spec.to_json()


@dataclass(frozen=True)
class Theirs(Identity):
    """A codec of somebody else."""

    name: ClassVar[str] = "theirs"
    level: int = 3


def test_a_codec_of_others_comes_back_where_it_has_been_imported():
    channel = Channel(codec=Theirs(level=5))
    assert channel_from(json.loads(json.dumps(plain_channel(channel)))) == channel


def test_what_has_no_plain_form_stays_what_it_is_and_json_refuses_it():
    class Odd(Identity):
        """A codec with a setting that JSON does not know."""

    @dataclass(frozen=True)
    class Kept(Identity):
        odd: object = Odd

    channel = Channel(codec=Kept())
    assert plain_channel(channel) is channel
    env = MessageChannel(gym.make("SimpleGrid-v0"), uplink=channel)
    assert gym.make(env.spec).env.spec is not None
    with pytest.raises(TypeError, match="JSON serializable"):
        env.spec.to_json()


@pytest.mark.parametrize(
    "reference",
    [
        "os:system",
        "subprocess:Popen",
        "no_such_module:Codec",
        "commenv:Budget.parse",
        3,
    ],
)
def test_other_classes_are_refused_and_nothing_is_imported(reference):
    plain = plain_channel(Channel())
    plain["codec"] = {"class": reference}
    with pytest.raises(ValueError, match="is not a class of a codec"):
        channel_from(plain)


@pytest.mark.parametrize(
    "change", [{"probability": "much"}, {"probability": 2}, {"probability": None}]
)
def test_settings_are_checked(change):
    plain = plain_channel(Channel(link=BernoulliLoss(0.1)))
    plain["link"] |= change
    with pytest.raises(ValueError, match=r"BernoulliLoss|probability"):
        channel_from(plain)
