"""Experiment trackers that listen to a study: give them to ``commenv.run`` in a list.

    commenv.run("SimpleGrid-v0", "dql", callbacks=[TensorBoard("runs")])

Each trial has a run of its own, of the tracker's kind of runs.
"""

from collections.abc import Callable

from commenv.trackers.mlflow import MLflow
from commenv.trackers.tensorboard import TensorBoard
from commenv.trackers.tracker import Tracker
from commenv.trackers.wandb import WandB

__all__ = ["TRACKERS", "MLflow", "TensorBoard", "Tracker", "WandB"]

TRACKERS: dict[str, Callable[[str], Tracker]] = {
    "mlflow": MLflow,
    "tensorboard": TensorBoard,
    "wandb": WandB,
}
"""The trackers by the names that the command line has for them."""
