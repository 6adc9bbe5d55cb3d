"""Where a server is: on this machine, or elsewhere.

Only the loopback interface is this machine. An address of a private network (10.x, 192.168.x) is not, even if it
happens to be this machine's own: nobody can tell from it who else listens, or reads along.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from functools import lru_cache

_BOUND: set[str] = set()
"""Names that were once taken for this machine: whoever relied on it is never led elsewhere (see `is_bound`)."""


def is_here(host: str | None) -> bool:
    """Tell whether requests to a host stay on this machine.

    Parameters
    ----------
    host : str or None
        A name or address; empty for an engine inside this process; None where it is not known.

    Returns
    -------
    bool
        True if every address that the name stands for is a loopback one (127.0.0.0/8, ::1). A name that stands for
        nothing is elsewhere.

    Examples
    --------
    >>> [is_here(host) for host in ("", "127.0.0.1", "127.8.8.8", "::1")]
    [True, True, True, True]
    >>> [is_here(host) for host in (None, "192.168.1.7", "10.0.0.1", "0.0.0.0")]
    [False, False, False, False]
    """
    if not host:
        return host == ""
    found = addresses(host)
    here = bool(found) and all(map(_is_loopback, found))
    if here and not is_address(host):
        _BOUND.add(host)
    return here


def host_of(hosts: Sequence[str | None]) -> str | None:
    """Say where requests go that go to several hosts: all that are elsewhere count, and one that is not known.

    >>> host_of(["127.0.0.1", "192.0.2.1", "192.0.2.2", "192.0.2.1"]), host_of(["", "127.0.0.1"])
    ('192.0.2.1, 192.0.2.2', '')
    """
    away = [host for host in hosts if not is_here(host)]
    if not away:
        return hosts[0]
    return None if None in away else ", ".join(dict.fromkeys(host for host in away if host))


def is_bound(host: str) -> bool:
    """Tell whether a name was ever found to be here, in this process.

    A guard asks `is_here` before an engine is opened, and a name can come to stand for something else at any time. So
    the answer binds: an engine for such a name connects to this machine, or not at all.
    """
    return host in _BOUND


def loopback(host: str) -> list[str]:
    """Look up the addresses to connect to, for a host that must be here; empty if one of them is elsewhere."""
    found = addresses(host)
    return found if all(map(_is_loopback, found)) else []


def addresses(host: str) -> list[str]:
    """Look up the addresses that a name stands for; an address stands for itself, and no network is asked."""
    if is_address(host):
        return [host]
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return []


@lru_cache(maxsize=256)
def is_address(host: str) -> bool:
    """Tell whether a host is an address: then nothing has to be looked up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
