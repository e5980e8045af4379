"""Names for values on the command line."""

from __future__ import annotations

import pytest

from commenv.cli.names import by_name, split_name
from commenv.study.storage.store import Store
from tests.cli.command_line import GRID, call, refused, run

pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("small: top_k,k=5", "small", "top_k,k=5"),
        ("60 B:  bytes=60", "60 B", "bytes=60"),
        ("k=5: top_k,k=5", "k=5", "top_k,k=5"),
        ("mine: own:Codec", "mine", "own:Codec"),
        ("own:Codec", "", "own:Codec"),
        (": top_k", "", ": top_k"),
        ('x={"a": 1}', "", 'x={"a": 1}'),
        ("small:top_k", "", "small:top_k"),
    ],
)
def test_a_name_ends_at_the_first_colon_and_space(text, name, value):
    assert split_name(text) == (name, value)


def test_a_setting_has_no_equals_sign_in_its_name():
    assert split_name("alpha=a: b", besides="=") == ("", "alpha=a: b")
    assert split_name("fast: alpha=0.9", besides="=") == ("fast", "alpha=0.9")


def test_values_without_names_stay_a_list():
    assert by_name(["a", "b"], "--env") == ["a", "b"]
    assert by_name(["x: a", "b"], "--env") == {"x": "a", "b": "b"}
    assert by_name(["x: a", "b"], "--env", str.upper) == {"x": "a", "B": "b"}


def test_labels_say_the_names(capsys, tmp_path):
    out = tmp_path / "new"
    words = (
        *("--env", "calm: SimpleGrid-v0", "--env", "storm: WindyGrid-v0"),
        *("--algorithm", "plain: dql", "--scheme", "all: always"),
        *("--agents", "alone: 1", "--agents", "2", "--uplink-budget", "bytes=60"),
        *("--codec", "half: float16", "--codec", "identity", "--loss", "some: 10%"),
        *("--downlink-codec", "thin: float16", "--set", "fast: alpha=0.9"),
        *("--set", "env.size=4"),
    )
    code, _, err = run(capsys, *words, "--trials", "1", "--out", out)
    assert (code, err) == (0, "")
    arms = Store(out).manifest().study.arms
    assert [arm.label for arm in arms] == [
        f"plain + all, {env}, fast, {agents}, {codec} some, thin"
        for env in ("calm", "storm")
        for agents in ("alone", "2 agents")
        for codec in ("half", "identity")
    ]
    assert {arm.algorithm["alpha"] for arm in arms} == {0.9}
    assert {arm.env_kwargs["size"] for arm in arms} == {4}
    assert [arm.num_agents for arm in arms] == [1, 1, 2, 2] * 2
    assert {arm.uplink["link"]["probability"] for arm in arms} == {0.1}
    assert arms[0].uplink["codec"]["class"].endswith(":Float16")
    assert {arm.uplink["budget"]["bytes"] for arm in arms} == {60}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--codec", "a: float16", "--codec", "a: int8"),
            "--codec gives the name 'a' twice; give each value its own",
        ),
        (("--agents", "a: 1", "--agents", "a: 2"), "--agents gives the name 'a' twice"),
        (
            ("--set", "a: alpha=0.1", "--set", "a: alpha=0.2"),
            "--set gives the name 'a' twice",
        ),
        (
            ("--set", "a: alpha=0.1", "--set", "alpha=0.2"),
            "--set alpha has a value without a name; name every value",
        ),
        (("--set", "0.1: alpha=0.1"), "name '0.1'; a name of settings holds no full"),
        (("--agents", "few: many"), "argument --agents: invalid int value"),
        (("--codec", "small: topk"), "unknown codec 'topk'; did you mean 'top_k'"),
    ],
)
def test_names_that_cannot_be_are_refused(capsys, words, said):
    refused(run(capsys, *GRID, *words), 2, said)


def test_the_help_says_how_to_name_a_value(capsys):
    said = " ".join(call(capsys, "run", "--help")[1].split())
    assert '--codec "small: top_k,k=5"' in said
