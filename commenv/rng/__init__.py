"""Addressed random draws: a number is looked up by its address, never consumed."""

from commenv.rng.draws import ENVIRONMENT, Draws, Owner, WorldDraws, full_purpose
from commenv.rng.generators import GeneratorUniforms
from commenv.rng.keys import spawned_keys
from commenv.rng.streams import (
    AddressedUniforms,
    LinkDraws,
    MessageDraws,
    UniformStream,
)

__all__ = [
    "ENVIRONMENT",
    "AddressedUniforms",
    "Draws",
    "GeneratorUniforms",
    "LinkDraws",
    "MessageDraws",
    "Owner",
    "UniformStream",
    "WorldDraws",
    "full_purpose",
    "spawned_keys",
]
