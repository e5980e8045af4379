import builtins
import pickle

import gymnasium as gym
import numpy as np
import pytest

import commenv  # noqa: F401 - registers the ids
from commenv.envs.drawing import GridScene, Window, draw_pixels, draw_text
from commenv.errors import MissingExtraError

SCENE = GridScene(("S.", ".G"))


def cell(image, row, column):
    return image[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]


def test_the_text_shows_the_map_the_agent_and_the_winds():
    assert draw_text(SCENE, 2) == "S .\nA G\n"
    windy = GridScene(SCENE.letters, (("up", 0.3), ("left", 0.25)))
    assert draw_text(windy, 0) == "wind: up 0.3, left 0.25\nA .\n. G\n"


def test_the_agent_changes_its_own_cell_alone():
    there, gone = draw_pixels(SCENE, 1), draw_pixels(SCENE, 2)
    assert there.shape == (128, 128, 3)
    assert there.dtype == np.uint8
    changed = [
        (row, column)
        for row in range(2)
        for column in range(2)
        if (cell(there, row, column) != cell(gone, row, column)).any()
    ]
    assert changed == [(0, 1), (1, 0)]


@pytest.mark.parametrize("letter", ["S", "G", "g", "H"])
def test_special_cells_look_different(letter):
    plain = draw_pixels(GridScene(("F.",)), 1)
    special = draw_pixels(GridScene((letter + ".",)), 1)
    assert (cell(plain, 0, 0) != cell(special, 0, 0)).any(axis=2).sum() > 100


@pytest.mark.parametrize(
    ("direction", "near", "far"),
    [
        ("left", np.s_[:, :32], np.s_[:, 32:]),
        ("right", np.s_[:, 32:], np.s_[:, :32]),
        ("up", np.s_[:32], np.s_[32:]),
        ("down", np.s_[32:], np.s_[:32]),
    ],
)
def test_a_wind_is_drawn_at_the_side_that_it_blows_to(direction, near, far):
    still = cell(draw_pixels(SCENE, 0), 0, 1)
    windy = GridScene(SCENE.letters, ((direction, 0.3),))
    changed = (cell(draw_pixels(windy, 0), 0, 1) != still).any(axis=2)
    assert changed[near].sum() > 40
    assert not changed[far].any()


def test_a_stronger_wind_is_darker():
    def ink(chance):
        return int(draw_pixels(GridScene(("..",), (("up", chance),)), 1)[:, :64].sum())

    assert ink(0.5) < ink(0.1)


def test_large_grids_have_small_cells():
    assert draw_pixels(GridScene(("." * 30,) * 20), 0).shape == (20 * 25, 30 * 25, 3)


def test_a_picture_is_the_callers_to_change():
    draw_pixels(SCENE, 0)[:] = 0
    assert draw_pixels(SCENE, 0).any()


def test_the_wind_of_the_environment_is_in_its_picture():
    still = gym.make("SimpleGrid-v0", render_mode="rgb_array")
    windy = gym.make("WindyGrid-v0", render_mode="rgb_array")
    calm = gym.make("WindyGrid-v0", render_mode="rgb_array", wind={"up": 0.0})
    for env in (still, windy, calm):
        env.reset(seed=0)
    assert (still.render() != windy.render()).any()
    assert (still.render() == calm.render()).all()


def test_human_rendering_shows_every_step_and_closes(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    env = gym.make("SimpleGrid-v0", render_mode="human")
    monkeypatch.setitem(env.unwrapped.metadata, "render_fps", 1000)
    env.reset(seed=0)
    env.step(1)
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert (shown == draw_pixels(env.unwrapped.scene, 1)).all()
    pickle.dumps(env)
    env.close()
    assert pygame.display.get_surface() is None


def test_human_rendering_without_pygame_names_the_extra(monkeypatch):
    real_import = builtins.__import__

    def without_pygame(name, *args, **kwargs):
        if name == "pygame":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pygame)
    with pytest.raises(MissingExtraError, match=r"\[render\]"):
        Window().show(draw_pixels(SCENE, 0), 4)


def test_render_without_a_mode_warns_as_gymnasium_does():
    env = gym.make("SimpleGrid-v0").unwrapped
    env.reset(seed=0)
    with pytest.warns(UserWarning, match='render_mode="rgb_array"'):
        assert env.render() is None
