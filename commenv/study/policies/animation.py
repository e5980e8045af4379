"""A trained policy's episode as an animated picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled
from numpy.typing import NDArray

from commenv.envs.making import find_spec
from commenv.errors import MissingExtraError, ResultsError
from commenv.rng import Draws
from commenv.study.policies.loader import TrainedPolicy
from commenv.study.storage.files import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Drawn", "Film", "check_picture", "draw"]

_MOST_FRAMES = 250  # of longer episodes every other step is shown, or every fourth ...
_LEAST_MILLISECONDS = 20  # viewers slow down what is quicker
_LAST_MILLISECONDS = 1000
_DEFAULT_FPS = 10.0
_EXTRAS = {"pygame": "render", "mujoco": "mujoco"}


class Drawn(NamedTuple):
    """What an animated picture shows.

    Attributes:
        frames: How many pictures it has.
        steps: Steps of the episode.
        total: Its return, without a discount.
    """

    frames: int
    steps: int
    total: float


def check_picture(path: str | Path) -> None:
    """Checks, before anything is played, that a picture can be made.

    Raises:
        ValueError: A suffix other than ``.gif``.
        MissingExtraError: The extra ``study`` is not installed.
    """
    if Path(path).suffix.lower() != ".gif":
        raise ValueError(f"{str(path)!r} is no .gif; the picture is an animated GIF")
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("an animated picture", "study") from error


def draw(policy: TrainedPolicy, path: str | Path, *, seed: int = 0) -> Drawn:
    """Draws one episode in the environment's own pictures: that of the first agent.

    Args:
        policy: Who acts.
        path: Where to, a ``.gif``; folders are made as needed.
        seed: Of the episode.

    Raises:
        ValueError: Another suffix.
        ResultsError: The environment makes no pictures, or not on this machine.
        MissingExtraError: The extra that draws it is not installed.
        OSError: The file cannot be written.
    """
    check_picture(path)
    env, film, total = _make(policy), Film(), 0.0
    try:
        for pixels, reward in _episode(policy, env, seed):
            film.add(pixels)
            total += reward
        data = film.gif(env.metadata.get("render_fps") or _DEFAULT_FPS)
    finally:
        env.close()
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, data)
    return Drawn(len(film.frames), film.steps, total)


class Film:
    """The pictures of an episode; of a long one, evenly spread ones and the last.

    Attributes:
        frames: The pictures so far.
        steps: How many steps they are from the first to the last.
    """

    def __init__(self) -> None:
        self.frames: list[Image] = []
        self.steps = -1  # the first picture is of the start
        self._stride = 1

    def add(self, pixels: NDArray[np.uint8]) -> None:
        """Takes the picture after a step: uint8, shape (height, width, 3)."""
        self.steps += 1
        self._last = pixels
        if self.steps % self._stride == 0:
            self.frames.append(_image(pixels))
        if len(self.frames) > _MOST_FRAMES:
            self.frames, self._stride = self.frames[::2], 2 * self._stride

    def gif(self, frames_per_second: float) -> bytes:
        """The content of a file that plays in the environment's own time."""
        if self.steps % self._stride:
            self.frames.append(_image(self._last))
        each = self._stride * max(_LEAST_MILLISECONDS, round(1000 / frames_per_second))
        first, *others = self.frames
        buffer = io.BytesIO()
        first.save(
            buffer,
            "GIF",
            save_all=True,
            append_images=others,
            duration=[*(each for _ in others), _LAST_MILLISECONDS],
            loop=0,
        )
        return buffer.getvalue()


def _image(pixels: NDArray[np.uint8]) -> Image:
    """A picture with a palette of its own, which takes a third of the memory."""
    import PIL.Image

    return PIL.Image.fromarray(pixels).quantize(256)


def _episode(
    policy: TrainedPolicy, env: gym.Env[Any, Any], seed: int
) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Each picture of an episode, with the reward of the step before it."""
    name, done = policy.arm.environment, False
    draws = Draws(seed, [policy.trial], 1, owner="picture")
    start = draws.seeds("picture", 0)
    observation, _ = env.reset(seed=int(start[0, 0]))
    yield _pixels(env, name), 0.0
    while not done:
        action = policy.act(observation)
        observation, reward, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
        yield _pixels(env, name), float(reward)


def _make(policy: TrainedPolicy) -> gym.Env[Any, Any]:
    """The environment's scalar form, which has pictures."""
    arm = policy.arm
    arguments = {**arm.arguments(), "render_mode": "rgb_array"}
    try:
        env = gym.make(
            find_spec(arm.environment),
            max_episode_steps=arm.time_limit,
            disable_env_checker=True,
            **arguments,
        )
    except Exception as error:  # whatever a foreign constructor may raise
        raise _undrawable(arm.environment, error) from error
    if env.unwrapped.render_mode != "rgb_array":
        raise ResultsError(f"{arm.environment} makes no pictures (rgb_array)")
    return env


def _pixels(env: gym.Env[Any, Any], name: str) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error says it
            pixels = np.asarray(env.render())
    except Exception as error:  # whatever a foreign renderer may raise
        raise _undrawable(name, error) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ResultsError(f"{name} makes no pictures of shape (height, width, 3)")
    return pixels


def _undrawable(name: str, error: Exception) -> Exception:
    """The error that names the extra, where one is missing, or else the reason."""
    if isinstance(error, (ImportError, DependencyNotInstalled)):
        for module, extra in _EXTRAS.items():
            if module in str(error):
                return MissingExtraError(f"drawing {name}", extra)
    hint = ""
    if "mujoco" in type(error).__module__ or "GL" in str(error):
        hint = "; without a display, set MUJOCO_GL=egl or MUJOCO_GL=osmesa"
    return ResultsError(
        f"{name} cannot be drawn here ({type(error).__name__}: {error}){hint}"
    )
