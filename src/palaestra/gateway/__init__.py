"""The one door to models: any OpenAI-compatible endpoint, a local model in its own process, a scripted one for tests.

`Gateway` asks, `load_models` reads models.toml, `server.app_for` gives a completion function the same kind of endpoint,
so that a trained checkpoint or a router comes back through the same door. The names below are loaded when they are
used, so that a module of this room can be imported without the client's library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from palaestra.errors import MissingPartError

if TYPE_CHECKING:
    from palaestra.gateway.client import Completion, Gateway, GatewaySettings, Sampling
    from palaestra.gateway.endpoints import load_models

__all__ = ["Completion", "Gateway", "GatewaySettings", "Sampling", "load_models"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a class or a function
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{'endpoints' if name == 'load_models' else 'client'}"), name)
    except ModuleNotFoundError as error:
        said = MissingPartError(f"asking models needs {error.name}: pip install 'palaestra[gateway]'")
        said.name = error.name  # for those who need more than this extra
        raise said from error
