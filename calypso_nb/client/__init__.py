"""A synchronous TinyTask client for notebooks, scripts, coroutines, widget callbacks and threads."""

from calypso_nb.client.client import TinytaskClient

__all__ = ["TinytaskClient"]
