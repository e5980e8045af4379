"""Reproductions of published figures, which packages plug in by a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from commenv.errors import PluginError, UnknownNameError, shown
from commenv.importing import check_unclaimed, imported, registered

if TYPE_CHECKING:
    from commenv.study.analysis.claims import Verdict

__all__ = ["REPRODUCTIONS", "Reproduction", "find_reproduction", "reproduction_names"]

REPRODUCTIONS = "commenv.reproductions"
"""The group of entry points in which packages register objects of this kind."""


@runtime_checkable
class Reproduction(Protocol):
    """Figures of a publication, as studies with claims about them.

    Attributes:
        figures: Their numbers as printed, such as ``"3.4"``, in order.
    """

    figures: Sequence[str]

    def check_known(self, number: str, scale: str) -> None:
        """Raises UnknownNameError if there is no such figure or scale.

        Scales are at least ``"quick"``, to see it work, ``"paper"``, as published, and
        ``"report"``, that of the page that :meth:`report` writes.
        """

    def reproduce(
        self,
        number: str,
        out: str | Path,
        *,
        scale: str = "quick",
        trials: int | None = None,
        episodes: int | None = None,
        agents: float | None = None,
        seed: int | None = None,
        backend: str | None = None,
        workers: int | None = None,
        address: str | None = None,
        progress: bool = True,
    ) -> list[Verdict]:
        """Runs a figure, or goes on with it; draws it, and judges its claims.

        Args:
            number: One of :attr:`figures`.
            out: The folder that holds a folder for each figure.
            scale: How much of it is run.
            trials: Another number of trials.
            episodes: Another number of rounds.
            agents: Another share of the published number of agents, in (0, 1].
            seed: Of all draws; the reproduction's own when left out.
            backend: See :func:`commenv.run`, as for the next two.
            workers: See there.
            address: See there.
            progress: Say on standard error how far it has come.
        """

    def report(self, results: str | Path, out: str | Path, images: str | Path) -> Path:
        """Writes a page about all figures that are there, and returns its path.

        Args:
            results: The folder that :meth:`reproduce` wrote to.
            out: The Markdown file.
            images: A folder for the pictures.
        """


def reproduction_names() -> list[str]:
    """The names that installed packages have registered."""
    return sorted(entry.name for entry in registered(REPRODUCTIONS))


def find_reproduction(reference: str | None = None) -> Reproduction:
    """The reproduction of a name.

    Args:
        reference: A registered name, or ``module:name``; when left out, the only one
            that is installed.

    Raises:
        UnknownNameError: Nothing has that name.
        ValueError: None was named, and not exactly one is installed; or a module that
            cannot be imported.
        PluginError: The package that has registered the name is broken.
    """
    names = reproduction_names()
    if reference is None:
        if len(names) != 1:
            there = f"several are installed ({', '.join(names)})"
            raise ValueError(
                f"{there if names else 'no reproduction is installed'}; name one with "
                "--reproduction, or as module:name"
            )
        [reference] = names
    if ":" in reference:
        return _checked(imported(reference, "reproduction"), repr(reference))
    for entry in registered(REPRODUCTIONS):
        if entry.name == reference:
            check_unclaimed(entry)
            package = entry.dist.name if entry.dist is not None else "unknown"
            what = f"{reference!r} of the package {package!r}"
            try:
                found = entry.load()
            except (Exception, SystemExit) as error:  # it is somebody else's code
                reason = f"{type(error).__name__}: {shown(error)}"
                raise PluginError(
                    f"reproduction {what} cannot be imported ({reason}); mend that "
                    "package, or uninstall it"
                ) from error
            return _checked(found, what)
    raise UnknownNameError(
        "reproduction", reference, names, "or name one as module:name"
    )


def _checked(found: object, what: str) -> Reproduction:
    if isinstance(found, type) or not isinstance(found, Reproduction):
        raise PluginError(
            f"reproduction {what} is not an object with figures, check_known, "
            f"reproduce and report, but {shown(repr(found), 60)}"
        )
    return found
