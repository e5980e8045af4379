"""The options of the command line that describe channels."""

from __future__ import annotations

import argparse
import itertools
from dataclasses import fields, is_dataclass
from typing import Any

from commenv.channel import (
    QSGD,
    AdditiveNoise,
    BernoulliLoss,
    BitErrors,
    Budget,
    Chain,
    Channel,
    Codec,
    Delay,
    Delta,
    ErrorFeedback,
    Float16,
    GilbertElliottLoss,
    Identity,
    Int8,
    Link,
    PerfectLink,
    RandomK,
    RateCap,
    ScaledSign,
    Sparse,
    TopK,
    Uniform,
)
from commenv.cli.names import check_apart, split_name
from commenv.cli.values import made, settings_of
from commenv.errors import UnknownNameError
from commenv.importing import imported

__all__ = ["add_channel_options", "channels_of"]

CODECS: dict[str, type[Codec]] = {
    cls.name: cls
    for cls in (
        Identity,
        Float16,
        Int8,
        Uniform,
        QSGD,
        ScaledSign,
        TopK,
        RandomK,
        Sparse,
    )
}
# Their first field is the codec that they are around.
AROUND = {"feedback": ErrorFeedback, "delta": Delta}
# In the order in which a message meets them.
LINKS: dict[str, tuple[type[Link], str]] = {
    "loss": (
        BernoulliLoss,
        "lose every message with this probability: 0.1 or 10%% (default 0)",
    ),
    "burst": (
        GilbertElliottLoss,
        "lose messages in bursts, by the probabilities that a link turns bad or good "
        "in a round: to_bad=0.05,to_good=0.3 (default: never)",
    ),
    "rate": (
        RateCap,
        "bytes a round, headers included; what is more waits: 100, or "
        "bytes_per_tick=100,burst=200,max_wait=5 (default: no cap)",
    ),
    "delay": (
        Delay,
        "rounds that a message takes: 2, or ticks=1,spread=3,expiry=4 (default 0)",
    ),
    "noise": (
        AdditiveNoise,
        "standard deviation of the noise that real numbers get, in their own unit: "
        "0.01 (default 0)",
    ),
    "bit-errors": (
        BitErrors,
        "flip every bit of a payload with this probability: 1e-4 (default 0)",
    ),
}


def add_channel_options(run: argparse.ArgumentParser) -> None:
    """Adds the options of both directions; those of the uplink have no prefix."""
    for direction in ("uplink", "downlink"):
        ends = ("agents", "learner")
        sender, receiver = ends if direction == "uplink" else ends[::-1]
        group = run.add_argument_group(f"the {direction}, from {sender} to {receiver}")
        for name, metavar, text in _options():
            group.add_argument(
                _flag(direction, name),
                dest=_dest(direction, name),
                action="append",
                metavar=metavar,
                help=f"{text}; repeat for a product",
            )
        group.add_argument(
            _flag(direction, "headers"),
            dest=_dest(direction, "headers"),
            action="store_true",
            help="count each message's header, 16 bytes, in budgets of bytes and in "
            "the columns of bytes, too (default: payload alone)",
        )
        if direction == "uplink":
            group.add_argument(
                "--acknowledgements",
                action="store_true",
                help="confirm every message that arrives, at 16 bytes each (default: "
                "senders learn nothing of losses)",
            )
        else:
            group.add_argument(
                "--downlink-medium",
                choices=("unicast", "broadcast"),
                default="unicast",
                help="charge a broadcast once for each agent (unicast), or once in "
                "all, to be heard by all agents or none (broadcast) (default unicast)",
            )


def channels_of(
    options: argparse.Namespace, direction: str
) -> list[Channel] | dict[str, Channel]:
    """The channels of one direction: the product of what its options say.

    Returns:
        A list or, where any value has a name, the channels by their names; options
        whose values have none are called there as they were given.

    Raises:
        ValueError: An unknown name, a value that is not allowed, or two of one name.
    """
    names = [name for name, _, _ in _options()]
    texts = [getattr(options, _dest(direction, name)) or [""] for name in names]
    pairs = [[split_name(text) for text in given] for given in texts]
    for name, given in zip(names, pairs, strict=True):
        check_apart([word for word, _ in given if word], _flag(direction, name))
    chosen = list(itertools.product(*pairs))
    channels = [
        _channel_of(
            options,
            direction,
            {name: value for name, (_, value) in zip(names, one, strict=True)},
        )
        for one in chosen
    ]
    if not any(word for given in pairs for word, _ in given):
        return channels
    repeated = [len(given) > 1 for given in pairs]
    words = [
        " ".join(
            word or value
            for (word, value), several in zip(one, repeated, strict=True)
            if word or several
        )
        for one in chosen
    ]
    check_apart(words, f"the {direction}")
    return dict(zip(words, channels, strict=True))


def _channel_of(
    options: argparse.Namespace, direction: str, given: dict[str, str]
) -> Channel:
    """One of them.

    Args:
        options: Those that are not repeated.
        direction: Its direction.
        given: What the others say, by name.
    """
    links = [
        made(cls, given[name], _flag(direction, name))
        for name, (cls, _) in LINKS.items()
        if given[name]
    ]
    uplink = direction == "uplink"
    return Channel(
        codec=_codec(given["codec"]),
        budget=Budget.parse(given["budget"]),
        link=Chain(*links) if len(links) > 1 else [*links, PerfectLink()][0],
        headers=getattr(options, _dest(direction, "headers")),
        acknowledgements=uplink and options.acknowledgements,
        medium="unicast" if uplink else options.downlink_medium,
    )


def _flag(direction: str, name: str) -> str:
    """What an option is called: the uplink's are short, but for its budget."""
    short = direction == "uplink" and name != "budget"
    return f"--{name}" if short else f"--{direction}-{name}"


def _dest(direction: str, name: str) -> str:
    return f"{direction}_{name.replace('-', '_')}"


def _options() -> list[tuple[str, str, str]]:
    """Name, metavar and help of each option that takes settings."""
    known = ", ".join(CODECS)
    return [
        (
            "budget",
            "BUDGET",
            "the most messages, payload bytes or both in a window: messages=1, or "
            "bytes=1000,per=episode,scope=team,exceed=truncate; commenv list budget "
            "explains the settings (default: no limit)",
        ),
        (
            "codec",
            "CODEC",
            f"{known} or module:Class, with settings: top_k,k=5; feedback+top_k keeps "
            "what it left out, delta+sparse sends differences (default identity)",
        ),
        *((name, "SETTINGS", text) for name, (_, text) in LINKS.items()),
    ]


def _codec(text: str) -> Codec:
    if not text:
        return Identity()
    name, *settings = text.split(",")
    around, plus, inner = name.rpartition("+")
    if plus and around not in AROUND:
        raise UnknownNameError("codec around another", around, AROUND)
    wrapper: Any = AROUND.get(around)
    outer = [field.name for field in fields(wrapper)[1:]] if wrapper else []
    mine = [part for part in settings if part.rpartition("=")[0] in outer]
    rest = [part for part in settings if part not in mine]
    codec: Codec = made(_codec_class(inner), ",".join(rest), f"codec {inner}")
    if wrapper is None:
        return codec
    given = settings_of(wrapper, ",".join(mine), f"codec {around}")
    wrapped: Codec = wrapper(codec, **given)
    return wrapped


def _codec_class(name: str) -> type[Codec]:
    if ":" not in name:
        if name not in CODECS:
            raise UnknownNameError("codec", name, CODECS, "or name module:Class")
        return CODECS[name]
    found: Any = imported(name, "codec")
    if not isinstance(found, type) or not issubclass(found, Codec):
        raise ValueError(
            f"codec {name!r} is not a class derived from commenv.channel.Codec"
        )
    if not is_dataclass(found):
        raise ValueError(f"codec {name!r} is not a dataclass; results keep its fields")
    return found
