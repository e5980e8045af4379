"""Targets for tables of links, and for what a page about figures is made of."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence

import numpy as np
from commenv_baselines.thesis.page import report

from commenv.errors import ResultsError
from commenv.study.cost.measured import read_measured
from tests.fuzz.files import here, study_folder
from tests.fuzz.mutation import changed, changed_json
from tests.fuzz.target import MEBIBYTE, Target

__all__ = ["TARGETS"]


def read_link(data: bytes) -> None:
    """A table of a link, and costs by it."""
    path = here() / "link.csv"
    path.write_bytes(data)
    link = read_measured(path)
    first, last = link.rows[0][0], link.rows[-1][0]
    link.cost(np.array([first, last], dtype=np.float64).astype(np.int64), "uplink")
    assert link.described.isprintable()


_LINKS = (
    b"# our bench, 3 May\nbytes,seconds,joules\n16,0.010,0.002\n1016,0.150,0.031\n",
    b"bytes,seconds,joules,receiver_joules\n\n0,0,0,0\n1e3,1e-3,.5,0.25\n2048,2,1,1",
    b'\xef\xbb\xbf"bytes" , joules,seconds\r\n1,2,3\r\n',
)


def read_report(data: bytes) -> None:
    """What ``reproduce`` has stored, as a page."""
    folder = here() / "figures" / "4.5"
    folder.mkdir(parents=True, exist_ok=True)
    run, _, rest = data.partition(b"\n\n")
    claims, _, picture = rest.partition(b"\n\n")
    (folder / "figure.png").write_bytes(picture)
    (folder / "run.json").write_bytes(run)
    (folder / "claims.csv").write_bytes(claims)
    page = folder.parent / "page.md"
    report(folder.parent, page, folder.parent / "images")


_REPORTS = (
    b'{"scale": {"samples": 1000}, "seconds": 1.5, "named": "quick"}\n\nclaim',
    b'{"scale": {"trials": 3, "episodes": 5, "agents": 0.5}, "seconds": 1, '
    b'"named": null}\n\nclaim,estimand,margin,estimate,low,high,p,verdict\n'
    b"a,b,0,1,0.5,1.5,0.01,supported",
)


def _picture() -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 5), (200, 30, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def changed_report(rng: random.Random, known: Sequence[bytes]) -> bytes:
    """Either part by its own rules."""
    run, _, rest = known[int(rng.random() * len(known))].partition(b"\n\n")
    claims, _, picture = rest.partition(b"\n\n")
    if (chance := rng.random()) < 0.4:
        run = changed_json(rng, [run])
    elif chance < 0.7:
        claims = changed(rng, [claims], (b",", b"nan", b'"', b"verdict", b"\0"))
    else:
        picture = changed(rng, [picture], (b"IHDR", b"IDAT", b"IEND", b"zTXt"))
    return run + b"\n\n" + claims.strip() + b"\n\n" + picture


TARGETS = (
    Target(
        "link",
        read_link,
        lambda: list(_LINKS),
        (ValueError,),
        words=(b"nan", b"inf", b"1e309", b"\n#", b'"', b",", b"\0", b"bytes", b"-0"),
        surroundings=study_folder,
        room=2048 * MEBIBYTE,
        share=20,
    ),
    Target(
        "report",
        read_report,
        lambda: [one + b"\n\n" + _picture() for one in _REPORTS],
        (ResultsError,),
        changes=changed_report,
        share=2,
        surroundings=study_folder,
        room=2048 * MEBIBYTE,
        seconds=20.0,
    ),
)
