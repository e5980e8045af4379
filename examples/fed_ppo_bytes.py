"""How well does federated PPO learn Cart Pole for the bytes that it sends?

Agents train PPO with Stable-Baselines3 and send how far their parameters moved: always,
every fifth round, with probability 1/5, or always but only the largest fifteenth of the
numbers with error feedback, which takes a fifth of the bytes too. ``python
examples/fed_ppo_bytes.py [FOLDER]`` shows it in a minute or two; with ``--scale paper
--workers 2``, 4 agents take 40,000 steps each in 5 trials, in half an hour. It needs
the extras ``study`` and ``sb3``.
"""

import argparse
from pathlib import Path

import pandas as pd
from commenv_baselines.fed_sb3 import FedPPO

import commenv
from commenv import Channel
from commenv.channel import ErrorFeedback, TopK
from commenv.learning.schemes import Always, Bernoulli, Periodic
from commenv.study.analysis.figures import plot, save

SHARE = 5  # the others send a fifth of what "always" does
SCHEMES = {
    "always": Always(),
    f"every {SHARE}th round": Periodic(k=SHARE),
    f"with probability 1/{SHARE}": Bernoulli(p=1 / SHARE),
}
SMALL = {"num_agents": 2, "num_trials": 2, "num_episodes": 20}
SCALES = {
    "small": SMALL,
    "paper": {"num_agents": 4, "num_trials": 5, "num_episodes": 157},
}


def main(folder: Path, *, workers: int = 1, algorithm=None, **scale: int) -> Path:
    algorithm = algorithm or FedPPO(discount=0.98)
    how = {
        "gamma": 1.0,
        "evaluate_every": max(1, (scale or SMALL)["num_episodes"] // 40),
        "workers": workers,
        "block": 1,
        **(scale or SMALL),
    }
    env = "commenv/CartPole-v1"
    whole = commenv.run(env, algorithm, SCHEMES, out=folder / "schemes", **how)
    size = round(
        whole.frame["size"].max() / 12 / SHARE
    )  # top-k takes 12 bytes a number
    how["uplink"] = Channel(codec=ErrorFeedback(TopK(size)))
    largest = {f"always, largest {size} numbers": Always()}
    top = commenv.run(env, algorithm, largest, out=folder / "top_k", **how)
    frame = (whole + top).frame
    labels = frame["label"].str.removeprefix(f"{algorithm.name} + ")
    return draw(frame.assign(label=labels), folder)


def draw(frame: pd.DataFrame, folder: Path) -> Path:
    """The figure, its numbers as a table of comma-separated values, and a summary."""
    spent = frame.groupby(["label", "trial"], sort=False)["size"].cumsum()
    columns = ["label", "trial", "episode", "env_steps", "uplink_bytes", "evaluation"]
    table = frame.assign(uplink_bytes=spent)[columns].dropna()
    table.to_csv(folder / "fed_ppo_bytes.csv", index=False, float_format="%.10g")
    print(table.groupby(["label", "trial"], sort=False).last().to_string())
    title = "Federated PPO on Cart Pole"
    figure = plot(frame, x="uplink_bytes", y="evaluation", title=title)
    figure.axes[0].set(xscale="log", xlim=(1e-2 * spent.max(), spent.max()))
    return save(figure, folder / "fed_ppo_bytes.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("fed_ppo_bytes"))
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    print(main(given.folder, workers=given.workers, **SCALES[given.scale]))
