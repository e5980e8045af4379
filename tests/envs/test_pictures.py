import numpy as np
import pytest

from commenv.envs import make_batched
from commenv.envs.pictures import Painter, scalar_mode, shown_modes, tiled
from commenv.rng import Draws


def plain(height, width, colour):
    return np.full((height, width, 3), colour, dtype=np.uint8)


def test_pictures_stand_in_rows_with_borders():
    picture = tiled([plain(3, 4, 10), plain(2, 4, 20), plain(3, 1, 30)])
    assert picture.shape == (2 * 5 + 2, 2 * 6 + 2, 3)
    values = picture[..., 0]
    border = values[0, 0]
    assert (values[[0, 1, 5, 6, 10, 11]] == border).all()
    assert (values[:, [0, 1, 6, 7, 12, 13]] == border).all()
    assert (values[2:5, 2:6] == 10).all()
    assert (values[2:4, 8:12] == 20).all()
    assert (values[4, 8:12] == 255).all()
    assert values[7:10, 2:6].tolist() == [[30, 255, 255, 255]] * 3
    assert (values[7:10, 8:12] == 255).all()


@pytest.mark.parametrize(
    ("env_id", "modes", "pace"),
    [
        ("commenv/SimpleGrid-v0", ["human", "ansi", "rgb_array"], 4),
        ("commenv/CartPole-v1", ["human", "rgb_array"], 50),
        ("FrozenLake-v1", ["human", "ansi", "rgb_array"], 4),
    ],
)
def test_the_modes_are_those_of_the_world(env_id, modes, pace):
    assert shown_modes(env_id) == (modes, pace)


def test_only_instances_that_are_stepped_one_by_one_are_made_for_pictures():
    assert scalar_mode("commenv/CartPole-v1", "human") == {}
    assert scalar_mode("MountainCar-v0", None) == {}
    assert scalar_mode("MountainCar-v0", "human") == {"render_mode": "rgb_array"}
    assert scalar_mode("FrozenLake-v1", "ansi") == {"render_mode": "ansi"}


def test_text_of_gymnasiums_tables():
    batch = make_batched("FrozenLake-v1", 2, env_kwargs={"is_slippery": False})
    batch.reset(Draws(0, [0], 2).world(0))
    batch.step(np.array([1, 2]), np.ones(2, dtype=bool))
    painter = Painter(batch, "FrozenLake-v1", {"is_slippery": False}, text=True)
    one, other = painter.draw(0), painter.draw(1)
    painter.close()
    assert one != other
    assert "\x1b[41mF\x1b[0mHFH" in one  # the marked cell, below the start
