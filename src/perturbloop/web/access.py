"""Who may ask, from where, and how much may be sent."""

import hashlib
import hmac
from dataclasses import dataclass
from ipaddress import ip_address

MEGABYTE = 1 << 20
HTTP = 80
"""Port that no address names."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a server lets in."""

    token: str
    """Secret of the printed address."""
    hosts: frozenset[str]
    """`Host` headers that are answered: names with their port. Any other may be a page that renamed itself to this machine."""
    cookie: str = "perturbloop"
    """Name of the cookie; the port is part of it, since cookies of one machine are shared by all its ports."""
    read_only: bool = False
    """Whether nothing can be written."""
    most_bytes: int = 256 * MEGABYTE
    """Most bytes of a request."""

    @classmethod
    def at(
        cls, host: str, port: int, *, token: str, names: tuple[str, ...] = (), read_only: bool = False
    ) -> "Access":
        """Access to a server that listens at a host and port.

        Parameters
        ----------
        host, port
            Where it listens.
        token
            Secret of the printed address.
        names
            Other names that it is reached by; a browser leaves port 80 out.
        read_only
            Whether nothing can be written.
        """
        local = is_loopback(host) or is_wildcard(host)
        own = ("localhost", "127.0.0.1", "[::1]") if local else (bracketed(host),)
        every = [name.lower() for name in (*own, *map(bracketed, names))]
        hosts = frozenset([*(f"{name}:{port}" for name in every), *(every if port == HTTP else ())])
        return cls(token=token, hosts=hosts, cookie=f"perturbloop_{port}", read_only=read_only)

    @property
    def session(self) -> str:
        """Value of the cookie: proves that its holder had the token, and does not tell it."""
        return self._of("session")

    @property
    def csrf(self) -> str:
        """What every write must bring in a header: only pages of this server can read it."""
        return self._of("csrf")

    def knows(self, token: str) -> bool:
        """Whether this is the token; takes as long for a wrong one."""
        return same(token, self.token)

    def _of(self, purpose: str) -> str:
        return hmac.new(self.token.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def same(came: str, wanted: str) -> bool:
    """Whether two secrets are the same; takes as long where they are not."""
    return hmac.compare_digest(came.encode(errors="surrogatepass"), wanted.encode())


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether a host stands for every address of this machine, and so for none that can be typed.

    >>> is_wildcard("0.0.0.0"), is_wildcard("::"), is_wildcard("127.0.0.1")
    (True, True, False)
    """
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return not host


def bracketed(host: str) -> str:
    """A host as it stands in an address.

    >>> bracketed("::1"), bracketed("[::1]"), bracketed("127.0.0.1")
    ('[::1]', '[::1]', '127.0.0.1')
    """
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
