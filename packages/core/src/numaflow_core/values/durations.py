"""Durations, as users write them: a ``timedelta``, or a number of seconds."""

from datetime import timedelta

Duration = timedelta | float
"""A length of time. A plain number is seconds, as in Python's own ``timeout`` arguments."""


def seconds(duration: object, field: str, example: str = "timedelta(seconds=30)") -> float:
    """A duration in seconds.

    Args:
        duration: what the user wrote.
        field: what the message of an error calls it.
        example: what the message says to write.

    Raises:
        TypeError: neither a ``timedelta`` nor a number.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, (int, float)) and not isinstance(duration, bool):
        return float(duration)
    raise TypeError(
        f"{field} must be a timedelta, such as {example}, or a number of seconds, got {type(duration).__name__}: "
        f"{duration!r:.80}"
    )


def positive_seconds(duration: object, field: str, example: str = "timedelta(seconds=30)") -> float:
    """As ``seconds``, of a duration that has to be more than zero.

    Raises:
        TypeError, ValueError: it is not one, or not more than zero.
    """
    number = seconds(duration, field, example)
    if not number > 0:
        raise ValueError(f"{field} must be more than 0 seconds, got {duration!r:.80}")
    return number
