"""The client of Nadeuri.

`connect` gives a channel; every stub generated from the contracts works over it, with request ids, deadlines, retries and
typed errors. `items` walks through pages, `watch` follows the events.
"""

from nadeuri.channel import connect
from nadeuri.error import Error, Violation
from nadeuri.reading import items, watch

__all__ = ["Error", "Violation", "connect", "items", "watch"]
