"""Which thread a channel belongs to."""

from __future__ import annotations

import threading

from commenv.errors import WrongThreadError

__all__ = ["Owner"]


class Owner:
    """The thread that may use a channel: the one that began its last episode.

    A channel's budget is read and then booked, so two threads at once would spend the
    same byte twice. A channel that is moved to another thread is taken over there by a
    reset. Copies, pickled ones too, belong to whoever uses them first.

    Attributes:
        thread: Its number; None before anybody used the channel.
    """

    def __init__(self) -> None:
        self.thread: int | None = None

    def take(self) -> None:
        """Makes the current thread the owner."""
        self.thread = threading.get_ident()

    def check(self) -> None:
        """Checks that the owner is at work; without one, the current thread is.

        Raises:
            WrongThreadError: It is another thread.
        """
        here = threading.get_ident()
        if self.thread is None:
            self.thread = here
        elif self.thread != here:
            raise WrongThreadError(
                f"thread {threading.current_thread().name!r} uses a channel that "
                "another thread has reset; give each thread an environment of its own, "
                "or reset this one in the thread that goes on with it"
            )

    def __reduce__(self) -> tuple[type[Owner], tuple[()]]:
        return type(self), ()
