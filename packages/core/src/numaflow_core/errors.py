"""Exceptions of the SDK that reach users."""


class ServerError(Exception):
    """Base of what a server raises."""


class StartError(ServerError):
    """The server could not start: a socket, a file or a startup hook failed. The message says which and why."""


class HandlerError(ServerError):
    """A handler raised, and the server has ended. ``__cause__`` is the handler's exception where it ran in this
    process."""


class GracePeriodError(ServerError):
    """The grace period after ``stop()`` ran out with messages unanswered."""
