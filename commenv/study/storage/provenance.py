"""What computed a study: versions, processor and linear algebra."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

__all__ = ["MACHINE", "software", "unlike"]

_PACKAGES = (
    "commenv",
    "numpy",
    "gymnasium",
    "pettingzoo",
    "pyarrow",
    "torch",
    "mujoco",
)
MACHINE = ("platform", "machine", "cpu", "simd", "blas", "libc")
"""What :func:`software` says of the machine, and not of what was installed on it."""

_ARITHMETIC = ("machine", "cpu", "simd", "blas", "libc", "numpy")
_WHERE_USED = ("torch", "mujoco")


def software() -> dict[str, str]:
    """Versions of Python and of the packages that matter, and what computes here.

    Returns:
        ``python``, ``platform``, ``machine``, ``cpu`` (the processor's model),
        ``simd`` (the instructions that NumPy uses), ``blas`` (NumPy's, with its
        version), ``libc``, and the version of every such package.
    """
    return dict(_software())


@cache  # it takes milliseconds, is asked for with every block, and does not change
def _software() -> dict[str, str]:
    config = np.show_config(mode="dicts")
    assert config is not None
    blas = config.get("Build Dependencies", {}).get("blas", {})
    simd = config.get("SIMD Extensions", {})
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "simd": " ".join([*simd.get("baseline", ()), *simd.get("found", ())]),
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "libc": " ".join(platform.libc_ver()).strip(),
        **dict(_versions(_PACKAGES)),
    }


def unlike(there: Mapping[str, str]) -> list[str]:
    """Where what computed elsewhere is not known to be of the type that computes here.

    Args:
        there: What :func:`software` gave there. Torch and MuJoCo count where they have
            been imported here.

    Returns:
        Such as ``["cpu: Intel Xeon there, AMD EPYC here", "not recorded: blas"]``;
        empty for the same type.
    """
    here = software()
    names = [*_ARITHMETIC, *(name for name in _WHERE_USED if name in sys.modules)]
    lines = [
        f"{name}: {there[name]} there, {here.get(name)} here"
        for name in names
        if name in there and there[name] != here.get(name)
    ]
    unknown = [name for name in names if name in here and name not in there]
    return [*lines, f"not recorded: {', '.join(unknown)}"] if unknown else lines


def _versions(packages: Iterable[str]) -> Iterable[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()
