"""Plain Python: distributed Q-learning, agent by agent and step by step."""

from __future__ import annotations

import random
from collections.abc import Callable

PACKAGES = ()

SIZE, LIMIT = 5, 200
GOAL = SIZE * SIZE - 1
MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0), (0, 0))
ALPHA, GAMMA, EXPLORATION = 0.9, 0.9, 0.1

Table = list[list[float]]
Records = list[tuple[int, int, float, int]]


def dql(num_agents: int, num_episodes: int) -> Callable[[int], int]:
    """A call is a trial; as in ours, its greedy policy is tried after every episode."""

    def run(calls: int) -> int:
        for seed in range(calls):
            trial(random.Random(seed), num_agents, num_episodes)
        return calls * num_episodes

    return run


def trial(rng: random.Random, num_agents: int, num_episodes: int) -> list[float]:
    """The greedy policy's return after every episode."""
    q = [[0.0] * len(MOVES) for _ in range(SIZE * SIZE)]
    curve = []
    for _ in range(num_episodes):
        records: Records = []
        for _ in range(num_agents):
            records += episode(rng, q, EXPLORATION)
        update(q, records)
        rewards = [reward for _, _, reward, _ in episode(rng, q, 0.0)]
        curve.append(sum(GAMMA**time * reward for time, reward in enumerate(rewards)))
    return curve


def episode(rng: random.Random, q: Table, exploration: float) -> Records:
    """What one agent sees until it is at the goal or its time is up."""
    state, records = 0, []
    while state != GOAL and len(records) < LIMIT:
        if rng.random() < exploration:
            action = rng.randrange(len(MOVES))
        else:
            best = max(q[state])
            action = rng.choice(
                [a for a, value in enumerate(q[state]) if value == best]
            )
        after = move(state, action)
        records.append((state, action, 0.0 if after == GOAL else -1.0, after))
        state = after
    return records


def move(state: int, action: int) -> int:
    """The cell that an action leads to."""
    down, right = MOVES[action]
    row = min(max(state // SIZE + down, 0), SIZE - 1)
    column = min(max(state % SIZE + right, 0), SIZE - 1)
    return row * SIZE + column


def update(q: Table, records: Records) -> None:
    """Moves every pair that was seen by the mean of its TD errors."""
    errors: dict[tuple[int, int], list[float]] = {}
    for state, action, reward, after in records:
        target = reward if after == GOAL else reward + GAMMA * max(q[after])
        errors.setdefault((state, action), []).append(target - q[state][action])
    for (state, action), seen in errors.items():
        q[state][action] += ALPHA * sum(seen) / len(seen)
