"""What becomes of connections that fail, for both kinds of client."""

from __future__ import annotations

import ssl

from polyport import faults
from polyport.client.address import Address
from polyport.client.messages import Limit, NotRun

#: Seconds before a connection is tried a second time: a server that starts anew needs some.
_PAUSE_S = 0.1


def unreached(address: Address, error: OSError, limit: Limit) -> Exception:
    """There is no connection."""
    if limit.left() == 0:
        return faults.Timeout(f"{address} was not reached in time", ran="no")
    fault = faults.Unavailable(f"{address} is not reached: {error or 'it took too long'}", ran="no")
    if isinstance(error, ssl.SSLError):
        return fault  # What was not trusted once is not trusted twice.
    return NotRun(fault, _PAUSE_S)


def lost(ran: str) -> faults.Fault:
    """The connection ended before the answer did."""
    return faults.Unavailable("the connection to the server was lost", ran=ran)


def late(ran: str) -> faults.Fault:
    """The time is over, and the server has not even said so."""
    return faults.Timeout("the server did not answer in time", ran=ran)


def silent() -> faults.Fault:
    """A stream is quiet for longer than the server lets it be."""
    return faults.Unavailable("the server is silent; the stream counts as lost", ran="maybe")


def unreadable(why: object) -> faults.Fault:
    """What came is no answer."""
    return faults.Internal(f"the answer cannot be read: {why}", ran="maybe")
