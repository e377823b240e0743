"""Pages of lists, and streams of events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from nadeuri.chronicle.v1.chronicle_service_pb2 import Event, WatchEventsRequest
from nadeuri.chronicle.v1.chronicle_service_pb2_grpc import ChronicleServiceStub
from nadeuri.error import Error

# A watch survives a restart of the server: this many consecutive failures take about a minute, with their pauses.
WATCH_FAILURES = 60

Request = TypeVar("Request", bound=Message)
Item = TypeVar("Item")


def items(call: Callable[[Request], Any], request: Request, of: Callable[[Any], Iterable[Item]]) -> Iterator[Item]:
    """All items of a list, over all pages: `items(fleet.ListCars, ListCarsRequest(), lambda page: page.cars)`."""
    page_request = type(request)()
    page_request.CopyFrom(request)
    while True:
        page = call(page_request)
        yield from of(page)
        if not page.next_page_token:
            return
        setattr(page_request, "page_token", page.next_page_token)


def watch(channel: grpc.Channel, types: Sequence[str] = (), after_position: int | None = None) -> Iterator[Event]:
    """An endless stream of events; after a broken connection it continues after the last one received.

    Without `after_position` it starts now; if it breaks before the first event, it starts again at that later moment.
    """
    chronicle = ChronicleServiceStub(channel)
    failures = 0
    while True:
        stream = chronicle.WatchEvents(WatchEventsRequest(types=types, after_position=after_position))
        try:
            for answer in stream:
                failures, after_position = 0, answer.event.position
                yield answer.event
            error = Error(grpc.StatusCode.UNAVAILABLE, "the stream of events ended")
        except Error as failed:
            error = failed
        finally:
            # Also when the caller stops iterating.
            stream.cancel()
        failures += 1
        pause = error.pause_s(failures)
        if pause is None or failures >= WATCH_FAILURES:
            raise error
        time.sleep(pause)
