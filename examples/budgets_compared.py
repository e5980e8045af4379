"""How does distributed Q-learning learn when each agent may send only so many bytes?

One study of three arms, which differ in the uplink's budget: return against bytes, and
a comparison in words. Run it with ``python examples/budgets_compared.py [FOLDER]``.
"""

import sys
from pathlib import Path

import commenv
from commenv import Budget, Channel


def main(folder: Path, num_trials: int = 20, num_episodes: int = 300) -> Path:
    uplinks = {"no budget": Channel()} | {
        f"{limit} bytes an episode": Channel(
            budget=Budget(bytes=limit, exceed="truncate")
        )
        for limit in (200, 60)
    }
    results = commenv.run(
        "SimpleGrid-v0",
        "dql",
        num_trials=num_trials,
        num_episodes=num_episodes,
        uplink=uplinks,
    )
    print(f"{results}\n")
    print(results.compare("dql, no budget", "dql, 60 bytes an episode"))
    picture = folder / "budgets.png"
    title = "DQL on Simple Grid under uplink budgets"
    y = ["evaluation", "reward"]
    results.plot(x="uplink_bytes", y=y, title=title, path=picture)
    return picture


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
