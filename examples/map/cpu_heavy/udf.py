"""Work that keeps a CPU busy: counts the primes below a number, on all the CPUs that the container may use."""

import logging
from typing import Any

from numaflow_mapper import Datum, MapMultiProcServer, Message

LIMIT = 10_000_000
"""A sieve takes a byte a number, and as many run at once as there are workers and threads."""

logger = logging.getLogger(__name__)


def primes_below(number: int) -> int:
    """Count them with the sieve of Eratosthenes."""
    if number < 3:
        return 0
    is_prime = bytearray([1]) * number
    is_prime[0] = is_prime[1] = 0
    for candidate in range(2, int(number**0.5) + 1):
        if is_prime[candidate]:
            multiples = range(candidate * candidate, number, candidate)
            is_prime[multiples.start :: candidate] = bytes(len(multiples))
    return is_prime.count(1)


def handler(keys: list[str], datum: Datum) -> Message:
    try:
        number = int(datum.value)
    except ValueError:
        logger.warning("not a number: %.40r", datum.value)
        return Message.to_drop()
    if number > LIMIT:
        logger.warning("%d is more than %d", number, LIMIT)
        return Message.to_drop()
    return Message(b"%d" % primes_below(number), keys=[str(number)])


def make_server(**options: Any) -> MapMultiProcServer:
    # One thread a worker: threads of one process would only take turns on its CPU.
    return MapMultiProcServer(handler, **{"max_threads": 1, **options})


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    make_server().start()
