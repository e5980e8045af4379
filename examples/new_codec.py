"""A new codec, on DAVIA, against sending whole gradients.

Numbers become -1, 0 or 1 times the largest of their gradient, a byte each. ``python
examples/new_codec.py [FOLDER]`` checks the codec, prints a table and draws return
against bytes, with error feedback and without.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import commenv
from commenv.channel import Channel, ErrorFeedback, Identity, RecordCodec
from commenv.testing import check_codec


@dataclass(frozen=True)
class Ternary(RecordCodec):
    """Signs, and the largest size."""

    name: ClassVar[str] = "ternary"

    def size(self, count):
        return 4 + count

    def compress(self, numbers, uniforms):
        top = np.abs(numbers).max(axis=1, keepdims=True, initial=1e-38).astype("<f4")
        return np.c_[top.view("u1"), np.rint(numbers / top).astype("i1").view("u1")]

    def expand(self, data, count, uniforms):
        return data[:, 4:].view("i1") * data[:, :4].copy().view("<f4").astype(float)

    def relative_error(self, count):
        return 1 - 1 / count  # the largest is exact, and no other moves beyond itself


def main(folder: Path, num_trials: int = 20, num_episodes: int = 200) -> Path:
    check_codec(Ternary(), records=3)
    codecs = (Identity(), Ternary(), ErrorFeedback(Ternary()))
    results = commenv.run(
        "SimpleGrid-v0",
        "davia",
        "always",
        num_trials=num_trials,
        num_episodes=num_episodes,
        settings={"features": "afterstate", "step_size": 0.5},
        evaluate_every=5,
        uplink=[Channel(codec=codec) for codec in codecs],
    )
    print(results)
    picture, title = folder / "new_codec.png", "DAVIA on Simple Grid, by codec"
    results.plot(x="uplink_bytes", y="evaluation", title=title, path=picture)
    return picture


if __name__ == "__main__":
    print(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
