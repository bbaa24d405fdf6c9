"""The functions that the benchmarks of Python workers call."""

import polyport


@polyport.function
def myadd(a: "int | float", b: "int | float"):
    return polyport.Rows(["sum"], [(a + b,)])


@polyport.function
def add(a, b):
    return a + b


@polyport.function
def primes(limit: int) -> int:
    """How many primes there are below a limit, found the slow way."""
    return sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, limit))
