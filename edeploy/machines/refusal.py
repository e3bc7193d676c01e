"""A no to a machine or an operator that is itself part of the records."""

from edeploy.errors import EdeployError


class Refusal(EdeployError):
    """What was asked is refused; the transaction in which it is raised is committed.

    So whoever raises it has written the event, and nothing that must not stay.
    """


class Unauthorised(Refusal):
    """No secret, or one that was never given out."""


class NotFound(Refusal):
    """There is nothing of that name."""


class BadRequest(Refusal):
    """The request makes no sense, whatever the state is."""
