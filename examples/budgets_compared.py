"""How does distributed Q-learning learn when each agent may send only so many bytes?

The same study under three uplink budgets, in one figure: return against episodes and
against bytes. Run it with ``python examples/budgets_compared.py [FOLDER]``.
"""

import sys
from pathlib import Path

import pandas as pd

import commenv
from commenv import Budget, Channel
from commenv.study.figures import plot, save


def main(folder: Path, num_trials: int = 20, num_episodes: int = 300) -> Path:
    frames, optimum = [], {}
    for limit in (None, 200, 60):
        budget = Budget(bytes=limit, exceed="truncate") if limit else Budget()
        results = commenv.run(
            "SimpleGrid-v0",
            "dql",
            num_trials=num_trials,
            num_episodes=num_episodes,
            uplink=Channel(budget=budget),
        )
        label = "no budget" if limit is None else f"{limit} bytes an episode"
        frames.append(results.frame.assign(label=label))
        optimum[label] = results.optimum["dql"]
        print(f"{label}\n{results}\n")
    figure = plot(
        pd.concat(frames, ignore_index=True),
        optimum=optimum,
        x="uplink_bytes",
        y=["evaluation", "reward"],
        title="DQL on Simple Grid under uplink budgets",
    )
    return save(figure, folder / "budgets.png")


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
