"""The MuJoCo robots: Ant, Half Cheetah, Hopper, Humanoid and Walker2d.

This module can be imported without MuJoCo.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.envs.mujoco import MujocoBatch, Seen

__all__ = [
    "AntBatch",
    "HalfCheetahBatch",
    "HopperBatch",
    "HumanoidBatch",
    "Walker2dBatch",
]

_SPATIAL = 6  # numbers of a force or velocity of a body; body 0 is the world


class AntBatch(MujocoBatch):
    """Many four-legged ants that learn to run: Gymnasium's `Ant-v5` as a batch.

    ## Description
    Equal to Gymnasium's environment bit for bit, from the same seeds and actions;
    `gym.make("commenv/Ant-v5")` makes Gymnasium's own class with a channel. See
    https://gymnasium.farama.org/environments/mujoco/ant/ for pictures and names of
    the joints.

    ## Action Space
    `Box(-1, 1, (8,), float32)`: the torques at the hips and ankles. An action outside
    it raises `ValueError`; clip it first.

    ## Observation Space
    `Box(105)`, float64: 13 positions (height, orientation, joints), 14 velocities and
    78 contact forces, clipped to `contact_force_range`. Without the forces
    (`include_cfrc_ext_in_observation=False`) 27.

    ## Starting State
    The standing ant; to every position a number uniform within `reset_noise_scale`
    is added, to every velocity a normal one of that standard deviation.

    ## Rewards
    Velocity of the torso along x (m/s), plus 1 while healthy, minus 0.5 times the sum
    of squared torques, minus 0.0005 times the sum of squared clipped contact forces.

    ## Episode End
    Termination when the ant is unhealthy: a number of its state is not finite, or its
    height is outside `healthy_z_range`, [0.2, 1] m. Truncation after
    `max_episode_steps` (1000 for the registered id) without such an end.

    ## Information
    None: a batch has no `info`; that of the scalar form is Gymnasium's, and what a
    channel tells (:class:`commenv.wrappers.MessageChannel`).

    ## Arguments
    - `num_envs`: how many instances, at least 1.
    - `max_episode_steps`: the time limit, or None.
    - `num_threads`: how many threads step them; one for each processor.
    - All others are Gymnasium's, such as `ctrl_cost_weight`, `healthy_z_range` and
      `include_cfrc_ext_in_observation`.

    ## Vectorized
    There is no native vector form, because `info` is not computed;
    `gym.make_vec("commenv/Ant-v5")` makes the sync form.

    ## Version History
    - v5: first version; the number is that of Gymnasium's environment.
    """

    robot = "Ant"
    skipped_positions = 2
    normal_velocities = True

    def _fields(self, data: Any) -> Seen:
        return {
            "qpos": data.qpos,
            "qvel": data.qvel,
            "place": data.body(self._given.main_body).xpos[:1],
            "cfrc_ext": data.cfrc_ext,
        }

    def _observe(self, seen: Seen) -> list[NDArray[np.float64]]:
        parts = [self._positions(seen), seen["qvel"]]
        if self._given.include_cfrc_ext_in_observation:
            parts.append(self._forces(seen)[:, _SPATIAL:])
        return parts

    def _place(self, seen: Seen) -> NDArray[np.float64]:
        return seen["place"][:, 0]

    def _healthy(self, seen: Seen) -> NDArray[np.bool_]:
        low, high = self._given.healthy_z_range
        height = seen["qpos"][:, 2]
        finite = np.isfinite(seen["qpos"]).all(axis=1)
        finite &= np.isfinite(seen["qvel"]).all(axis=1)
        return finite & (low <= height) & (height <= high)

    def _costs(self, controls: NDArray[np.float32], seen: Seen) -> NDArray[Any]:
        contact = np.square(self._forces(seen)).sum(axis=1)
        weight = self._given.contact_cost_weight
        return super()._costs(controls, seen) + weight * contact

    def _forces(self, seen: Seen) -> NDArray[np.float64]:
        return np.clip(seen["cfrc_ext"], *self._given.contact_force_range)


class _Planar(MujocoBatch):
    """What the robots have in common that live in a vertical plane."""

    def _fields(self, data: Any) -> Seen:
        return {"qpos": data.qpos, "qvel": data.qvel}

    def _observe(self, seen: Seen) -> list[NDArray[np.float64]]:
        return [self._positions(seen), np.clip(seen["qvel"], -10, 10)]

    def _healthy(self, seen: Seen) -> NDArray[np.bool_]:
        height, angle = seen["qpos"][:, 1], seen["qpos"][:, 2]
        low, high = self._given.healthy_z_range
        least, most = self._given.healthy_angle_range
        return (low < height) & (height < high) & (least < angle) & (angle < most)


class HopperBatch(_Planar):
    """Many one-legged hoppers: Gymnasium's `Hopper-v5` as a batch, bit for bit.

    See https://gymnasium.farama.org/environments/mujoco/hopper/ for the spaces, the
    rewards and the arguments, and :class:`AntBatch` for what is different here.
    """

    robot = "Hopper"

    def _healthy(self, seen: Seen) -> NDArray[np.bool_]:
        low, high = self._given.healthy_state_range
        rest = np.concatenate([seen["qpos"][:, 2:], seen["qvel"]], axis=1)
        within = ((low < rest) & (rest < high)).all(axis=1)
        return within & super()._healthy(seen)


class Walker2dBatch(_Planar):
    """Many two-legged walkers: Gymnasium's `Walker2d-v5` as a batch, bit for bit.

    See https://gymnasium.farama.org/environments/mujoco/walker2d/ for the spaces, the
    rewards and the arguments, and :class:`AntBatch` for what is different here.
    """

    robot = "Walker2d"


class HalfCheetahBatch(_Planar):
    """Many half cheetahs: Gymnasium's `HalfCheetah-v5` as a batch, bit for bit.

    See https://gymnasium.farama.org/environments/mujoco/half_cheetah/ for the spaces,
    the rewards and the arguments, and :class:`AntBatch` for what is different here.
    """

    robot = "HalfCheetah"
    normal_velocities = True

    def _observe(self, seen: Seen) -> list[NDArray[np.float64]]:
        return [self._positions(seen), seen["qvel"]]

    def _healthy(self, seen: Seen) -> NDArray[np.bool_]:
        return np.ones(len(seen["qpos"]), dtype=bool)


class HumanoidBatch(MujocoBatch):
    """Many humanoids: Gymnasium's `Humanoid-v5` as a batch, bit for bit.

    See https://gymnasium.farama.org/environments/mujoco/humanoid/ for the spaces, the
    rewards and the arguments, and :class:`AntBatch` for what is different here.
    """

    robot = "Humanoid"
    skipped_positions = 2

    def _fields(self, data: Any) -> Seen:
        names = ("qpos", "qvel", "cinert", "cvel", "qfrc_actuator", "cfrc_ext", "xipos")
        return {name: getattr(data, name) for name in names}

    def _observe(self, seen: Seen) -> list[NDArray[np.float64]]:
        # The first body is the world; the first six forces are those of the free joint.
        first = {
            "cinert": 10,
            "cvel": _SPATIAL,
            "qfrc_actuator": 6,
            "cfrc_ext": _SPATIAL,
        }
        return [
            self._positions(seen),
            seen["qvel"],
            *(
                seen[name][:, start:]
                for name, start in first.items()
                if getattr(self._given, f"include_{name}_in_observation")
            ),
        ]

    def _place(self, seen: Seen) -> NDArray[np.float64]:
        """The centre of mass; summed body by body over all three axes, as there."""
        masses = self._model.body_mass
        moments = masses[:, None] * seen["xipos"].reshape(-1, len(masses), 3)
        return np.asarray((moments.sum(axis=1) / masses.sum())[:, 0])

    def _healthy(self, seen: Seen) -> NDArray[np.bool_]:
        low, high = self._given.healthy_z_range
        height = seen["qpos"][:, 2]
        return (low < height) & (height < high)

    def _costs(self, controls: NDArray[np.float32], seen: Seen) -> NDArray[Any]:
        # Here Gymnasium squares the controls in float64.
        control = super()._costs(controls.astype(np.float64), seen)
        contact = np.square(seen["cfrc_ext"]).sum(axis=1)
        contact = self._given.contact_cost_weight * contact
        return control + np.clip(contact, *self._given.contact_cost_range)
