"""Sockets that processes listen on."""

from __future__ import annotations

import errno
import socket

from service.errors import StartupError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens: from now on the port is ours. Raises StartupError when it can't be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError, OverflowError):
        raise StartupError(
            "{host}:{port} is not an address to listen on: give another --host or --port.", host=host, port=port
        ) from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(2048)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise StartupError(
                "Port {port} on {host} is in use: choose another with --port.", port=port, host=host
            ) from None
        raise StartupError(
            "Can't listen on {host}:{port} ({reason}): give another --host or --port.",
            host=host,
            port=port,
            reason=error.strerror,
        ) from None
    return sock


def url_of(sock: socket.socket) -> str:
    """The URL at which a listening socket is reached from this machine."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared with, not bound to
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
