"""What the layer adds to the generated code, against a server within the process that fails as it is told."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2

import nadeuri
from nadeuri.chronicle.v1 import chronicle_service_pb2 as chronicle
from nadeuri.chronicle.v1 import chronicle_service_pb2_grpc as chronicle_grpc
from nadeuri.fleet.v1 import fleet_service_pb2 as fleet
from nadeuri.fleet.v1 import fleet_service_pb2_grpc as fleet_grpc
from nadeuri.rental.v1 import rental_service_pb2 as rental
from nadeuri.rental.v1 import rental_service_pb2_grpc as rental_grpc

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Fake(rental_grpc.RentalServiceServicer, fleet_grpc.FleetServiceServicer, chronicle_grpc.ChronicleServiceServicer):
    """Fails with `failures`, one a call, then answers."""

    def __init__(self) -> None:
        self.failures: list[tuple[grpc.StatusCode, list[Message]]] = []
        self.request_ids: list[str] = []
        self.headers: list[dict[str, str | bytes]] = []
        self.time_left_s: list[float] = []
        self.watched_from: list[int | None] = []

    def _take(self, context: Any) -> None:
        self.headers.append(dict(context.invocation_metadata()))
        self.time_left_s.append(context.time_remaining())
        if not self.failures:
            return
        code, found = self.failures.pop(0)
        status = status_pb2.Status(code=code.value[0], message="as told")
        for detail in found:
            status.details.add().Pack(detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "as told")

    def ReserveCar(self, request: Any, context: Any) -> rental.ReserveCarResponse:
        self.request_ids.append(request.request_id)
        self._take(context)
        return rental.ReserveCarResponse(reservation=rental.Reservation(car_id=request.car_id))

    def ListCars(self, request: Any, context: Any) -> fleet.ListCarsResponse:
        self._take(context)
        page = int(request.page_token or "0")
        cars = [fleet.Car(car_id=f"{page}-{number}") for number in range(2)]
        return fleet.ListCarsResponse(cars=cars, next_page_token="" if page == 2 else str(page + 1))

    def WatchEvents(self, request: Any, context: Any) -> Iterator[chronicle.WatchEventsResponse]:
        after = request.after_position if request.HasField("after_position") else None
        self.watched_from.append(after)
        first = (after or 0) + 1
        for position in range(first, first + 2):
            yield chronicle.WatchEventsResponse(event=chronicle.Event(position=position))
        self._take(context)


def retry_after(nanos: int) -> details.RetryInfo:
    return details.RetryInfo(retry_delay=Duration(nanos=nanos))


class Layer(unittest.TestCase):
    def setUp(self) -> None:
        self.fake = Fake()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        rental_grpc.add_RentalServiceServicer_to_server(self.fake, self.server)
        fleet_grpc.add_FleetServiceServicer_to_server(self.fake, self.server)
        chronicle_grpc.add_ChronicleServiceServicer_to_server(self.fake, self.server)
        self.address = f"http://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()
        self.channel = nadeuri.connect(self.address, "a-token", headers={"x-user": "mina"})
        self.rental = rental_grpc.RentalServiceStub(self.channel)
        self.fleet = fleet_grpc.FleetServiceStub(self.channel)

    def tearDown(self) -> None:
        self.channel.close()
        self.server.stop(grace=None)

    def test_a_retry_keeps_the_request_id(self) -> None:
        self.fake.failures = [(UNAVAILABLE, []), (grpc.StatusCode.ABORTED, [retry_after(1_000_000)])]
        request = rental.ReserveCarRequest(car_id="casper")
        self.assertEqual(self.rental.ReserveCar(request).reservation.car_id, "casper")
        self.assertEqual(len(self.fake.request_ids), 3)
        self.assertEqual(len(set(self.fake.request_ids)), 1)
        self.assertEqual(len(self.fake.request_ids[0]), 36)
        self.assertEqual(request.request_id, "", "the caller's request is theirs")

    def test_each_call_has_a_request_id_of_its_own_unless_it_brings_one(self) -> None:
        request = rental.ReserveCarRequest()
        self.rental.ReserveCar(request)
        self.rental.ReserveCar(request)
        self.rental.ReserveCar(rental.ReserveCarRequest(request_id="mine"))
        first, second, third = self.fake.request_ids
        self.assertNotEqual(first, second)
        self.assertEqual(third, "mine")

    def test_a_refusal_is_typed_and_not_tried_again(self) -> None:
        info = details.ErrorInfo(reason="PERIOD_TAKEN", domain="nadeuri")
        self.fake.failures = [(grpc.StatusCode.FAILED_PRECONDITION, [info])]
        with self.assertRaises(nadeuri.Error) as raised:
            self.rental.ReserveCar(rental.ReserveCarRequest())
        self.assertEqual(raised.exception.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertEqual(raised.exception.reason, "PERIOD_TAKEN")
        self.assertEqual(raised.exception.details(), "as told")
        self.assertIsNone(raised.exception.retry_delay)
        self.assertEqual(len(self.fake.request_ids), 1)

    def test_wrong_fields_are_named(self) -> None:
        wrong = details.BadRequest.FieldViolation(field="period.end_time", description="it must be later")
        bad = details.BadRequest(field_violations=[wrong])
        self.fake.failures = [(grpc.StatusCode.INVALID_ARGUMENT, [bad])]
        with self.assertRaises(nadeuri.Error) as raised:
            self.rental.ReserveCar(rental.ReserveCarRequest())
        self.assertEqual(raised.exception.violations, [nadeuri.Violation("period.end_time", "it must be later")])

    def test_attempts_end(self) -> None:
        self.fake.failures = [(UNAVAILABLE, [retry_after(1_000_000)])] * 10
        with self.assertRaises(nadeuri.Error) as raised:
            self.rental.ReserveCar(rental.ReserveCarRequest())
        self.assertEqual(raised.exception.retry_delay, 0.001)
        self.assertEqual(len(self.fake.request_ids), 4)

    def test_a_delay_beyond_the_deadline_is_not_waited_for(self) -> None:
        hour = details.RetryInfo(retry_delay=Duration(seconds=3600))
        self.fake.failures = [(UNAVAILABLE, [hour])]
        with self.assertRaises(nadeuri.Error) as raised:
            self.rental.ReserveCar(rental.ReserveCarRequest())
        self.assertEqual(raised.exception.retry_delay, 3600)
        self.assertEqual(len(self.fake.request_ids), 1)

    def test_every_call_has_a_deadline_the_token_and_the_headers(self) -> None:
        self.rental.ReserveCar(rental.ReserveCarRequest())
        self.rental.ReserveCar(rental.ReserveCarRequest(), timeout=2)
        by_default, chosen = self.fake.time_left_s
        self.assertAlmostEqual(by_default, 15, delta=5)
        self.assertAlmostEqual(chosen, 2, delta=1)
        self.assertEqual(self.fake.headers[0]["authorization"], "Bearer a-token")
        self.assertEqual(self.fake.headers[0]["x-user"], "mina")

    def test_a_token_can_be_renewed(self) -> None:
        tokens = iter(["first", "second"])
        with nadeuri.connect(self.address, lambda: next(tokens)) as channel:
            for _ in range(2):
                fleet_grpc.FleetServiceStub(channel).ListCars(fleet.ListCarsRequest())
        sent = [headers["authorization"] for headers in self.fake.headers]
        self.assertEqual(sent, ["Bearer first", "Bearer second"])

    def test_pages_are_walked_through(self) -> None:
        cars = nadeuri.items(self.fleet.ListCars, fleet.ListCarsRequest(), lambda page: page.cars)
        self.assertEqual([car.car_id for car in cars], ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"])

    def test_pauses_grow_only_so_far(self) -> None:
        nobody_there = nadeuri.Error(UNAVAILABLE, "")
        self.assertLessEqual(max(nobody_there.pause_s(attempt) or 0 for attempt in range(1, 100)), 2)

    def test_a_watch_goes_on_where_it_stopped(self) -> None:
        self.fake.failures = [(UNAVAILABLE, [retry_after(1_000_000)])] * 2
        events = nadeuri.watch(self.channel, after_position=40)
        self.assertEqual([next(events).position for _ in range(6)], [41, 42, 43, 44, 45, 46])
        events.close()
        self.assertEqual(self.fake.watched_from, [40, 42, 44])

    def test_a_watch_that_may_not_be_is_told_so(self) -> None:
        info = details.ErrorInfo(reason="ROLE_MISSING")
        self.fake.failures = [(grpc.StatusCode.PERMISSION_DENIED, [info])]
        with self.assertRaises(nadeuri.Error) as raised:
            list(nadeuri.watch(self.channel, after_position=0))
        self.assertEqual(raised.exception.reason, "ROLE_MISSING")

    def test_a_wrong_address_says_what_is_right(self) -> None:
        with self.assertRaisesRegex(ValueError, "give http://HOST:PORT"):
            nadeuri.connect("127.0.0.1:50051")


if __name__ == "__main__":
    unittest.main()
