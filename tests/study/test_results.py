from __future__ import annotations

import shutil

import numpy as np
import pytest

import commenv
from commenv.errors import ResultsError, UnknownNameError
from commenv.study import Results
from commenv.study.cost import LoRa
from tests.study.storage.seals import reseal

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")


def small(out, environments="SimpleGrid-v0", **changes):
    settings = {"num_agents": 2, "num_trials": 2, "num_episodes": 3} | changes
    return commenv.run(environments, "dql", out=out, progress=False, **settings)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three studies: two with the same label, one with two labels."""
    root = tmp_path_factory.mktemp("results")
    small(root / "a")
    small(root / "b", gamma=0.5)
    small(root / "c", ["SimpleGrid-v0", "FrozenLake-v1"])
    return root


def test_one_study_comes_back_as_it_was_run(folders):
    loaded, ran = commenv.load(folders / "a"), small(None)
    pd.testing.assert_frame_equal(loaded.frame, ran.frame, check_exact=True)
    assert loaded.optimum == ran.optimum
    assert loaded.optimum["dql"] == pytest.approx(-5.217031, abs=1e-6)


def test_equal_labels_get_their_folders_name_and_others_stay(folders):
    a, b, c = (folders / name for name in "abc")
    loaded = commenv.load(a, str(b), c)
    expected = [f"dql, {a}", f"dql, {b}", "dql, SimpleGrid-v0", "dql, FrozenLake-v1"]
    assert list(loaded.frame["label"].unique()) == expected
    assert list(loaded.optimum) == expected
    assert (loaded.frame.groupby("label").size() == 6).all()
    assert loaded.optimum[f"dql, {a}"] != loaded.optimum[f"dql, {b}"]
    alone = commenv.load(b).frame.drop(columns="label")
    together = loaded.frame[loaded.frame["label"] == f"dql, {b}"].drop(columns="label")
    pd.testing.assert_frame_equal(together.reset_index(drop=True), alone)


def test_the_same_folder_twice_is_refused(folders, monkeypatch):
    monkeypatch.chdir(folders)
    for again in ("a", "./a/", folders / "a", "b/../a"):
        with pytest.raises(ResultsError, match="given twice; name each folder once"):
            commenv.load("a", again)
    assert len(commenv.load("a", shutil.copytree("a", "a2")).optimum) == 2


def test_no_folder_and_one_bad_folder_are_refused(folders, tmp_path):
    with pytest.raises(ResultsError, match="name at least one"):
        commenv.load()
    with pytest.raises(ResultsError, match=f"{tmp_path} is not a results folder"):
        commenv.load(folders / "a", tmp_path)


def test_ranges_are_kept_and_go_by_the_labels(folders):
    ran = small(None)
    assert ran.ranges.keys() == {"dql"}
    assert commenv.load(folders / "a").ranges == ran.ranges
    both = commenv.load(folders / "a", folders / "b")
    assert both.ranges.keys() == both.optimum.keys()
    halved = ran.ranges["dql"] | small(None, gamma=0.5).ranges["dql"]
    assert [*both.ranges.values()] == [ran.ranges["dql"], halved]
    assert halved["reward"][0] == pytest.approx(-2)


def test_a_table_says_what_was_measured(folders):
    results = commenv.load(folders / "a", folders / "b")
    text = results.table()
    assert str(results) == text
    for words in ("2 agents", "2 trials", "3 episodes", "SimpleGrid-v0", "-5.2170"):
        assert words in text
    assert repr(commenv.load(folders / "a")) == "<Results of 'dql': 6 episodes>"


def test_a_plot_has_its_panels_and_goes_to_a_file(folders, tmp_path):
    pytest.importorskip("matplotlib")
    results = commenv.load(folders / "a")
    figure = results.plot(path=tmp_path / "new" / "curves.svg")
    assert len(figure.axes) == 3
    assert (tmp_path / "new" / "curves.svg").read_text().startswith("<?xml")
    assert len(results.plot(x="uplink_bytes", y="evaluation").axes) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"x": "episodes"}, "unknown x axis 'episodes'; did you mean 'episode'"),
        ({"y": "rewrd"}, "unknown y axis 'rewrd'; did you mean 'reward'"),
        ({"path": "curves.pngg"}, "unknown figure format 'pngg'"),
    ],
)
def test_a_wrong_axis_or_ending_is_refused(folders, arguments, words, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(folders)
    with pytest.raises(ValueError, match=words):
        commenv.load("a").plot(**arguments)
    assert not list(folders.glob("curves*"))


def test_two_labels_are_compared_trial_by_trial():
    results = commenv.run(
        "SimpleGrid-v0",
        ["dql", "ebcdql"],
        num_trials=4,
        num_episodes=40,
        progress=False,
    )
    frame = results.frame
    first = frame[frame["episode"] == 5].set_index(["label", "trial"])["reward"]
    compared = results.compare("dql", "ebcdql", at=5, y="reward")
    expected = (first["dql"] - first["ebcdql"]).mean()
    assert compared.estimate == pytest.approx(expected)
    assert "4 paired trials" in str(compared)
    assert compared.low < compared.estimate < compared.high
    low, high = results.ranges["dql"]["reward"]
    assert compared.bounds == (low - high, high - low)
    unknown = results.compare("dql", "ebcdql", y="messages")
    assert np.isnan(unknown.low)
    assert "it takes 300 trials" in str(unknown)
    assert results.compare("dql", "ebcdql", y="messages", bounds=(0, 1)).low > -1
    team = results.compare("dql", "ebcdql", at={"team_steps": 5_000}, y="reward")
    alone = results.compare("dql", "ebcdql", at={"env_steps": 1_000}, y="reward")
    assert team.estimate == alone.estimate


def test_folders_that_differ_say_in_what(folders, caplog, tmp_path):
    pytest.importorskip("matplotlib")
    a, b = folders / "a", folders / "b"
    loaded = commenv.load(a, b)
    line = f"labels differ in gamma: 0.9 (dql, {a}), 0.5 (dql, {b})"
    assert [record.getMessage() for record in caplog.records] == [line]
    assert loaded.table().splitlines()[-1] == line
    caption = loaded.plot(y="reward").texts[-1].get_text()
    assert line in caption.replace("\n", " ")
    with pytest.raises(ResultsError, match=r"discounts with gamma 0\.9"):
        loaded.compare(f"dql, {a}", f"dql, {b}")
    text = str(loaded.compare(f"dql, {a}", f"dql, {b}", y="episode_return"))
    assert "2 paired trials" in text
    assert text.endswith("They also differ in gamma (0.9 and 0.5)")
    # One study alone is as it was asked for.
    assert "differ" not in commenv.load(folders / "c").table()


def test_folders_of_other_seeds_are_not_paired(folders, tmp_path):
    small(tmp_path / "d", seed=1)
    loaded = commenv.load(folders / "a", tmp_path / "d")
    found = loaded.compare(*loaded.optimum, y="reward")
    assert found.not_paired == "their seeds differ"
    assert f"seed: 0 (dql, {folders / 'a'}), 1 (dql, " in loaded.table()


def test_settings_are_the_same_from_a_folder_and_from_memory(folders):
    loaded, ran = commenv.load(folders / "a"), small(None)
    assert loaded.settings == ran.settings
    assert loaded.settings["dql"]["gamma"] == 0.9


def test_when_labels_reach_a_threshold(folders):
    results = commenv.load(folders / "a")
    (row,) = results.times(-1e9, "reward", "env_steps").to_dict("records")
    first = results.frame[results.frame["episode"] == 0]["env_steps"]
    assert row["mean"] == first.mean()
    (row,) = results.times(0.0, "reward").to_dict("records")
    assert (row["never"], row["median"], row["within"]) == (2, np.inf, 2)


@pytest.mark.parametrize("y", ["episode_return", "refused", "total_size"])
def test_every_column_of_numbers_is_drawn_and_compared(folders, y):
    pytest.importorskip("matplotlib")
    results = commenv.load(folders / "c")
    assert len(results.plot(y=y).axes) == 2  # environments
    compared = results.compare(*results.optimum, at=1, y=y)
    rows = results.frame[results.frame["episode"] == 1].groupby("label")[y].mean()
    one, other = results.optimum
    assert compared.estimate == pytest.approx(rows[one] - rows[other])


def test_costs_are_the_same_from_a_folder_and_from_memory(folders):
    loaded, ran = commenv.load(folders / "a"), small(None)
    for link in ("lora", "lte", "wifi"):
        pd.testing.assert_frame_equal(
            loaded.cost(link), ran.cost(link), check_exact=True
        )
        assert loaded.cost_table(link) == ran.cost_table(link)


def test_costs_are_of_all_agents_and_episodes(folders):
    costs = commenv.load(folders / "a").cost(LoRa(spreading_factor=9), per_trial=True)
    assert costs["trial"].tolist() == [0] * 4 + [1] * 4
    down = costs[costs["direction"] == "downlink"]
    assert (down["messages"] == 2 * 3).all()
    air = LoRa(spreading_factor=9).cost(np.array([25 * 5 * 8 + 16]), "downlink")
    assert down["seconds"].to_numpy() == pytest.approx(6 * air.seconds[0])
    rows = commenv.load(folders / "a").frame
    sent = (rows["size"] + rows["header_size"]) * 2
    up = costs.loc[costs["direction"] == "uplink", "bytes"]
    assert up.tolist() == sent.groupby(rows["trial"]).sum().round().tolist()


def test_costs_of_several_studies_keep_them_apart(folders):
    a, b, c = (folders / name for name in "abc")
    costs = commenv.load(a, b, c).cost("wifi")
    expected = [f"dql, {a}", f"dql, {b}", "dql, SimpleGrid-v0", "dql, FrozenLake-v1"]
    assert list(costs["label"].unique()) == expected
    alone = commenv.load(b).cost("wifi").drop(columns="label")
    together = costs[costs["label"] == f"dql, {b}"].drop(columns="label")
    pd.testing.assert_frame_equal(together.reset_index(drop=True), alone)


def test_results_of_before_load_but_have_no_costs(folders, tmp_path):
    old = shutil.copytree(folders / "a", tmp_path / "old")
    shutil.rmtree(old / "sizes")
    reseal(old)
    loaded = commenv.load(old)
    assert loaded.table() == commenv.load(folders / "a").table()
    with pytest.raises(ResultsError, match="was stored without the sizes"):
        loaded.cost("lora")
    with pytest.raises(ResultsError, match="came without the sizes"):
        Results(loaded.frame, loaded.optimum).cost("lora")
    for block in old.glob("blocks/*/*"):
        block.unlink()
    small(old)  # the cure that the message names
    pd.testing.assert_frame_equal(
        commenv.load(old).cost("lora"), commenv.load(folders / "a").cost("lora")
    )


def test_an_unknown_link_is_refused_with_the_nearest(folders):
    with pytest.raises(UnknownNameError, match="did you mean 'lora'"):
        commenv.load(folders / "a").cost("lorra")
