"""How far a study grows: a crowd of agents, many trials, and what is left on disk.

- A study of distributed Q-learning with 100,000 agents: its time, its peak memory for
  each agent, and whether everything adds up (as `commenv verify` finds it). The same
  crowd on links that lose and delay messages, in both directions: every message has one
  fate, and the bytes are those of the records.
- The cost of an agent's episode with 5 to 5,000 agents, and of a trial among 1 to
  1,000, each relative to the smallest study; it should not rise.
- The thesis' study (5 agents, 100 trials, 1,000 episodes): its folder beside a nested
  JSON of every step, and its peak memory.

Every measurement is a process of its own. Memory is the most that a process held, less
what it held once everything was loaded.

    python benchmarks/scale.py [--agents 100000] [--repetitions 3] [--figure PATH]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

WORLD = "SimpleGrid-v0"
AGENTS = (5, 50, 500, 5000)
TRIALS = (1, 10, 100, 1000)
EPISODES = 400
MOST_ON_DISK = 5e6
MOST_IN_MEMORY = 400e6
MOST_RISE = 1.1


def peak() -> int:
    """The most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def study(agents: int, trials: int, episodes: int, out: str | None = None) -> dict:
    """Runs a study; processor seconds, and bytes of memory."""
    from commenv_baselines import compiled  # noqa: F401 - before the clock starts

    import commenv

    commenv.run(WORLD, num_trials=1, num_episodes=EPISODES, progress=False)
    before, began = peak(), time.process_time()
    commenv.run(
        WORLD,
        num_agents=agents,
        num_trials=trials,
        num_episodes=episodes,
        out=out,
        progress=False,
    )
    seconds = time.process_time() - began
    return {"seconds": seconds, "loaded": before, "grown": peak() - before}


def crowd(agents: int, episodes: int) -> dict:
    """The study of a crowd, and what `commenv verify` says of its folder."""
    from commenv.study.verification.verifier import verify

    with tempfile.TemporaryDirectory() as out:
        cost = study(agents, 1, episodes, out)
        found = verify(out)
        return cost | {"holds": found.holds, "report": str(found)}


def lossy_crowd(agents: int, episodes: int) -> dict:
    """A crowd whose messages and broadcasts are lost and late: does all add up?"""
    import commenv
    from commenv.channel import BernoulliLoss, Chain, Channel, Delay, Fate, Unit

    link = Chain(BernoulliLoss(0.1), Delay(0, spread=2))
    env = commenv.batched_env(
        WORLD, 1, agents, uplink=Channel(link=link), downlink=Channel(link=link)
    )
    before, rounds = peak(), rounds_of(env, episodes)
    steps, versions = np.zeros(env.shape, dtype=np.int64), 0
    for metrics in rounds.play(episodes):
        steps += metrics.episode_length
        held = env.receive_versions()
        versions = max(versions, len(held.records))
    told = rounds.learner.parameters().dtype.itemsize
    says = {"uplink": 20 * steps, "downlink": np.full(env.shape, told * episodes)}
    wrong = []
    for direction, payload in says.items():
        ledger = getattr(env, direction).ledger
        if not (ledger.attempted(Unit.PAYLOAD) == payload).all():
            wrong.append(f"{direction}: bytes are not those of the records")
        for unit in Unit:
            fates = sum(ledger.count(fate, unit) for fate in Fate)
            if not (ledger.attempted(unit) == fates).all():
                wrong.append(f"{direction}: {unit.name} do not add up")
    lost = int(env.uplink.ledger.count(Fate.LOST).sum())
    return {"grown": peak() - before, "wrong": wrong, "lost": lost, "alive": versions}


def rounds_of(env: Any, episodes: int) -> Any:
    """Rounds of distributed Q-learning in an environment."""
    from commenv_baselines.dql import DQL

    from commenv.learning import Always, ExactEvaluator, Problem, Rounds
    from commenv.rng import Draws

    mdp, limit = env.instances.world.mdp, env.instances.world.max_episode_steps
    problem = Problem(
        draws=Draws(0, [0], env.shape[1]),
        observation_space=env.single_observation_space,
        action_space=env.single_action_space,
        gamma=env.instances.gamma,
        num_episodes=episodes,
        evaluator=ExactEvaluator(mdp, env.instances.gamma, limit, 1),
        mdp=mdp,
    )
    dql = DQL()
    return Rounds(env, dql.agents(problem), dql.learner(problem), Always(), seed=0)


def thesis(trials: int, episodes: int) -> dict:
    """The thesis' study: bytes of its folder, and of memory."""
    with tempfile.TemporaryDirectory() as out:
        cost = study(5, trials, episodes, out)
        files = [path for path in Path(out).rglob("*") if path.is_file()]
        return cost | {"disk": sum(path.stat().st_size for path in files)}


def nested_json(trials: int, episodes: int) -> dict:
    """Bytes of a nested JSON of every step, as many for each trial as for one."""
    import commenv

    steps: list[list[list]] = []

    class Notes:
        def on_step(self, episode, index, active, observations, actions, step):
            if episode == len(steps):
                steps.append([[] for _ in active])
            for row in np.flatnonzero(active):
                one = {
                    "state": int(observations[row]),
                    "action": int(actions[row]),
                    "reward": float(step.rewards[row]),
                    "next_state": int(step.observations[row]),
                    "terminated": bool(step.terminated[row]),
                }
                steps[episode][row].append(one)

    env = commenv.batched_env(WORLD, 1, 5)
    env.instances.observer = Notes()
    for _ in rounds_of(env, episodes).play(episodes):
        pass
    return {"disk": trials * len(json.dumps(steps))}


def measured(name: str, *arguments: int) -> dict[str, Any]:
    """Calls a function of this file in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def growth(repetitions: int) -> dict[str, list[float]]:
    """Costs relative to the smallest study's: medians over interleaved repetitions."""
    sizes = {"agents": [(n, 1) for n in AGENTS], "trials": [(5, n) for n in TRIALS]}
    costs = {}
    for what, shapes in sizes.items():
        turns = []
        for _ in range(repetitions):
            turn = []
            for agents, trials in shapes:
                seconds = measured("study", agents, trials, EPISODES)["seconds"]
                turn.append(seconds / (agents * trials))
            turns.append([cost / turn[0] for cost in turn])
        costs[what] = [statistics.median(column) for column in zip(*turns, strict=True)]
    return costs


def draw(costs: dict[str, list[float]], path: Path) -> None:
    """Draws the growth, for agents and for trials."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    panels = (
        (axes[0], AGENTS, "agents", "agents (1 trial)", "cost of an agent's episode"),
        (axes[1], TRIALS, "trials", "trials (5 agents)", "cost of a trial"),
    )
    for axis, sizes, what, label, title in panels:
        axis.axhline(1, color="0.7", linewidth=1)
        axis.loglog(sizes, costs[what], marker="o")
        for size, cost in zip(sizes, costs[what], strict=True):
            axis.annotate(
                f"{cost:.2g}",
                (size, cost),
                textcoords="offset points",
                xytext=(6, 5),
            )
        axis.set(xlabel=label, title=title, xticks=sizes, ylim=(None, 3))
        axis.set_xticklabels([f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set_xlim(sizes[0] / 1.6, sizes[-1] * 5)
    axes[0].set_ylabel("relative to the smallest")
    figure.savefig(path, dpi=110)


def report_crowds(agents: int) -> list[str]:
    """Prints what crowds need and whether they add up; what is missed."""
    many = measured("crowd", agents, 15)
    print(
        f"{agents:,} agents, 1 trial, 15 episodes: {many['seconds']:.1f} s of processor"
        f" time, {many['grown'] / 1e6:,.0f} MB more than the "
        f"{many['loaded'] / 1e6:.0f} MB that were loaded, "
        f"{many['grown'] / agents:,.0f} bytes an agent\n{many['report']}"
    )
    lossy = measured("lossy_crowd", agents, 6)
    print(
        f"{agents:,} agents on lossy, late links, 6 episodes: "
        f"{lossy['grown'] / agents:,.0f} bytes an agent, {lossy['lost']:,} messages "
        f"lost, up to {lossy['alive']} versions held, "
        + ("; ".join(lossy["wrong"]) or "every message has one fate, bytes add up")
    )
    return lossy["wrong"] + ["verification"] * (not many["holds"])


def report_disk(trials: int, episodes: int) -> list[str]:
    """Prints what the thesis' study needs on disk and in memory; what is missed."""
    kept = measured("thesis", trials, episodes)
    written = measured("nested_json", trials, episodes)
    held = kept["loaded"] + kept["grown"]
    print(
        f"5 agents, {trials} trials, {episodes:,} episodes: {kept['disk'] / 1e6:.2f} MB"
        f" on disk (at most {MOST_ON_DISK / 1e6:.0f}); nested JSON would be "
        f"{written['disk'] / 1e6:,.0f} MB, {written['disk'] / kept['disk']:,.0f} times "
        f"as much; {held / 1e6:.0f} MB of memory (at most {MOST_IN_MEMORY / 1e6:.0f})"
    )
    missed = ["size on disk"] * (kept["disk"] > MOST_ON_DISK)
    return missed + ["memory"] * (held > MOST_IN_MEMORY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="where to draw the growth")
    parser.add_argument("--measure", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        name, *arguments = chosen.measure
        print(json.dumps(globals()[name](*map(int, arguments))))
        return
    missed = report_crowds(chosen.agents)
    costs = growth(chosen.repetitions)
    for what, sizes in (("agents", AGENTS), ("trials", TRIALS)):
        pairs = zip(sizes, costs[what], strict=True)
        found = ", ".join(f"{size:,}: {cost:.3f}" for size, cost in pairs)
        print(f"cost by {what}, relative to the smallest study: {found}")
        if max(costs[what]) > MOST_RISE:
            missed.append(f"cost by {what}")
    missed += report_disk(100, 1000)
    if chosen.figure:
        draw(costs, chosen.figure)
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
