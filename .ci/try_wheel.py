"""Builds the wheel and tries it, without extras, in a clean environment.

Every id is made there, scalar and vector; one whose extra is missing must say so.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

TRIAL = """
import gymnasium as gym
import commenv
from commenv.errors import MissingExtraError

for env_id in [*commenv.registration.env_ids(), "SimpleGrid-v0", "WindyGrid-v0"]:
    for make in (gym.make, gym.make_vec):
        try:
            env = make(env_id)
        except MissingExtraError as error:
            assert error.extra in str(error)
            print(f"{env_id} needs the extra {error.extra}")
            continue
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.close()
        print(f"{make.__name__}({env_id!r}) works")
"""


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(root)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (wheel,) = Path(folder).glob("*.whl")
        clean = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(clean)], check=True)
        python = clean / "bin" / "python"
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True
        )
        subprocess.run([str(python), "-c", TRIAL], check=True, cwd=folder)
        help_text = subprocess.run(
            [str(clean / "bin" / "commenv"), "--help"],
            check=True,
            cwd=folder,
            capture_output=True,
            text=True,
        ).stdout
        print(help_text.splitlines()[0])


if __name__ == "__main__":
    main()
