from __future__ import annotations

import pytest

from commenv import BernoulliLoss, Budget, Channel
from commenv.errors import ResultsError
from commenv.study.analysis.comparability import (
    check_same_quantity,
    differing,
    settings_of_frame,
    settings_of_study,
    unlike,
    why_not_paired,
)
from commenv.study.product import arms
from commenv.study.spec import Study
from commenv.study.storage.schema import StudySettings
from tests.study.studies import built

pd = pytest.importorskip("pandas")

SOFTWARE = {"commenv": "1.0", "numpy": "2.0", "cpu": "x"}


def settings(
    environment="SimpleGrid-v0", algorithm="dql", given=None, software=(), **study
):
    made = built(environment, algorithm, settings=given, **study)
    (found,) = settings_of_study(
        StudySettings.of(made), SOFTWARE | dict(software)
    ).values()
    return found


BASE = settings()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (settings(), []),
        (settings(gamma=0.5), ["gamma (0.9 and 0.5)"]),
        (settings(seed=3), ["seed (0 and 3)"]),
        (settings(num_agents=7), ["number of agents (5 and 7)"]),
        (settings(num_episodes=10), ["number of rounds (1000 and 10)"]),
        (
            settings(given={"env.size": 7}),
            ["environment argument size (not set and 7)"],
        ),
        (settings(stop={"messages": 9}), ["stop (none and {'messages': 9})"]),
        (
            settings(evaluate_every=5, evaluation_episodes=3),
            [
                "rounds from one evaluation to the next (1 and 5)",
                "episodes of an evaluation (10 and 3)",
            ],
        ),
        (
            settings(uplink=Channel(link=BernoulliLoss(0.1))),
            ["uplink link (PerfectLink() and BernoulliLoss(probability=0.1))"],
        ),
        (
            settings(downlink=Channel(headers=True)),
            ["downlink headers (False and True)"],
        ),
        (settings(software={"commenv": "1.1"}), ["commenv version (1.0 and 1.1)"]),
        # The number of trials stands in the sentence; processors change no setting.
        (settings(num_trials=3, software={"cpu": "y", "numpy": "2.1"}), []),
        # Of one algorithm its settings count, of two they are what is compared.
        (settings(given={"alpha": 0.5}), ["algorithm setting alpha (none and 0.5)"]),
        (settings(algorithm="es"), []),
    ],
)
def test_every_difference_is_named(changed, expected):
    assert unlike(BASE, changed) == expected


def test_a_budget_is_named_with_what_it_limits():
    (text,) = unlike(BASE, settings(uplink=Channel(budget=Budget(messages=1))))
    assert "Budget(messages=1, per='episode'" in text.replace(
        "per=episode", "per='episode'"
    )


def test_the_time_limit_is_a_setting():
    limited = Study(arms("SimpleGrid-v0", "dql", max_episode_steps=50))
    (found,) = settings_of_study(StudySettings.of(limited), SOFTWARE).values()
    assert unlike(BASE, found) == ["time limit (200 and 50)"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (settings(), None),
        (settings(algorithm="es", gamma=0.5, num_agents=7), None),
        (settings(seed=1), "their seeds differ"),
        (settings(environment="WindyGrid-v0"), "their environments differ"),
        (settings(given={"env.size": 7}), "their environments differ"),
    ],
)
def test_trials_are_pairs_by_seed_and_environment(changed, reason):
    assert why_not_paired(BASE, changed) == reason


def test_discounted_returns_of_other_discounts_are_refused():
    other = settings(gamma=0.5)
    for column in ("evaluation", "reward", "cumulative_reward"):
        with pytest.raises(
            ResultsError, match=r"gamma 0.9 and b with gamma 0.5.*y='epi"
        ):
            check_same_quantity("a", BASE, "b", other, column)
    check_same_quantity("a", BASE, "b", other, "episode_return")
    check_same_quantity("a", BASE, "b", settings(seed=1), "evaluation")


def test_differences_of_many_labels_are_lines():
    many = {f"label {i}": settings(gamma=0.5 if i else 0.9, seed=1) for i in range(6)}
    assert differing(many) == [
        "gamma: 0.9 (label 0), 0.5 (label 1; label 2; label 3 and 2 more)"
    ]
    assert differing({"a": BASE, "b": settings(algorithm="es")}) == []


def test_a_frame_alone_tells_of_its_environment():
    frame = pd.DataFrame(
        {"label": ["a", "b"], "environment": ["X-v0", "Y-v0"], "num_agents": [1, 2]}
    )
    one, other = (settings_of_frame(frame, label) for label in "ab")
    assert one == {"environment": "X-v0", "number of agents": 1}
    assert why_not_paired(one, other) == "their environments differ"
    assert settings_of_frame(frame.drop(columns="environment"), "c") == {}


def test_what_a_damaged_manifest_holds_is_shown_without_its_control_characters():
    study = StudySettings.of(Study(arms("SimpleGrid-v0", "dql")))
    study.stop = {"\x1b[2J" + "x" * 999: 1}
    study.arms[0].env_kwargs = {"size": "\x1b[2J" + "x" * 999}
    (found,) = settings_of_study(study, {}).values()
    text = "".join(unlike(BASE, found))
    assert text.isprintable()
    assert len(text) < 2000
