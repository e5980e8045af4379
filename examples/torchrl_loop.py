"""TorchRL trains three agents that move and talk, with a budget for what they say.

Simple Spread's agents may tell everybody one of five words, ten times an episode, over
a link that loses every tenth copy. PPO chooses move, word and silence together, from
flat observations and actions. Each line shows the ledger so far: copies of words by
their fate, and the bytes that left. It needs torchrl and mpe2, and a minute; run it
with ``python examples/torchrl_loop.py``.
"""

import torch
from gymnasium import spaces
from mpe2 import simple_spread_v3
from tensordict.nn import TensorDictModule
from torch import distributions as dist
from torchrl.collectors import Collector
from torchrl.envs import PettingZooWrapper
from torchrl.modules import MultiAgentMLP, ProbabilisticActor
from torchrl.objectives import ClipPPOLoss, ValueEstimators

from commenv import BernoulliLoss, Budget, CommunicationBudget, Fate, Unit

SIZES = MOVES, WORDS, SAID = 5, 5, 2
KEYS = ("action", "sample_log_prob", "value", "reward", "done", "terminated")
FATES = (Fate.DELIVERED, Fate.REFUSED, Fate.LOST)


class Choices(dist.Independent):
    """A move, a word, and whether to say it: three choices, scored together."""

    def __init__(self, logits: torch.Tensor) -> None:
        parts = [
            torch.nn.functional.pad(part, (0, max(SIZES) - part.shape[-1]), value=-1e9)
            for part in logits.split(SIZES, dim=-1)
        ]
        super().__init__(dist.Categorical(logits=torch.stack(parts, dim=-2)), 1)


def network(num_inputs: int, num_outputs: int, key: str) -> TensorDictModule:
    """One network for all agents, each with its own observation."""
    net = MultiAgentMLP(
        num_inputs, num_outputs, 3, centralized=False, share_params=True
    )
    return TensorDictModule(net, [("agent", "observation")], [("agent", key)])


def main(num_batches: int = 20, batch_size: int = 1000, seed: int = 0) -> None:
    torch.manual_seed(seed)
    talk = CommunicationBudget(
        simple_spread_v3.parallel_env(max_cycles=25),
        message_space=spaces.Discrete(WORDS),
        budget=Budget(messages=10, per="episode"),
        link=BernoulliLoss(0.1),
        flatten=True,
    )
    env = PettingZooWrapper(talk, seed=seed)
    width = env.observation_spec["agent", "observation"].shape[-1]
    policy = ProbabilisticActor(
        network(width, sum(SIZES), "logits"),
        spec=env.action_spec,
        in_keys=[("agent", "logits")],
        out_keys=[("agent", "action")],
        distribution_class=Choices,
        return_log_prob=True,
        log_prob_key=("agent", "sample_log_prob"),
    )
    loss = ClipPPOLoss(policy, network(width, 1, "value"))
    loss.set_keys(**{key: ("agent", key) for key in KEYS})
    loss.make_value_estimator(ValueEstimators.GAE, gamma=0.95, lmbda=0.9)
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-3)
    frames = Collector(
        env,
        policy,
        frames_per_batch=batch_size,
        total_frames=num_batches * batch_size,
        auto_register_policy_transforms=False,
    )
    print("batch  reward  attempted  delivered  refused   lost  bytes")
    for number, batch in enumerate(frames):
        with torch.no_grad():
            loss.value_estimator(batch)
        for _ in range(10):
            terms = loss(batch)
            optimiser.zero_grad()
            sum(terms[f"loss_{part}"] for part in ("objective", "critic")).backward()
            optimiser.step()
        reward = batch["next", "agent", "reward"].mean()
        delivered, refused, lost = (talk.ledger.count(fate).sum() for fate in FATES)
        print(
            f"{number:5}  {reward:6.3f}  {talk.ledger.attempted().sum():9}  "
            f"{delivered:9}  {refused:7}  {lost:5}  "
            f"{talk.ledger.sent(Unit.PAYLOAD).sum():5}"
        )
    frames.shutdown()


if __name__ == "__main__":
    torch.set_num_threads(1)  # such small networks gain nothing from more
    main()
