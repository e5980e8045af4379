"""The dynamics of Cart Pole, said once for NumPy and for compiled code.

:func:`accelerations` takes arrays or numbers. NumPy computes with it as it is, and
where Numba is installed, :func:`compiled_dynamics` compiles it. IEEE 754 rounds sums,
products and quotients in one way, and Numba neither reorders nor fuses them, so both
give the same bits. Sine and cosine are rounded as their library likes. They are
arguments, therefore, and always NumPy's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from numpy.typing import NDArray

from commenv.compiling import compiled
from commenv.rng.streams import take_from_blocks

__all__ = [
    "Compiled",
    "CompiledLater",
    "Constants",
    "Decide",
    "accelerations",
    "compiled_dynamics",
    "start_from",
]

# Compiled, a step takes less time by some 15 microseconds, and 30 nanoseconds for each
# instance. To load Numba takes most of a second, and to load code of this package, once
# it is there, up to a tenth of one.
_AS_MANY_AS_A_CALL = 500
_WORTH_LOADING_NUMBA = 25_000_000
_WORTH_LOADING_CODE = 3_000_000


class Decide(Protocol):
    """What plays whole episodes: see :meth:`CartPoleBatch.play`."""

    def __call__(
        self, observations: NDArray[np.float32], width: int, holes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """One action for each of the first ``width`` columns.

        Args:
            observations: Shape (4, num_envs), to be read in the first columns.
            width: How many instances' episodes go on. It is all of them at first.
            holes: The columns that were filled since the last call: first by the last
                column of then, then by the one before it, and so on.

        Returns:
            int64, of at least ``width``.
        """


_LOW, _HIGH = -0.05, 0.05  # of every number of a start state


class Constants(NamedTuple):
    """Gymnasium's constants, as floats, or as arrays where NumPy computes with them."""

    gravity: Any
    masspole: Any
    total_mass: Any
    length: Any
    polemass_length: Any
    tau: Any
    far: Any
    steep: Any
    force: Any
    four_thirds: Any

    @classmethod
    def of(cls, world: CartPoleEnv) -> Constants:
        """The constants of an environment."""
        own = [getattr(world, name) for name in cls._fields[:6]]
        edges = [world.x_threshold, world.theta_threshold_radians]
        return cls(*map(float, (*own, *edges, world.force_mag, 4.0 / 3.0)))

    def as_arrays(self) -> Constants:
        """The same as arrays without axes: NumPy takes longer over Python's floats."""
        return Constants(*map(np.array, self))


def accelerations(turning, sine, cosine, force, world):  # type: ignore[no-untyped-def]
    """Gymnasium's formulas; the order of their operations decides about the last bits.

    Args:
        turning: The pole's angular velocity, a number or an array of any shape, as are
            all but the last.
        sine: Of the pole's angle.
        cosine: Of the pole's angle.
        force: On the cart.
        world: The constants.

    Returns:
        The accelerations of the cart and of the pole's angle.
    """
    push = force + world.polemass_length * (turning * turning) * sine
    push = push / world.total_mass
    inertia = world.four_thirds - world.masspole * (cosine * cosine) / world.total_mass
    leaning = (world.gravity * sine - cosine * push) / (world.length * inertia)
    sliding = push - world.polemass_length * leaning * cosine / world.total_mass
    return sliding, leaning


def start_from(uniforms):  # type: ignore[no-untyped-def]
    """Numbers of start states; the sum and product are those of Generator.uniform."""
    return _LOW + (_HIGH - _LOW) * uniforms


def begin(rows, uniforms, states, elapsed, observations):  # type: ignore[no-untyped-def]
    """Starts an episode in some instances, for compilation.

    Args:
        rows: intp, which.
        uniforms: float64, shape (len(rows), 4).
        states: float64, shape (4, n), written to.
        elapsed: int64, shape (n,), written to: 0.
        observations: float32, shape (n, 4), written to.
    """
    for place in range(len(rows)):
        row = rows[place]
        elapsed[row] = 0
        for number in range(4):
            started = start_from(uniforms[place, number])
            states[number, row] = observations[row, number] = started


def move(  # type: ignore[no-untyped-def]
    states, sines, cosines, actions, active, world, paid, observations, rewards, fallen
):
    """Moves the active instances by one step of Euler's method, for compilation.

    Args:
        states: float64, shape (4, n), written to.
        sines: Of the angles in ``states``, shape (n,), NumPy's.
        cosines: The same.
        actions: int64, shape (n,).
        active: bool, shape (n,).
        world: The constants, floats.
        paid: The rewards of a step that goes on, and of one that lets the pole fall.
        observations: float32, shape (n, 4), written to: those of all.
        rewards: float64, shape (n,), written to: 0 where not active.
        fallen: bool, shape (n,), written to: who fell in this step.

    Returns:
        Whether all active instances were given an action that there is. If not,
        nothing has moved.
    """
    count = len(actions)
    wrong = 0
    for row in range(count):
        wrong += active[row] and not 0 <= actions[row] <= 1
    if wrong:
        return False
    positions, velocities, angles, turnings = states[0], states[1], states[2], states[3]
    for row in range(count):
        force = world.force if actions[row] == 1 else -world.force
        sliding, leaning = accelerations(
            turnings[row], sines[row], cosines[row], force, world
        )
        position = positions[row] + world.tau * velocities[row]
        velocity = velocities[row] + world.tau * sliding
        angle = angles[row] + world.tau * turnings[row]
        turning = turnings[row] + world.tau * leaning
        # A choice of numbers instead of a branch lets one instruction do several rows.
        acts = active[row]
        positions[row] = position if acts else positions[row]
        velocities[row] = velocity if acts else velocities[row]
        angles[row] = angle if acts else angles[row]
        turnings[row] = turning if acts else turnings[row]
    for row in range(count):
        falls = abs(positions[row]) > world.far
        falls |= abs(angles[row]) > world.steep
        falls &= active[row]
        fallen[row] = falls
        rewards[row] = (paid[1] if falls else paid[0]) if active[row] else 0.0
    for row in range(count):
        for place in range(4):
            observations[row, place] = states[place, row]
    return True


def move_on(  # type: ignore[no-untyped-def]
    states,
    sines,
    cosines,
    actions,
    width,
    world,
    step,
    rows,
    observations,
    lengths,
    fallen,
    holes,
):
    """Moves the instances whose episodes go on, and closes up, for compilation.

    They stand side by side in the first columns. Where one falls, the last takes its
    place.

    Args:
        states: float64, shape (4, n), written to.
        sines: Of the angles in the first columns, NumPy's.
        cosines: The same.
        actions: int64, of the first columns: 0 or 1.
        width: How many go on.
        world: The constants, floats.
        step: How many steps there were with this one.
        rows: intp, shape (n,): which instance each column is; written to.
        observations: float32, shape (4, n), written to: of those that go on.
        lengths: int64, shape (n,), written to: ``step`` for the instances that fell.
        fallen: bool, shape (n,), written to: True for these.
        holes: int64, shape (n,), written to: the columns that were filled, in order;
            first by the last column, then by the one before, and so on.

    Returns:
        How many still go on.
    """
    positions, velocities, angles, turnings = states[0], states[1], states[2], states[3]
    falls = 0
    for column in range(width):
        force = world.force if actions[column] == 1 else -world.force
        sliding, leaning = accelerations(
            turnings[column], sines[column], cosines[column], force, world
        )
        positions[column] += world.tau * velocities[column]
        velocities[column] += world.tau * sliding
        angles[column] += world.tau * turnings[column]
        turnings[column] += world.tau * leaning
        falls += abs(positions[column]) > world.far or abs(angles[column]) > world.steep
    left, column = width, 0 if falls else width
    while column < left:
        if abs(positions[column]) > world.far or abs(angles[column]) > world.steep:
            lengths[rows[column]], fallen[rows[column]] = step, True
            holes[width - left] = column
            left -= 1
            rows[column] = rows[left]
            for place in range(4):
                states[place, column] = states[place, left]
        else:
            column += 1
    for place in range(4):
        for column in range(left):
            observations[place, column] = states[place, column]
    return left


class Compiled(NamedTuple):
    """What of this file is compiled, and what hands out its random numbers.

    Attributes:
        begin: :func:`begin`.
        move: :func:`move`.
        move_on: :func:`move_on`.
        take: :func:`commenv.rng.take_from_blocks`.
    """

    begin: Callable[..., None]
    move: Callable[..., bool]
    move_on: Callable[..., int]
    take: Callable[..., tuple[int, int]]


@cache
def compiled_dynamics() -> Compiled:
    """The compiled form; each part is compiled, or read, when it is first called.

    Raises:
        ImportError: Numba is not installed.
    """
    formulas = compiled(accelerations)
    return Compiled(
        compiled(begin, start_from=compiled(start_from)),
        compiled(move, accelerations=formulas),
        compiled(move_on, accelerations=formulas),
        compiled(take_from_blocks),
    )


class CompiledLater:
    """The compiled form, once it is worth its loading, where Numba is installed.

    Both forms give the same bits, so nobody sees when the one takes over.

    Args:
        num_envs: Instances that each step moves.

    Attributes:
        steps: So far, until steps are compiled: -1 from then on.
    """

    def __init__(self, num_envs: int) -> None:
        self.steps = 0
        self._num_envs = num_envs

    def __call__(self) -> Compiled | None:
        """Counts a step; the compiled form, if it is to take it."""
        if self.steps < 0:
            return compiled_dynamics()
        self.steps += 1
        steps = self.steps * (self._num_envs + _AS_MANY_AS_A_CALL)
        if steps < _WORTH_LOADING_CODE:
            return None
        if steps < _WORTH_LOADING_NUMBA and "numba" not in sys.modules:
            return None
        try:
            compiled_dynamics()
        except ImportError:
            self.steps = 0  # it asks again after as many steps
            return None
        self.steps = -1
        return compiled_dynamics()
