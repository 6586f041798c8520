"""Taking a port before anything else is started, so that a port in use costs nothing and is said in words."""

from __future__ import annotations

import errno
import socket

from palaestra.errors import InputError


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        InputError: the port is in use, or the address is not this machine's.
    """
    try:
        return socket.create_server((host, port), backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"port {port} on {host} is in use; stop what listens there, or give another --port"
            ) from error
        said = error.strerror or str(error)
        raise InputError(f"cannot listen on {host}:{port}: {said}; give another --host or --port") from error
