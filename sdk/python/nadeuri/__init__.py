"""The client of Nadeuri.

`connect` returns a channel. Every stub generated from the contracts works over it, with request ids, deadlines, retries
and typed errors. `items` iterates over pages, `watch` follows the events.
"""

from nadeuri.channel import connect
from nadeuri.error import Error, Violation
from nadeuri.reading import items, watch

__all__ = ["Error", "Violation", "connect", "items", "watch"]
