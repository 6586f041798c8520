"""What every command that serves does: take a port before anything else is started, look up the key, answer.

A port in use costs nothing, and is said in words.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from palaestra.errors import InputError, MissingPartError

if TYPE_CHECKING:
    from fastapi import FastAPI


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


def client_key(variable: str | None) -> str | None:
    """The key that clients must send, from the environment variable of this name; None where none is asked for.

    Raises:
        MissingPartError: the variable is not set.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise MissingPartError(f"the environment variable {variable} is not set: export {variable}=...")
    return key


async def answer(app: FastAPI, listening: socket.socket) -> None:
    """Answer on a listening socket until somebody stops it."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False)
    await uvicorn.Server(config).serve(sockets=[listening])
