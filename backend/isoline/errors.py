"""The tree of failures: what a caller can catch, and what a person is told.

Every failure says what was wanted, what was found and, in `hint`, what to do next.
Anything raised outside this tree is a bug and is shown as one.
"""

from __future__ import annotations


class IsolineError(Exception):
    """A failure that a person can understand and act on."""

    kind = "failure"

    def __init__(self, message: str, *, hint: str = "", details: list[dict] | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details or []

    def as_dict(self) -> dict:
        """The JSON body shared by the command line, REST and job cards."""
        body: dict = {"kind": self.kind, "message": self.message, "hint": self.hint}
        if self.details:
            body["details"] = self.details
        return body


class InvalidInput(IsolineError):
    """What was given cannot be used as it is."""

    kind = "invalid_input"


class NotFound(IsolineError):
    """What was asked for does not exist."""

    kind = "not_found"


class Conflict(IsolineError):
    """What was asked contradicts what is already there."""

    kind = "conflict"


class NotAllowed(IsolineError):
    """The acting person may not do this."""

    kind = "not_allowed"


class NotSignedIn(NotAllowed):
    """Nobody is signed in."""

    kind = "not_signed_in"


class Unavailable(IsolineError):
    """Something needed (a library, a database, a worker) is not there now."""

    kind = "unavailable"


class Diverged(IsolineError):
    """A computation did not converge, or produced numbers that are not finite."""

    kind = "diverged"


class Cancelled(IsolineError):
    """The work was stopped because somebody asked for it."""

    kind = "cancelled"


KINDS: dict[str, type[IsolineError]] = {
    c.kind: c for c in (InvalidInput, NotFound, Conflict, NotAllowed, NotSignedIn, Unavailable, Diverged, Cancelled)
}
