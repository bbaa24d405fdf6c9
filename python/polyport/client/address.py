"""Where a server is, and who asks."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.parse
from dataclasses import dataclass, field

#: The port that the server listens on where the address names none.
PORT = 8308


@dataclass(frozen=True)
class Address:
    """Where a server is reached."""

    #: The name of the host, for the header and for its certificate.
    host: str
    port: int
    #: The path of a Unix socket, instead of host and port.
    unix: str | None = None
    #: What stands before all paths, where a proxy serves the server below a path of its own.
    prefix: str = ""
    #: How TLS is spoken; ``None`` is not at all.
    tls: ssl.SSLContext | None = None
    #: The header ``Authorization``; empty for the server's anonymous user.
    authorization: str = field(default="", repr=False)

    @property
    def authority(self) -> str:
        """The header ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.unix else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.unix:
            return f"http+unix://{urllib.parse.quote(self.unix, safe='')}"
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def parse(
    url: str | None,
    *,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    ca: str | os.PathLike[str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Address:
    """Reads an address. Raises ``ValueError`` when it is none."""
    if url is None:
        url = os.environ.get("POLYPORT_URL", f"http://localhost:{PORT}")
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https", "http+unix"):
        raise ValueError(f"an address begins with http://, https:// or http+unix://, not {url!r}")
    if parts.query or parts.fragment:
        raise ValueError("an address has neither ? nor #; quote them as %3F and %23")
    if user is None and parts.username is not None:
        user = urllib.parse.unquote(parts.username)
        password = urllib.parse.unquote(parts.password or "")
    authorization = _authorization(user, password, token)
    if parts.scheme == "http+unix":
        # The path stands where the host does, as other clients write it, or simply behind it.
        path = urllib.parse.unquote(parts.netloc.rpartition("@")[2] or parts.path)
        if not path:
            raise ValueError("an address with http+unix:// names the path of a socket")
        return Address("localhost", PORT, unix=path, authorization=authorization)
    if not parts.hostname:
        raise ValueError(f"an address names a host: {parts.scheme}://localhost:{PORT}")
    if parts.scheme == "https":
        tls = tls or _trusting(ca)
    elif ca is not None or tls is not None:
        raise ValueError("ca= and tls= are for addresses with https://")
    prefix = urllib.parse.quote(parts.path.rstrip("/"), safe="/%")
    port = PORT if parts.port is None else parts.port
    return Address(parts.hostname, port, prefix=prefix, tls=tls, authorization=authorization)


def _trusting(ca: str | os.PathLike[str] | None) -> ssl.SSLContext:
    """Trusts what the system trusts, or the certificates of one file or folder instead."""
    if ca is None:
        return ssl.create_default_context()
    if os.path.isdir(ca):
        return ssl.create_default_context(capath=ca)
    return ssl.create_default_context(cafile=ca)


def _authorization(user: str | None, password: str | None, token: str | None) -> str:
    if token is not None:
        if user is not None:
            raise ValueError("a client logs in as a user or with a token, not both")
        if not (token.isascii() and token.isprintable() and token.strip()):
            raise ValueError("a token is printable ASCII text")
        return f"Bearer {token}"
    if user is None:
        if password is not None:
            raise ValueError("a password belongs to a user")
        return ""
    if ":" in user:
        raise ValueError("the name of a user has no colon")
    pair = f"{user}:{password or ''}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"
