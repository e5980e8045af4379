"""The study that the options of ``run`` describe."""

from __future__ import annotations

import argparse
import itertools
import json
from typing import Any

from commenv.cli.channel import channels_of
from commenv.cli.names import by_name, check_apart, split_name
from commenv.cli.values import value_of
from commenv.study.product import arms
from commenv.study.spec import Study
from commenv.study.wording import count_of

__all__ = ["study_of"]

_MOST_ARMS = 1000  # of one command without --yes


def study_of(options: argparse.Namespace) -> Study:
    """The study that the options of ``run`` describe.

    Raises:
        ValueError: A value that cannot be read or is not allowed.
    """
    return Study(
        arms(
            by_name(options.env, "--env"),
            by_name(options.algorithm, "--algorithm"),
            by_name(options.scheme, "--scheme") if options.scheme else None,
            _settings(options.set),
            options.max_episode_steps,
            num_agents=_agents(options.agents or ["5"]),
            env_kwargs=_worlds(options.env_kwargs or []),
            uplink=channels_of(options, "uplink"),
            downlink=channels_of(options, "downlink"),
            most=None if options.yes else _MOST_ARMS,
        ),
        num_trials=options.trials,
        first_trial=options.first_trial,
        last_trial=options.last_trial,
        num_episodes=options.episodes,
        gamma=options.gamma,
        seed=options.seed,
        stop=_once([_limit(text) for text in options.stop], "--stop") or None,
        evaluate_every=options.evaluate_every,
        evaluation_episodes=options.evaluation_episodes,
        trace=options.trace,
    )


def _agents(texts: list[str]) -> list[int] | dict[str, int]:
    """What ``--agents`` says; the parser has seen that they are whole numbers."""
    found = by_name(texts, "--agents", lambda text: count_of(int(text), "agent"))
    if isinstance(found, dict):
        return {name: int(text) for name, text in found.items()}
    return list(map(int, found))


def _worlds(texts: list[str]) -> Any:
    """What ``--env-kwargs`` says: arguments by agent, by name where it is repeated."""
    found = by_name(texts, "--env-kwargs", lambda text: "")
    if isinstance(found, list):
        if len(found) > 1:
            raise ValueError(
                "--env-kwargs is repeated without names; name every value, as in "
                '--env-kwargs "near: [{}, {}]"'
            )
        return _by_agent(found[0]) if found else None
    return {name: _by_agent(text) for name, text in found.items()}


def _by_agent(text: str) -> list[dict[str, Any]]:
    try:
        each = json.loads(text)
    except (ValueError, RecursionError):
        each = None
    if not isinstance(each, list) or not all(isinstance(one, dict) for one in each):
        raise ValueError(
            f"--env-kwargs {text!r} is not a JSON list of objects, one for each agent; "
            'write for example \'[{"size": 4}, {"size": 5}]\''
        )
    return each


def _settings(texts: list[str]) -> list[dict[str, Any]] | dict[str, dict[str, Any]]:
    """What ``--set`` says; where a name is repeated, the product of its values."""
    values: dict[str, list[tuple[str, Any]]] = {}
    for text in texts:
        word, given = split_name(text, besides="=")
        name, value = _setting(given)
        values.setdefault(name, []).append((word, value))
    chosen = [
        dict(zip(values, one, strict=True))
        for one in itertools.product(*values.values())
    ]
    settings = [{name: x for name, (_, x) in one.items()} for one in chosen]
    if not any(word for given in values.values() for word, _ in given):
        return settings
    _check_words(values)
    words = [" ".join(word for word, _ in one.values() if word) for one in chosen]
    check_apart(words, "--set")
    return dict(zip(words, settings, strict=True))


def _setting(text: str) -> tuple[str, Any]:
    """``name=value``; the value is JSON or as in Python, or else a word."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ValueError(f"--set {text!r} has no value; write --set name=value")
    return name, value_of(value)


def _check_words(values: dict[str, list[tuple[str, Any]]]) -> None:
    """Checks the names that ``--set`` gives: of what is repeated, all have one."""
    for name, given in values.items():
        for word, _ in given:
            if not word and len(given) > 1:
                raise ValueError(
                    f"--set {name} has a value without a name; name every value that "
                    'is repeated, as in --set "slow: alpha=0.1", or none'
                )
            if "." in word:
                raise ValueError(
                    f"--set gives the name {word!r}; a name of settings holds no "
                    "full stop"
                )


def _once(pairs: list[tuple[str, Any]], option: str) -> dict[str, Any]:
    """Pairs as a dictionary, each name once."""
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{option} {name} is given twice; give it once")
    return dict(pairs)


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ValueError(
            f"--stop {text!r} has no number; write for example uplink_bytes=1e6"
        ) from None
