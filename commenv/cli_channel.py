"""The options of the command line that describe channels."""

from __future__ import annotations

import argparse
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
from commenv.cli_values import made, settings_of
from commenv.errors import UnknownNameError
from commenv.importing import imported

__all__ = ["add_channel_options", "channel_of"]

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
    "loss": (BernoulliLoss, "0.1: lose every message with this probability"),
    "burst": (GilbertElliottLoss, "to_bad=0.05,to_good=0.3: lose messages in bursts"),
    "rate": (RateCap, "bytes_per_tick=100,burst=200: cap the rate, by waiting"),
    "delay": (Delay, "2, or ticks=1,spread=3,expiry=4: arrive rounds later"),
    "noise": (AdditiveNoise, "0.01: add noise of this deviation to real numbers"),
    "bit-errors": (BitErrors, "1e-4: flip every bit with this probability"),
}


def add_channel_options(run: argparse.ArgumentParser) -> None:
    """Adds the options of both directions; those of the uplink have no prefix."""
    for direction, prefix in (("uplink", ""), ("downlink", "downlink-")):
        group = run.add_argument_group(f"the {direction}")
        for name, metavar, text in _options(direction):
            flag = f"{direction}-budget" if name == "budget" else prefix + name
            group.add_argument(
                f"--{flag}",
                dest=f"{direction}_{name.replace('-', '_')}",
                action="append",
                default=[],
                metavar=metavar,
                help=text,
            )
        if direction == "uplink":
            group.add_argument(
                "--acknowledgements",
                action="store_true",
                help="confirm every message that arrives, at 16 bytes each",
            )


def channel_of(options: argparse.Namespace, direction: str) -> Channel:
    """The channel of one direction, as the options describe it.

    Raises:
        ValueError: An unknown name, or a value that is not allowed.
    """
    texts = {
        name: _only(getattr(options, f"{direction}_{name.replace('-', '_')}"), name)
        for name, _, _ in _options(direction)
    }
    links = [
        made(cls, texts[name], f"--{name}")
        for name, (cls, _) in LINKS.items()
        if texts[name]
    ]
    return Channel(
        codec=_codec(texts["codec"]),
        budget=Budget.parse(texts["budget"]),
        link=Chain(*links) if len(links) > 1 else [*links, PerfectLink()][0],
        acknowledgements=direction == "uplink" and options.acknowledgements,
    )


def _options(direction: str) -> list[tuple[str, str, str]]:
    """Name, metavar and help of each option."""
    known = ", ".join(CODECS)
    return [
        (
            "budget",
            "BUDGET",
            "for example messages=1,bytes=1000,per=episode,scope=team,exceed=refuse",
        ),
        (
            "codec",
            "CODEC",
            f"{known} or module:Class, with settings: top_k,k=5; feedback+top_k keeps "
            "what it left out, delta+sparse sends differences",
        ),
        *((name, "VALUE", text) for name, (_, text) in LINKS.items()),
    ]


def _only(given: list[str], name: str) -> str:
    if len(given) > 1:
        raise ValueError(
            f"{name} {', '.join(map(repr, given))} are given together; give one, with "
            "its settings joined by commas"
        )
    return "".join(given)


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
            f"codec {name!r} is no class derived from commenv.channel.Codec"
        )
    if not is_dataclass(found):
        raise ValueError(f"codec {name!r} is no dataclass; results keep its fields")
    return found
