"""Every example runs, and shows what it promises."""

import functools
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where pickle looks for its classes
    spec.loader.exec_module(module)
    return module


def test_the_metered_channel_never_exceeds_the_teams_budget():
    printed = subprocess.run(
        [sys.executable, EXAMPLES / "metered_channel.py"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = [line for line in printed.splitlines() if "bytes sent" in line]
    totals = [
        sum(int(word) for word in line.split("[")[1].strip("]").split())
        for line in lines
    ]
    assert totals == [2000, 2000, 2000]


def test_budgets_are_compared_in_one_picture(tmp_path):
    path = load("budgets_compared").main(tmp_path, num_trials=3, num_episodes=40)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_new_scheme_takes_at_most_fifteen_lines_and_saves_bytes(tmp_path, capsys):
    source = (EXAMPLES / "new_scheme.py").read_text()
    scheme = source.split("@dataclass")[1].split("def main")[0].strip()
    assert len(scheme.splitlines()) <= 15
    path = load("new_scheme").main(tmp_path, num_trials=3, num_episodes=60)
    assert path.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "back_off" in printed
    assert "davia" in printed


def test_a_new_algorithm_is_checked_and_compared(tmp_path, capsys):
    path = load("new_algorithm").main(tmp_path, num_trials=3, num_episodes=60)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "monte_carlo" in capsys.readouterr().out


def test_a_new_codec_takes_few_lines_and_saves_bytes(tmp_path, capsys):
    source = (EXAMPLES / "new_codec.py").read_text()
    codec = source.split("class Ternary")[1].split("def main")[0].strip()
    assert len([line for line in codec.splitlines() if line.strip()]) <= 12
    path = load("new_codec").main(tmp_path, num_trials=2, num_episodes=20)
    assert path.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "29.00" in printed  # 4 bytes of scale and 25 numbers
    assert "davia + always, ternary with feedback" in printed


def test_federated_ppo_is_compared_by_bytes(tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    from commenv_baselines.fed_sb3 import FedPPO

    tiny = FedPPO(local_steps=32, n_steps=32, batch_size=32, hidden_sizes=(4,))
    path = load("fed_ppo_bytes").main(
        tmp_path, algorithm=tiny, num_agents=2, num_trials=2, num_episodes=5
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "fed_ppo_bytes.csv").read_text().splitlines()
    assert lines[0] == "label,trial,episode,env_steps,uplink_bytes,evaluation"
    assert len(lines) == 1 + 4 * 2 * 5
    parameters = 2 * (4 * 4 + 4) + (4 * 2 + 2) + (4 + 1)
    last = {line.split(",")[0]: line.split(",") for line in lines}
    assert float(last["always"][4]) == 5 * 4 * parameters
    assert float(last["every 5th round"][4]) == 4 * parameters
    assert "probability" in capsys.readouterr().out


def test_ppo_on_signal_is_filmed_and_measured_exactly(tmp_path, capsys):
    pytest.importorskip("stable_baselines3")
    example = load("signal_ppo")
    path = example.main(tmp_path, budgets=(0, 1), seeds=1, steps=2048)
    assert path.read_bytes().startswith(b"GIF89a")
    rows = (tmp_path / "signal_ppo.csv").read_text().splitlines()
    assert rows[0] == "budget,seed,steps,return,silent,best,gap,bytes"
    table = [[float(value) for value in row.split(",")] for row in rows[1:]]
    assert [row[0] for row in table] == [0, 1]
    silent, spoken = table
    assert silent[3] <= silent[4] + 1e-12  # no policy can do better without messages
    assert silent[7] == 0
    assert spoken[7] >= 2  # both agents speak in every step
    assert (
        "best return 0.81000 with messages, 0.11250 without" in capsys.readouterr().out
    )


def test_agents_that_may_say_where_they_are_cover_the_landmarks_better(capsys):
    load("mpe2_budget").main(num_episodes=20, budgets=(0, 4, 25))
    blocks = capsys.readouterr().out.split("at most ")[1:]
    tables = [
        np.array([line.split() for line in block.splitlines()[2:]], float)
        for block in blocks
    ]
    returns = [table[:, 0].mean() for table in tables]
    assert returns == sorted(returns)
    for table, most in zip(tables, (0, 4, 13), strict=True):
        _, messages, size, refused, lost = table.T
        assert (messages == 3 * most).all()
        assert (size == 8 * messages).all()
        assert (messages + refused == 3 * 13).all()
        assert (lost <= 2 * messages).all()


def test_optuna_prunes_trials_in_fifteen_lines(capsys, monkeypatch):
    optuna = pytest.importorskip("optuna")
    path = EXAMPLES / "optuna_pruning.py"
    lines = path.read_text().split('"""')[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 15
    sampler = optuna.samplers.TPESampler(seed=0)
    create = functools.partial(optuna.create_study, sampler=sampler)
    monkeypatch.setattr(optuna, "create_study", create)
    study = load("optuna_pruning").study
    pruned = [one for one in study.trials if one.state.name == "PRUNED"]
    whole = [one for one in study.trials if one.state.name == "COMPLETE"]
    assert pruned
    assert len(pruned) + len(whole) == 20
    assert all(max(one.intermediate_values) < 999 for one in pruned)
    assert all(max(one.intermediate_values) == 999 for one in whole)
    assert study.best_value == max(one.value for one in whole)
    assert f"{study.best_params}" in capsys.readouterr().out
