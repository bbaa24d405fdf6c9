"""Work for the processor: each worker is a process of its own, so two of them do twice as much.

    polyport serve examples/python/primes.py --workers 2

Then, several at once:

    for n in 1 2 3 4; do
        mariadb -h 127.0.0.1 -P 3308 -u polyport -pPASSWORD -e 'call primes.count(5000000)' &
    done; wait

A call that takes too long can be stopped, by Ctrl-C in the client or a time limit of the user:
its worker is replaced, and the calls of others do not notice.
"""

import math

import polyport


@polyport.function(name="primes.count")
def count(limit: int) -> int:
    """How many primes there are below the limit."""
    if limit < 3:
        return 0
    odd = bytearray([1]) * (limit // 2)  # The place i stands for 2i + 1, and the first for 2.
    for n in range(3, math.isqrt(limit - 1) + 1, 2):
        if odd[n // 2]:
            start = n * n // 2
            odd[start::n] = bytes(len(range(start, len(odd), n)))
    return sum(odd)


@polyport.function(name="primes.factors")
def factors(n: int) -> list[int]:
    """The prime factors of a number, by trial division: slow on purpose for large ones."""
    if n < 1:
        raise ValueError("only integers from 1 up have prime factors")
    found = []
    divisor = 2
    while divisor * divisor <= n:
        while n % divisor == 0:
            found.append(divisor)
            n //= divisor
        divisor += 1 if divisor == 2 else 2
    return found + [n] * (n > 1)
