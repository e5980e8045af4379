import copy
import json
import pickle

import numpy as np
import pytest

from commenv.wrappers.telling import Numbers

NUMBERS = {"sent": 2, "left": np.inf, "reward": -1.5}


def test_numbers_by_name_are_a_dictionary():
    numbers = Numbers(NUMBERS)
    assert numbers == NUMBERS
    assert json.dumps(numbers) == json.dumps(NUMBERS)
    assert repr(numbers) == repr(NUMBERS)
    assert pickle.loads(pickle.dumps(numbers)) == copy.deepcopy(numbers) == NUMBERS


def test_numbers_by_name_are_a_vector_in_their_order():
    vector = np.asarray(Numbers(NUMBERS))
    assert vector.dtype == np.float64
    assert vector.tolist() == [2, np.inf, -1.5]
    assert np.asarray(Numbers(NUMBERS), np.float32).dtype == np.float32
    assert np.from_dlpack(Numbers(NUMBERS)).tolist() == [2, np.inf, -1.5]
    assert np.asarray(Numbers()).shape == (0,)
    with pytest.raises(ValueError, match="being copied"):
        np.asarray(Numbers(NUMBERS), copy=False)


def test_torch_takes_numbers_by_name_for_a_vector():
    torch = pytest.importorskip("torch")
    for make in (torch.as_tensor, torch.tensor):
        tensor = make(Numbers(NUMBERS))
        assert tensor.dtype == torch.float64
        assert tensor.tolist() == [2, np.inf, -1.5]
