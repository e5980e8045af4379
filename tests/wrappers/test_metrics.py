from dataclasses import fields

import numpy as np
import pytest

from commenv.wrappers import Metrics


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (3, 5), (40, 8), (6, 1000)])
def test_means_over_agents_are_those_of_each_metric_by_itself(shape):
    rng = np.random.default_rng(shape)
    values = {
        field.name: rng.normal(size=shape)
        if "float64" in str(field.type)
        else rng.integers(1000, size=shape)
        for field in fields(Metrics)
    }
    means = Metrics(**values).mean_over_agents()
    for name, array in values.items():
        assert means[name].tolist() == array.mean(axis=1).tolist(), name
