"""The works: what of ours runs beside which peers, and the goals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from turns import Contestant

GRID_CALLS = {1024: 5000, 16384: 500}  # some tenths of a second


@dataclass(frozen=True)
class Work:
    """Our contestant, its rivals, and the goals.

    Args:
        title: What is done.
        ours: Our side.
        rivals: The other side.
        goals: Rival -> the least speed of ours over its own.
        rounds: How many, after the one that warms up.
    """

    title: str
    ours: Contestant
    rivals: list[Contestant]
    goals: dict[str, float] = field(default_factory=dict)
    rounds: int = 9


def simple_grid(num_envs: int, mode: str, goal: float) -> Work:
    """Simple Grid beside the lakes that come closest to it."""
    size = {"num_envs": num_envs}
    calls = GRID_CALLS[num_envs]
    return Work(
        f"Simple Grid, {num_envs} sub-environments, {mode}",
        _vector("SimpleGrid-v0", num_envs, mode),
        [
            _lake("gymnax", calls // 100, **size),
            _lake("gymnax, slippery 4x4", calls // 500, **size, like_ours=False),
            _lake("gymnax, call by call", calls // 5, **size, scan=False),
            Contestant(
                "EnvPool, slippery 4x4",
                "envpool_peer",
                "frozen_lake",
                calls // 25,
                "envpool",
                size,
            ),
            Contestant(
                "Gymnasium, sync",
                "gymnasium_peer",
                "frozen_lake",
                max(1, 20 * 1024 // num_envs),
                "gymnasium",
                {**size, "mode": mode},
            ),
        ],
        {"gymnax": goal, "gymnax, slippery 4x4": goal},
    )


def windy_grid(mode: str) -> Work:
    """Windy Grid beside what one would write for it alone."""
    plain = ("numpy_peer", "windy_grid", 2000, "gymnasium", {"num_envs": 1024})
    return Work(
        f"Windy Grid, 1024 sub-environments, {mode}",
        _vector("WindyGrid-v0", 1024, mode),
        [
            Contestant("plain NumPy", *plain),
            _lake("gymnax, slippery 4x4", 10, num_envs=1024, like_ours=False),
        ],
    )


def cart_pole() -> Work:
    """The closed loop: 1000 agents, each with a 4-8-8-2 tanh perceptron of its own."""
    size = {"num_envs": 1000}
    return Work(
        "Cart Pole, 1000 agents with a perceptron each, closed loop",
        Contestant("ours", "commenv_own", "cart_pole", 500, settings=size),
        [
            Contestant("gymnax", "gymnax_peer", "cart_pole", 3, "gymnax", size),
            Contestant("torch.func.vmap", "torch_peer", "vmap", 300, "torch", size),
            Contestant("torch.baddbmm", "torch_peer", "baddbmm", 300, "torch", size),
        ],
        {"gymnax": 1.5},
    )


def es() -> Work:
    """Whole trainings by an evolution strategy, all trials together."""
    settings = {"num_agents": 50, "num_trials": 20, "num_generations": 200}
    return Work(
        "ES on Cart Pole, 50 agents, 20 trials, 200 generations",
        Contestant("ours", "commenv_own", "es", 1, settings=settings),
        [Contestant("evosax", "evosax_peer", "train", 1, "evosax", settings)],
        {"evosax": 1},
        rounds=5,
    )


def es_alone() -> Work:
    """The first generations, beside libraries that train one trial at a time."""
    agents = {"num_agents": 50, "num_generations": 60}
    one = ("train", 1)
    return Work(
        "ES on Cart Pole, 50 agents, 20 trials, 60 generations",
        Contestant(
            "ours", "commenv_own", "es", 1, settings={**agents, "num_trials": 20}
        ),
        [
            Contestant("EvoTorch", "evotorch_peer", *one, "evotorch", agents),
            Contestant("SB3-contrib's ARS", "sb3_contrib_peer", *one, "sb3", agents),
        ],
        {"EvoTorch": 50, "SB3-contrib's ARS": 50},
        rounds=3,
    )


def dql() -> Work:
    """Distributed Q-learning; the plain loop takes one trial where we take 100."""
    agents = {"num_agents": 5, "num_episodes": 1000}
    ours = ("ours", "commenv_own", "dql", 1)
    plain = ("dql", 1, "gymnasium", agents)
    return Work(
        "DQL, 5 agents, 1000 episodes, 100 trials",
        Contestant(*ours, settings={**agents, "num_trials": 100}),
        [
            Contestant("Gymnasium, agent by agent", "gymnasium_peer", *plain),
            Contestant("plain Python on lists", "python_peer", *plain),
        ],
        {"Gymnasium, agent by agent": 40},
        rounds=5,
    )


def ants() -> Work:
    """The closed loop: 50 ants that run as their policies say."""
    size = {"num_agents": 50}
    threads = {**size, "num_threads": 2}
    return Work(
        "Ant, 50 agents, closed loop, 2 cores",
        Contestant("ours", "commenv_own", "ants", 40, settings=threads, cores=2),
        [
            _ant("Gymnasium, one environment, 1 core", "single", 1000),
            _ant("Gymnasium, async", "asynchronous", 20, 2, **size),
            _ant("mujoco.rollout", "physics", 20, 2, **threads),
        ],
        {"Gymnasium, one environment, 1 core": 1.7},
    )


def wrapper(added: bool) -> Work:
    """Agents share what they see, over links that lose a fifth of it."""
    size = {"num_agents": 8}
    settings = {**size, "loss": 0.2, "added": added}
    failure_api = ("failure_api_peer", "shared", 100, "failure_api", settings)
    rivals = [Contestant("failure-api", *failure_api)]
    if not added:
        rivals.append(Contestant("bare", "spread_own", "alone", 200, settings=size))
    return Work(
        f"PettingZoo wrapper, 8 agents, {'time added' if added else 'whole step'}",
        Contestant("ours", "spread_own", "told", 200, settings=settings),
        rivals,
        {"failure-api": 20} if added else {},
    )


def importing() -> Work:
    """The import, in fresh processes; at most 1.3 times as long."""
    fresh = ("importing", "fresh", 3)
    return Work(
        "import",
        Contestant("ours", *fresh, settings={"package": "commenv"}),
        [Contestant("Gymnasium", *fresh, "gymnasium", {"package": "gymnasium"})],
        {"Gymnasium": 1 / 1.3},
    )


def all_works() -> dict[str, Work]:
    """Every work, by the name that the command line takes."""
    return {
        "grid-same": simple_grid(1024, "SameStep", 6),
        "grid-next": simple_grid(1024, "NextStep", 4),
        "large-same": simple_grid(16384, "SameStep", 10),
        "large-next": simple_grid(16384, "NextStep", 10),
        "windy-same": windy_grid("SameStep"),
        "windy-next": windy_grid("NextStep"),
        "cart-pole": cart_pole(),
        "es": es(),
        "es-alone": es_alone(),
        "dql": dql(),
        "ant": ants(),
        "wrapper-added": wrapper(added=True),
        "wrapper-whole": wrapper(added=False),
        "import": importing(),
    }


def _ant(
    name: str, make: str, calls: int, cores: int = 1, **settings: Any
) -> Contestant:
    return Contestant(name, "mujoco_peer", make, calls, "mujoco", settings, cores)


def _lake(name: str, calls: int, **settings: Any) -> Contestant:
    return Contestant(name, "gymnax_peer", "frozen_lake", calls, "gymnax", settings)


def _vector(env_id: str, num_envs: int, mode: str) -> Contestant:
    settings = {"env_id": env_id, "num_envs": num_envs, "mode": mode}
    calls = GRID_CALLS[num_envs]
    return Contestant("ours", "commenv_own", "vector", calls, settings=settings)
