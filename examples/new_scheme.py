"""A new communication scheme, on two learners, against always sending.

Agents send often at first and ever less later. ``python examples/new_scheme.py
[FOLDER]`` checks the scheme, prints a table and draws return against bytes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import commenv
from commenv.learning import Scheme
from commenv.testing import check_scheme


@dataclass(frozen=True)
class BackOff(Scheme):
    """Send in round k with probability 1 / sqrt(1 + k / patience)."""

    name: ClassVar[str] = "back_off"
    patience: float = 5.0

    def select(self, signals, state, draws, left):
        p = (1 + draws.episode / self.patience) ** -0.5
        return draws.uniforms()[..., 0] < p, state


def main(folder: Path, num_trials: int = 20, num_episodes: int = 400) -> Path:
    check_scheme(BackOff())
    results = commenv.run(
        "SimpleGrid-v0",
        ["dql", "davia"],
        ["always", BackOff()],
        num_trials=num_trials,
        num_episodes=num_episodes,
        settings={"davia.features": "afterstate"},
    )
    print(results)
    path = folder / "new_scheme.png"
    results.plot(x="uplink_bytes", y="evaluation", path=path)
    return path


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
