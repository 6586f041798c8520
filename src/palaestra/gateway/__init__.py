"""The one door to models: any OpenAI-compatible endpoint, a local model in its own process, a scripted one for tests.

`Gateway` asks, `load_models` reads models.toml, `server.app_for` gives a completion function the same kind of endpoint,
so that a trained checkpoint or a router comes back through the same door.
"""

from palaestra.gateway.client import Completion, Gateway, GatewaySettings, Sampling
from palaestra.gateway.endpoints import load_models

__all__ = ["Completion", "Gateway", "GatewaySettings", "Sampling", "load_models"]
