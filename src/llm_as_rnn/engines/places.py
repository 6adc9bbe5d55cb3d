"""Where a server is: on this machine, or elsewhere.

Only the loopback interface is this machine. An address of a private network (10.x, 192.168.x) is not, even if it
happens to be this machine's own: nobody can tell from it who else listens, or reads along.
"""

from __future__ import annotations

import ipaddress
import socket


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
    return bool(found) and all(map(_is_loopback, found))


def addresses(host: str) -> list[str]:
    """Look up the addresses that a name stands for; an address stands for itself, and no network is asked."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None)})
    except (OSError, UnicodeError):
        return []


def _is_loopback(text: str) -> bool:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
