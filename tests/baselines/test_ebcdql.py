"""EBCDQL sends the surprising records of DQL, and learns as well."""

import numpy as np
import pytest
from commenv_baselines.davia import DAVIA
from commenv_baselines.dql import DQL
from commenv_baselines.ebcdql import EBCDQL

import commenv


def test_with_no_error_to_hold_back_it_learns_what_dql_learns():
    open_settings = {"td_error.threshold": 0.0, "td_error.rho": 1e-300}
    results = commenv.run(
        "SimpleGrid-v0",
        ["dql", "ebcdql"],
        num_trials=2,
        num_episodes=60,
        settings=open_settings,
        progress=False,
    )
    dql, event = (
        results.frame[results.frame["algorithm"] == name].reset_index(drop=True)
        for name in ("dql", "ebcdql")
    )
    np.testing.assert_array_equal(dql["reward"], event["reward"])
    # Only records without any error stay back: here, those that nothing changes.
    assert (event["size"] <= dql["size"]).all()
    assert event["size"].sum() > 0.9 * dql["size"].sum()


@pytest.mark.slow
def test_tabular_algorithms_end_at_the_optimum_and_fall_silent():
    results = commenv.run(
        "SimpleGrid-v0",
        [DQL(), EBCDQL(), DAVIA(), DAVIA(features="afterstate")],
        num_trials=10,
        num_episodes=1000,
        progress=False,
    )
    frame = results.frame
    last = frame[frame["episode"] == 999]
    gap = np.abs(last["evaluation"] - results.optimum["dql"])
    assert (gap < 1e-9).groupby(last["label"]).sum().min() >= 9
    bytes_sent = frame.groupby("label")["size"].sum()
    assert bytes_sent["ebcdql"] < 0.5 * bytes_sent["dql"]
    late = frame[frame["episode"] >= 900].groupby("label")["frequency"].mean()
    assert late["davia (features=afterstate)"] <= 0.01
    assert late["davia (defaults)"] <= 0.6
    assert late["dql"] == 1
