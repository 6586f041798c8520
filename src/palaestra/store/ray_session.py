"""Ray, where it is asked for: the caller's own, or one of this process on the loopback interface, stopped again.

Not here: what is done with it (`ranking/shards.py`, `bench/shards.py`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from palaestra.errors import InputError, MissingPartError

_LOOPBACK = "127.0.0.1"
_MAY_LEAVE_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Read by Ray, on any system, when it is imported: 0 keeps each of its ports on the loopback interface."""


@contextmanager
def ray_session(purpose: str) -> Generator[Any]:
    """The module `ray`, initialised. One that was initialised before is used as it is, a cluster perhaps.

    Args:
        purpose: what needs it, for the message: `counting in tasks`.

    Raises:
        MissingPartError: the extra `ray` is not installed.
        InputError: Ray would listen on the network.
    """
    os.environ.setdefault(_MAY_LEAVE_LOOPBACK, "0")
    try:
        import ray
    except ImportError as error:
        raise MissingPartError(f"{purpose} needs {error.name}: pip install 'palaestra[ray]'") from error
    mine = not ray.is_initialized()
    if mine:
        ray.init(
            address="local",
            num_cpus=os.cpu_count(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address=_LOOPBACK,
        )
    try:
        if mine and (found := ray.util.get_node_ip_address()) != _LOOPBACK:
            raise InputError(
                f"Ray would listen on {found}, expected {_LOOPBACK}: call ray.init() yourself if that is meant, "
                f"or set {_MAY_LEAVE_LOOPBACK}=0 before anything imports ray"
            )
        yield ray
    finally:
        if mine:
            ray.shutdown()
