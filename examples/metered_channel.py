"""Agents share visit counts through a channel with a budget for the whole team.

Five agents walk at random and report the cells that they visited. The team may send
2000 bytes an episode: in the order that is drawn anew for each, the first reports go
through whole, one is cut after its last whole record that fits, and the rest are
refused. Run it with ``python examples/metered_channel.py``.
"""

import numpy as np

import commenv
from commenv import Budget, Channel, Fate, Messages, Unit

CELL = np.dtype([("cell", "<i4")])


def main() -> None:
    budget = Budget(bytes=2000, per="episode", scope="team", exceed="truncate")
    env = commenv.batched_env(
        "WindyGrid-v0", num_trials=1, num_agents=5, uplink=Channel(budget=budget)
    )
    walk = np.random.default_rng(0)
    for episode in range(3):
        observations, _ = env.reset(seed=0 if episode == 0 else None)
        visited: list[list[int]] = [[] for _ in range(env.num_envs)]
        while env.active.any():
            for agent in np.flatnonzero(env.active):
                visited[agent].append(int(observations[agent]))
            observations, *_ = env.step(walk.integers(5, size=env.num_envs))
        records = np.array([(cell,) for cells in visited for cell in cells], CELL)
        counts = np.array([[len(cells) for cells in visited]])
        receipt = env.send(Messages(records, counts))
        received = env.receive()
        print(f"episode {episode}")
        print("  cells visited   ", counts[0])
        print("  accepted        ", receipt.accepted[0].astype(int))
        print("  cells received  ", received.counts[0])
        print("  bytes sent      ", env.metrics.size[0])
    ledger = env.uplink.ledger
    print("attempted bytes  ", ledger.attempted(Unit.PAYLOAD)[0])
    for fate in (Fate.DELIVERED, Fate.REFUSED):
        print(f"{fate.name.lower():<17}", ledger.count(fate, Unit.PAYLOAD)[0])


if __name__ == "__main__":
    main()
