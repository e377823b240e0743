"""Reading much: lists that come in pages, and events as they happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from nadeuri.chronicle.v1.chronicle_service_pb2 import Event, WatchEventsRequest
from nadeuri.chronicle.v1.chronicle_service_pb2_grpc import ChronicleServiceStub
from nadeuri.error import Error

# A watch outlives a restart of the server: so many failures in a row take about a minute, with the pauses between them.
WATCH_FAILURES = 60

Request = TypeVar("Request", bound=Message)
Item = TypeVar("Item")


def items(call: Callable[[Request], Any], request: Request, of: Callable[[Any], Iterable[Item]]) -> Iterator[Item]:
    """All items of a list, page after page: `items(fleet.ListCars, ListCarsRequest(), lambda page: page.cars)`."""
    page_request = type(request)()
    page_request.CopyFrom(request)
    while True:
        page = call(page_request)
        yield from of(page)
        if not page.next_page_token:
            return
        setattr(page_request, "page_token", page.next_page_token)


def watch(channel: grpc.Channel, types: Sequence[str] = (), after_position: int | None = None) -> Iterator[Event]:
    """Events as they are heard, without an end; when the connection breaks, it goes on after the last that came.

    Without `after_position` it begins now; until a first event came, a break makes it begin at a new now.
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
            # Also when the caller has seen enough.
            stream.cancel()
        failures += 1
        pause = error.pause_s(failures)
        if pause is None or failures >= WATCH_FAILURES:
            raise error
        time.sleep(pause)
