"""Writes the numbers of the golden cases.

    python -m tests.golden.record [NAME ...] [--force]

A name may be that of a case, or the beginning of several. Without ``--force`` what is
kept stays as it is, and what would change is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings

import numpy as np

from tests.golden.case import Case, Numbers, differences, path_of, read, write
from tests.golden.cases import CASES

__all__ = ["main", "numbers_of", "tells"]


def numbers_of(case: Case) -> Numbers:
    """Runs a case.

    Raises:
        ValueError: It gives nothing but zeros, and so would notice nothing.
    """
    found = case.run()
    if not tells(found):
        raise ValueError(f"{case.name} gives nothing but zeros")
    return found


def tells(numbers: Numbers) -> bool:
    """Whether some number is finite and not 0."""
    arrays = (array for array in numbers.values() if array.dtype.kind != "U")
    return any((np.isfinite(array) & (array != 0)).any() for array in arrays)


def main(arguments: list[str] | None = None) -> int:
    """Records; 1 if something kept would have changed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--force", action="store_true", help="overwrite what changed")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    chosen = [
        case
        for case in CASES.values()
        if not case.like
        and (not options.names or case.name.startswith(tuple(options.names)))
    ]
    if not chosen:
        parser.error(f"no case is called {' or '.join(options.names)}")
    changed = 0
    for group in dict.fromkeys(case.group for case in chosen):
        kept = read(group)
        after = dict(kept)
        for case in (case for case in chosen if case.group == group):
            missing = [name for name in case.needs if not _installed(name)]
            if missing:
                print(f"{case.name}: left out, {', '.join(missing)} is not installed")
                continue
            found = numbers_of(case)
            if case.name not in kept:
                print(f"{case.name}: new, {len(found)} arrays")
                after[case.name] = found
            elif lines := differences(found, kept[case.name], exact=case.exact):
                changed += 1
                print(f"{case.name}: changed", *lines, sep="\n    ")
                after[case.name] = found if options.force else kept[case.name]
        gone = [name for name in after if name not in CASES or CASES[name].like]
        if gone and not options.names:
            changed += len(gone)
            print(*(f"{name}: no longer a case" for name in gone), sep="\n")
            if options.force:
                after = {name: after[name] for name in after if name not in gone}
        if after.keys() != kept.keys() or options.force:
            write(group, after)
            print(f"wrote {path_of(group)}, {path_of(group).stat().st_size:,} bytes")
    if changed and not options.force:
        print(f"{changed} cases differ from what is kept; --force overwrites them")
        return 1
    return 0


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


if __name__ == "__main__":
    sys.exit(main())
