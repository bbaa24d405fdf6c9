"""A client for programs that want Polyport's own features: streams, deadlines, errors told apart.

>>> from polyport.client import Client
>>> with Client(URL) as client:  # such as "http://ann:secret@localhost:8308"
...     client.call("math.add", 3, 4)
...     client.math.add(3, b=4)
...     list(client.stream("math.count", 3))
7
7
[0, 1, 2]

Values of all of Polyport's types go both ways and lose nothing. A failure is raised as the subclass
of :class:`polyport.Fault` of its kind:

>>> import polyport
>>> client = Client(URL)
>>> try:
...     client.call("math.add", 3, "four")
... except polyport.BadType as error:
...     print(error.ran)
no

:class:`AsyncClient` does the same in coroutines.
"""

from polyport.client.asynchronous import AsyncClient, AsyncStream
from polyport.client.functions import Function, Parameter
from polyport.client.sync import Client, Stream

__all__ = ["AsyncClient", "AsyncStream", "Client", "Function", "Parameter", "Stream"]
