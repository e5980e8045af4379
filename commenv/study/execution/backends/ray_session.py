"""A connection to Ray: the one that there is, a cluster's, or a Ray of our own."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from commenv.study.execution.backends.backend import ONE_THREAD, variables_set
from commenv.study.execution.backends.signals import SIGNALS, Deferred

__all__ = ["SECONDS_TO_END", "check_address", "connected", "is_alone", "session"]

SECONDS_TO_END = 5.0
"""For how long what runs is waited for; a second interrupt after that is heard at
once."""

_LOCAL = "local"
_SECONDS_TO_ANSWER = 10.0
_MOST_SECONDS_TO_ANSWER = 60.0
# How a client of HTTP/2, which Ray speaks, begins; a server answers with its settings.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
_logger = logging.getLogger("commenv")
_QUIET = {"log_to_driver": False, "configure_logging": False}
# Ray says in a line that it uses a token, where nobody has chosen.
_CHATTY = "ray._private.authentication"


def check_address(address: str) -> None:
    """Checks the address of a cluster.

    Raises:
        ValueError: It is none of a cluster.
    """
    if not address.strip() or address == _LOCAL:
        raise ValueError(
            f"address {address!r} is none of a Ray cluster; give HOST:PORT or 'auto', "
            "or leave it out for a Ray of this process' own"
        )
    if "://" in address:
        raise ValueError(
            f"address {address!r} is for Ray's clients, which are no part of a cluster;"
            " start the study on one of its machines, with HOST:PORT or 'auto'"
        )


def is_alone() -> bool:
    """Whether the Ray that this process is connected to, if any, is on one machine."""
    if (ray := _running()) is None:
        return True
    return len({node["NodeManagerAddress"] for node in ray.nodes()}) == 1


@contextlib.contextmanager
def session(
    address: str | None, workers: int
) -> Iterator[tuple[Deferred, dict[str, Any]]]:
    """Connects this process to Ray, and defers signals while it is.

    The arguments are those of :func:`connected`.

    Yields:
        The signals, to be handled between two looks, and options for every task and
        actor.
    """
    signals = Deferred(SECONDS_TO_END)
    with contextlib.ExitStack() as stack:
        if address is None:
            stack.enter_context(signals)  # Ray must start as a whole
        own = stack.enter_context(connected(address, workers))
        if address is not None:
            stack.enter_context(signals)
        yield signals, {} if own else {"runtime_env": {"env_vars": ONE_THREAD}}


@contextlib.contextmanager
def connected(address: str | None, workers: int) -> Iterator[bool]:
    """Connects this process to Ray; what is started here is stopped at the end.

    A Ray that the process is connected to already is used, and left as it is.

    Args:
        address: Of the cluster to join; without it, a Ray is started here.
        workers: Processors of the Ray that is started.

    Yields:
        Whether the Ray is our own, with one thread for linear algebra in each worker.

    Raises:
        ConnectionError: There is no cluster at the address, or Ray does not start.
        ValueError: The process is connected to another one.
    """
    if (running := _running()) is not None:
        _check_same(running, address)
        yield False
        return
    import ray

    if address is not None:
        _check_heard(address)  # while all signals are heard
    try:
        with _handlers_kept(), _hang_up_ignored():
            if address is not None:
                _join(address)
            else:
                _start(workers)
        yield address is None
    finally:
        with _handlers_kept():
            ray.shutdown()


def _running() -> Any:
    """The module ``ray``, if this process is connected."""
    ray: Any = sys.modules.get("ray")
    return ray if ray is not None and ray.is_initialized() else None


def _check_same(ray: Any, address: str | None) -> None:
    there = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", there):
        raise ValueError(
            f"address {address!r} is asked for, and this process is connected to the "
            f"Ray at {there}; leave address out, or call ray.shutdown() before"
        )


def _join(address: str) -> None:
    import ray

    try:
        ray.init(address=address, **_QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConnectionError:
    reason = " ".join(str(error).split())
    return ConnectionError(
        f"cannot join a Ray cluster at {address!r} ({reason}); start one with `ray "
        "start --head`, or leave address out. Where it asks for a token, "
        "RAY_AUTH_MODE=token must be set on every machine"
    )


def _check_heard(address: str) -> None:
    """Finds out what takes Ray minutes, deaf to signals: that nobody answers there.

    Raises:
        ConnectionError: Nobody is there, or whoever is says nothing for a minute.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address == "auto":
        return  # a Ray of this machine, which Ray itself looks for
    try:
        host, _, port = address.rpartition(":")
        if not (host and port.isdecimal()):
            raise ValueError("it is not HOST:PORT")
        place = (host.strip("[]"), int(port))
        with socket.create_connection(place, _SECONDS_TO_ANSWER) as connection:
            connection.sendall(_GREETING)
            _await_answer(connection, address)
    except (OSError, ValueError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _await_answer(connection: socket.socket, address: str) -> None:
    began = time.monotonic()
    while (waited := time.monotonic() - began) < _MOST_SECONDS_TO_ANSWER:
        if select.select([connection], [], [], _SECONDS_TO_ANSWER)[0]:
            return  # with whatever it is: Ray will say what is wrong with it
        if waited < _SECONDS_TO_ANSWER:
            _logger.warning(
                "%s took the connection and does not answer; waiting for it for %.0f s "
                "in all",
                address,
                _MOST_SECONDS_TO_ANSWER,
            )
    raise TimeoutError(
        f"it took the connection and did not answer within "
        f"{_MOST_SECONDS_TO_ANSWER:.0f} s"
    )


def _start(workers: int) -> None:
    import ray

    logger = logging.getLogger(_CHATTY)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with variables_set({**ONE_THREAD, "RAY_USAGE_STATS_ENABLED": "0"}):
            ray.init(
                address=_LOCAL, num_cpus=workers, include_dashboard=False, **_QUIET
            )
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConnectionError(
            f"Ray does not start ({reason}); use the backend 'processes'"
        ) from error
    finally:
        logger.setLevel(before)


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Puts back the handlers of signals that Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def _hang_up_ignored() -> Iterator[None]:
    """Lets no terminal that closes end Ray's own processes before their time.

    They already do not hear Ctrl-C; this process ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield  # on Windows
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
