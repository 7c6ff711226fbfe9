"""URLs outside that a shop may name: of its gateway, of receivers of webhooks, of issuers of tokens."""

from __future__ import annotations

from ipaddress import ip_address
from unicodedata import normalize
from urllib.parse import urlsplit


def may_be_asked(url: str) -> bool:
    """Whether a shop may name this URL: over TLS, or on this very machine, where it is being developed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.fragment or not _is_plain(host):
        return False
    return parts.scheme == "https" or host in ("localhost", "127.0.0.1", "::1")


def _is_plain(host: str) -> bool:
    """Whether a host is a name, or an address as everybody writes it: not `0177.0.0.1`, which some read as 127.0.0.1.

    A host is meant as an address when its last label is a number (WHATWG URL, "ends in a number").
    """
    read = normalize("NFKC", host).translate(_DOTS)
    last = read.rstrip(".").rpartition(".")[2].lower()
    if not (last.isdecimal() or last.startswith("0x")):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


_DOTS = str.maketrans("\u3002\uff0e\uff61", "...")
"""What stands for a dot in international names (RFC 3490, 3.1)."""
