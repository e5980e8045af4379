"""Every figure's definition holds together, and small ones run from end to end."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from commenv_baselines.thesis.figure import Context, Scale
from commenv_baselines.thesis.page import report
from commenv_baselines.thesis.runner import FIGURES, NUMBERS, reproduce
from commenv_baselines.thesis.search import SEARCH_FIGURES

from commenv.errors import ResultsError, UnknownNameError
from commenv.study.analysis.claims import judge

pytestmark = pytest.mark.filterwarnings("error")


def invented(figure, trials=2, episodes=200):
    """A frame with all of a figure's labels and random numbers in it."""
    random = np.random.default_rng(0)
    rows = []
    for curve in figure.curves:
        for trial in range(trials):
            steps = random.integers(1, 100, episodes).cumsum()
            rows.append(
                pd.DataFrame(
                    {
                        "label": curve.label,
                        "trial": trial,
                        "episode": np.arange(episodes),
                        "num_agents": 3,
                        "env_steps": steps.astype(float),
                        "evaluation": random.normal(size=episodes),
                        "reward": random.normal(size=episodes),
                        "frequency": random.random(episodes),
                        "messages": random.random(episodes) + 0.1,
                        "size": random.random(episodes),
                        "total_size": random.random(episodes),
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def test_every_figure_of_the_thesis_is_there():
    assert (
        *("3.4", "3.5", "4.1", "4.2", "4.3", "4.5", "4.6"),
        *("4.7", "4.8", "4.9", "4.10", "4.11"),
    ) == NUMBERS


@pytest.mark.parametrize("number", FIGURES)
def test_labels_differ_and_claims_are_about_curves_that_are_run(number):
    figure = FIGURES[number].at(Scale(2, 200))
    labels = [curve.label for curve in figure.curves]
    assert len(labels) == len(set(labels))
    context = Context(number, Scale(2, 200), -5.217)
    claims = figure.claims(context)
    assert len(claims) >= 4
    verdicts = judge(claims, invented(figure), resamples=199)
    assert {verdict.verdict for verdict in verdicts} == {"undecided"}  # 2 trials


@pytest.mark.parametrize("number", [figure.number for figure in SEARCH_FIGURES])
def test_espc_figures_run_their_controls_from_both_starts(number):
    labels = [curve.label for curve in FIGURES[number].at(Scale(2, 200)).curves]
    controls = ("ES 50, centred", "at random, centred", "centred, with offset")
    for control in (*controls, "ESPC m", "with offset"):
        assert any(control in label for label in labels)
    starts = [label for label in labels if label.endswith(", random start")]
    assert {label.removesuffix(", random start") for label in starts} == {
        label for label in labels if label not in starts
    }


def test_curves_and_claims_are_called_by_the_agents_that_are_run():
    scale = Scale(2, 24, agents=0.2)
    labels = [curve.label for curve in FIGURES["4.6"].at(scale).curves]
    assert labels[:3] == ["ESPC (10, 5)", "ES 10", "ES 5"]
    assert "5 at random, centred" in labels
    assert "ESPC m 5, centred, with offset, random start" in labels
    labels = [curve.label for curve in FIGURES["4.9"].at(scale).curves]
    assert labels[:6] == [*(f"ESPC m {m}" for m in (1, 2, 3, 6, 9)), "ES 10"]
    for number in ("4.6", "4.9", "4.11"):
        figure = FIGURES[number].at(scale)
        claims = figure.claims(Context(number, scale, None))
        texts = " ".join(f"{claim.text} {claim.estimand.name}" for claim in claims)
        assert not {"50", "25", "45"} & set(re.findall(r"\d+", texts))
        judge(claims, invented(figure), resamples=199)


def test_so_few_agents_that_curves_are_the_same_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"5% of the agents several curves .*'ESPC m 1'"
    ):
        reproduce("4.9", tmp_path, agents=0.05, progress=False)
    for figure in FIGURES.values():
        for scale in (figure.quick, figure.paper, figure.report):
            figure.at(scale)


def test_figure_4_3_is_judged_by_what_the_thesis_says_of_it():
    figure = FIGURES["4.3"]
    claims = figure.claims(Context("4.3", Scale(20, 200), 0.4783))
    frame = invented(figure.at(Scale(20, 200)), trials=20)
    best = frame["label"] == "DQL"
    frame["evaluation"] = np.where(best, 0.4783, 0.0)
    frame["messages"] = np.where(frame["label"] == "DAVIA", 0.0, frame["messages"])
    found = {one.claim: one.verdict for one in judge(claims, frame, resamples=999)}
    assert len(found) == 9
    consistent = ": fewer than half of its trials end at the optimum"
    assert found[f"DQL finds no consistent strategy{consistent}"] == "contradicted"
    assert found[f"ES finds no consistent strategy{consistent}"] == "supported"
    assert {text for text in found if "sends" in text} == {
        f"{name} sends fewer {what} than ESPC"
        for name in ("DAVIA", "EBCDQL")
        for what in ("messages", "bytes")
    }


def test_a_figure_is_run_drawn_judged_and_reported(tmp_path):
    out = tmp_path / "results"
    verdicts = reproduce(
        "3.4", out, trials=2, episodes=120, seed=0, workers=1, progress=False
    )
    reproduce("4.7", out, seed=0, progress=False)
    assert [one.verdict for one in verdicts] == ["undecided"] * len(verdicts)
    table = (out / "3.4" / "claims.csv").read_text()
    rows = list(csv.DictReader(table.splitlines()))
    assert list(rows[0]) == [
        *("figure", "claim", "estimand", "margin", "estimate"),
        *("low", "high", "p", "trials", "needed", "verdict"),
    ]
    for name in ("figure.png", "evaluation.png", "bytes.png"):
        assert (out / "3.4" / name).read_bytes().startswith(b"\x89PNG")
    first = json.loads((out / "3.4" / "run.json").read_text())
    again = reproduce("3.4", out, trials=2, episodes=120, seed=0, progress=False)
    assert again == verdicts
    assert json.loads((out / "3.4" / "run.json").read_text())["scale"] == first["scale"]
    page = report(out, tmp_path / "REPRODUCTION.md", tmp_path / "images")
    text = page.read_text()
    row = "| [3.4](#figure-34-simple-grid) | 2 trials of 120 episodes | 6 undecided |"
    assert row in text
    assert "images/3.4-figure.png" in text
    assert (tmp_path / "images" / "4.7-figure.png").exists()
    assert "threshold 0.5" in text
    assert "The thesis says" in text
    assert "**Note:** EBCDQL explores at 0.1" in text
    assert "Likely reason" not in text
    assert "These are too few trials for any verdict." in text
    # A mean whose range is not known.
    silent = next(row for row in rows if row["claim"] == "DAVIA falls silent")
    silent |= {"low": "nan", "high": "nan", "p": "1", "needed": "300"}
    with (out / "3.4" / "claims.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(silent))
        writer.writeheader()
        writer.writerows(rows)
    text = report(out, tmp_path / "REPRODUCTION.md", tmp_path / "images").read_text()
    assert "| from 300 trials | - | **undecided** |" in text


def test_another_scale_into_the_same_folder_is_refused(tmp_path):
    small = {"seed": 0, "progress": False, "trials": 1}
    reproduce("3.4", tmp_path, episodes=100, **small)
    with pytest.raises(ResultsError, match="is a study of 100 rounds"):
        reproduce("3.4", tmp_path, episodes=101, **small)


@pytest.mark.parametrize(
    ("number", "arguments", "error", "message"),
    [
        ("3.6", {}, UnknownNameError, "unknown figure '3.6'; did you mean"),
        ("3.4", {"scale": "papr"}, UnknownNameError, "did you mean 'paper'"),
        ("3.4", {"trials": 0}, ValueError, "trials is 0; at least 1"),
        ("3.4", {"agents": 1.5}, ValueError, r"agents 1.5 is no share in \(0, 1\]"),
    ],
)
def test_bad_arguments_are_named(tmp_path, number, arguments, error, message):
    with pytest.raises(error, match=message):
        reproduce(number, tmp_path, progress=False, **arguments)


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="no reproduced figure"):
        report(tmp_path, tmp_path / "page.md", tmp_path / "images")


def test_a_scale_shrinks_agents_and_messages_alike(tmp_path):
    verdicts = reproduce(
        "4.5", tmp_path, trials=1, episodes=6, agents=0.1, seed=0, progress=False
    )
    context = Context("4.5", Scale(1, 6, 0.1), None)
    texts = [claim.text for claim in FIGURES["4.5"].claims(context)]
    assert [one.claim for one in verdicts] == texts
    assert "ESPC (5, 2) sends 2/5 of ES 5's messages" in texts
    manifest = json.loads((tmp_path / "4.5" / "study" / "manifest.json").read_text())
    espc = manifest["study"]["arms"][0]
    assert (espc["num_agents"], espc["scheme"]["m"]) == (5, 2)
    assert Scale(1, 2, 0.1).agents == 0.1
