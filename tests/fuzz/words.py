"""Targets for what is typed: values, settings, channels, links, and classes."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Callable

from commenv.channel import Budget
from commenv.cli.channel import LINKS, add_channel_options, channels_of
from commenv.cli.cost import link_of
from commenv.cli.values import made, value_of
from commenv.learning import make_algorithm, make_scheme
from commenv.learning.plugins import ALGORITHMS, SCHEMES, find, is_registered
from commenv.study.cost import LoRa, WiFi
from tests.fuzz.files import study_folder
from tests.fuzz.guard import EVIL
from tests.fuzz.mutation import changed
from tests.fuzz.target import MEBIBYTE, Excluded, Target

__all__ = ["TARGETS", "check_harmless", "text_of"]

_OURS = ("commenv", "commenv_baselines", "numpy", "json")


def text_of(data: bytes) -> str:
    """What the operating system would hand over for such an argument."""
    return data.replace(b"\0", b"").decode("utf-8", "surrogateescape")


def check_harmless(text: str) -> None:
    """Excludes the import of what would do more than define classes."""
    for word in text.replace("=", ",").replace("+", ",").split(","):
        module, colon, _ = word.rpartition(":")
        top = module.strip().partition(".")[0].partition(":")[0]
        if colon and top not in _OURS and top.isidentifier():
            raise Excluded("a module of somebody else, which the user asks to import")


def read_value(data: bytes) -> None:
    """A value of ``--set``, and settings of dataclasses by it."""
    text = text_of(data)
    _refusing(lambda: value_of(text))
    for cls in (*(cls for cls, _ in LINKS.values()), LoRa, WiFi):
        _refusing(lambda cls=cls: made(cls, text, "this"))
    _refusing(lambda: Budget.parse(text))


def _refusing(read: Callable[[], object]) -> None:
    with contextlib.suppress(ValueError):
        read()


def read_channel(data: bytes) -> None:
    """All options of both channels, one a line, and a link."""
    words = text_of(data).split("\n")
    check_harmless(",".join(words))
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    add_channel_options(parser)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            options, _ = parser.parse_known_args(words)
    except (argparse.ArgumentError, SystemExit) as error:
        raise Excluded("argparse refuses it") from error
    refused = []
    for direction in ("uplink", "downlink"):
        try:
            channels_of(options, direction)
        except ValueError as error:
            refused.append(error)
    if not any(words[0].startswith(one) for one in ("/", ".", "~")):
        _refusing(lambda: link_of(words[0]))
    if refused:
        raise refused[0]


def read_name(data: bytes) -> None:
    """A name of an algorithm or a scheme, or ``module:Class``, and settings."""
    reference, _, setting = text_of(data).partition("\n")
    check_harmless(reference + "," + setting)
    name, _, value = setting.partition("=")
    settings = {}
    with contextlib.suppress(ValueError):
        settings = {name: value_of(value)} if name else {}
    refused = []
    for group, make in ((ALGORITHMS, make_algorithm), (SCHEMES, make_scheme)):
        is_registered(reference, group)
        for read in (
            lambda group=group: find(reference, group),
            lambda make=make: make(reference, settings),
        ):
            try:
                read()
            except ValueError as error:
                refused.append(error)
    if len(refused) == 4:
        raise refused[0]


_VALUES = (
    *(b"1", b".5", b"-1e-3", b"True", b"None", b"[1, 2]", b'{"a": [1]}', b"(1,2)"),
    *(b"messages=1,per=episode,scope=team,exceed=queue,max_wait=3", b"0.1", b"1,2,3"),
    *(b"to_bad=0.05,to_good=0.3", b"bytes_per_tick=100,burst=200", b"word"),
    *(b"ticks=1,spread=3,expiry=4", b"spreading_factor=12,bandwidth=125000"),
)
_WORDS = (
    *(b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"[" * 3000, b'{"":' * 2000, b"nan"),
    *(b"=", b",", b"messages=", b"exceed=", b"per=", b"true", b"null", b"0x10", b"1_0"),
    *(b"-", b"\xed\xa0\x80", b"\xff", "½".encode(), "٣".encode(), b"\n", b"class="),
)
_CHANNELS = (
    b"lora,spreading_factor=12\n--uplink-budget\nbytes=100\n--codec\nfeedback+top_k,k=5",
    b"wifi\n--codec\ndelta+sparse,key_every=3\n--downlink-codec\nuniform,bits=3\n--loss\n.1",
    b"lte\n--codec=commenv.channel:QSGD,levels=3\n--delay\nticks=1,spread=3\n--noise=1",
    b"x.csv\n--rate=bytes_per_tick=10\n--bit-errors\n1e-4\n--burst\nto_bad=.1,to_good=1",
)
_NAMES = (
    *(b"dql\nalpha=0.5", b"ebcdql\nthreshold=1", b"es\nhidden_sizes=[8,8]", b"always"),
    *(
        b"commenv_baselines.dql:DQL\nepsilon=0.1",
        b"commenv.learning.schemes:Periodic\n",
    ),
    *(b"commenv.learning:Algorithm", b"commenv.learning:Scheme", b"json:JSONDecoder"),
    *(
        b"espc\nutility=commenv.learning:Always",
        b"davia\nfeatures=json:dumps",
        b"top\nm=2",
    ),
    *(b"numpy:ndarray", b"commenv:no", b"probabilistic\nutility=return_times_noise"),
)


def _changed_words(rng, known):  # type: ignore[no-untyped-def]
    return changed(rng, known, (*_WORDS, b"commenv", b":", b"+", b".", EVIL.encode()))


TARGETS = (
    Target("value", read_value, lambda: list(_VALUES), (), _WORDS, share=20),
    Target(
        "channel",
        read_channel,
        lambda: list(_CHANNELS),
        (ValueError,),
        (*_WORDS, b"--codec\n", b"+", b":", b"top_k", b"delta+", b"feedback+", b"k="),
        surroundings=study_folder,
        room=2048 * MEBIBYTE,
        share=5,
        longest_message=100_000,
    ),
    Target(
        "name",
        read_name,
        lambda: list(_NAMES),
        (ValueError,),
        changes=_changed_words,
        surroundings=study_folder,
        room=2048 * MEBIBYTE,
        share=5,
        longest_message=100_000,
    ),
)
