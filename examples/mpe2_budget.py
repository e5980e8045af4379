"""Agents of Simple Spread say where they are, as long as their budget lasts.

Three agents are to cover three landmarks. Each tells all others its position, every
other step, over a link that loses every fifth copy; with what it has heard it works out
who goes where. Without messages two of them soon want the same landmark. The bytes are
those of two float32 numbers. It needs mpe2; run it with
``python examples/mpe2_budget.py``.
"""

from itertools import product
from typing import Any

import numpy as np
from gymnasium import spaces
from mpe2 import simple_spread_v3
from numpy.typing import NDArray

from commenv import BernoulliLoss, Budget, CommunicationBudget

NUM_AGENTS = 3
STILL, LEFT, RIGHT, DOWN, UP = range(5)
SILENCE, EVERYBODY = 0, 1


def goal(
    place: int, own: NDArray[Any], others: dict[int, NDArray[Any]], marks: NDArray[Any]
) -> NDArray[Any]:
    """The landmark left to an agent when the nearest pairs are matched first."""
    agents = {place: own, **others}
    pairs = sorted(
        product(agents, range(len(marks))),
        key=lambda pair: float(np.linalg.norm(agents[pair[0]] - marks[pair[1]])),
    )
    taken: dict[int, int] = {}
    for agent, mark in pairs:
        if agent not in taken and mark not in taken.values():
            taken[agent] = mark
    return marks[taken[place]]


def act(place: int, seen: dict[str, Any], step: int) -> dict[str, Any]:
    """What an agent does and says, by what it sees of landmarks and has heard."""
    view = seen["observation"]
    velocity, own = view[:2], view[2:4]
    marks = own + view[4 : 4 + 2 * NUM_AGENTS].reshape(-1, 2)
    senders = [agent for agent in range(NUM_AGENTS) if agent != place]
    heard = {
        sender: message
        for sender, message, age in zip(
            senders, seen["inbox"], seen["age"], strict=True
        )
        if age >= 0
    }
    way = goal(place, own, heard, marks) - own - velocity * 0.3
    sideways = abs(way[0]) > abs(way[1])
    move = (LEFT, RIGHT)[int(way[0] > 0)] if sideways else (DOWN, UP)[int(way[1] > 0)]
    return {
        "action": STILL if np.abs(way).max() < 0.05 else move,
        "message": np.clip(own, -2, 2).astype(np.float32),
        "to": EVERYBODY if step % 2 == 0 else SILENCE,
    }


def main(num_episodes: int = 5, budgets: tuple[int, ...] = (0, 4, 25)) -> None:
    for messages in budgets:
        env = CommunicationBudget(
            simple_spread_v3.parallel_env(N=NUM_AGENTS, max_cycles=25),
            message_space=spaces.Box(-2, 2, (2,), np.float32),
            budget=Budget(messages=messages, per="episode", exceed="refuse"),
            link=BernoulliLoss(0.2),
        )
        print(f"at most {messages} messages an agent and episode")
        print("  return  messages  bytes  refused  lost")
        for episode in range(num_episodes):
            seen, _ = env.reset(seed=0 if episode == 0 else None)
            step = 0
            while env.agents:
                actions = {
                    agent: act(place, seen[agent], step)
                    for place, agent in enumerate(env.agents)
                }
                seen, *_ = env.step(actions)
                step += 1
            now = env.metrics
            print(
                f"{now.episode_return.mean():8.2f}  {now.messages.sum():8}  "
                f"{now.size.sum():5}  {now.refused.sum():7}  {now.lost.sum():4}"
            )
        env.close()


if __name__ == "__main__":
    main()
