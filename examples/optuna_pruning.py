"""Which step size suits distributed Q-learning? Optuna asks, and prunes bad trials.

Run it with ``python examples/optuna_pruning.py``, after ``pip install optuna``.
"""

import optuna

from commenv import Callback, StopTrial, run


def value(trial):
    class Pruner(Callback):
        def on_evaluation(self, measured):
            trial.report(measured.values["evaluation"], measured.round)
            if trial.should_prune():
                raise StopTrial

    own = {"alpha": trial.suggest_float("alpha", 0.001, 1.0, log=True)}
    found = run("SimpleGrid-v0", num_trials=1, settings=own, callbacks=[Pruner()])
    if found.pruned:
        raise optuna.TrialPruned
    return found.frame["evaluation"].iloc[-1]


(study := optuna.create_study(direction="maximize")).optimize(value, n_trials=20)
print(study.best_params)
