"""Builds the source distribution and, from it, the wheel, and tries both.

The wheel is installed without extras in a clean environment. Every id is made there,
scalar and vector; one whose extra is missing must say so. The source distribution holds
all that git does but the workflows, and its tests are run as far as they are collected.
"""

import os
import subprocess
import sys
import tarfile
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


ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", folder, str(ROOT)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        try_source(Path(folder))
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


def try_source(folder: Path) -> None:
    """Unpacks the source distribution, and collects its tests."""
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    listed = subprocess.run(
        ["git", "ls-files"], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    missing = [
        name
        for name in listed
        if not name.startswith(".github") and not (unpacked / name).exists()
    ]
    assert not missing, f"the source distribution lacks {missing}"
    environment = os.environ | {"PYTHONPATH": f"{unpacked}:{unpacked / 'baselines'}"}
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q"],
        check=True,
        cwd=unpacked,
        env=environment,
        capture_output=True,
        text=True,
    ).stdout
    print(f"{archive.name}: {collected.splitlines()[-1]}")


if __name__ == "__main__":
    main()
