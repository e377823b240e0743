"""A day out: a car is reserved, paid, rented, returned and rated, and a taxi brings its driver home.

    cargo run --release              # the server, in another terminal
    python examples/outing.py        # on http://127.0.0.1:50051, or on the address that NADEURI_SERVER names
"""

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

import nadeuri
from nadeuri.dispatch.v1.dispatch_service_pb2 import HailTaxiRequest
from nadeuri.dispatch.v1.dispatch_service_pb2_grpc import DispatchServiceStub
from nadeuri.driving.v1.driving_service_pb2 import (
    AcceptDriveRequest,
    Drive,
    FareState,
    FinishDriveRequest,
    ListOffersRequest,
    StartDriveRequest,
    StartShiftRequest,
)
from nadeuri.driving.v1.driving_service_pb2_grpc import DrivingServiceStub
from nadeuri.fleet.v1.fleet_service_pb2 import Car, RegisterCarRequest
from nadeuri.fleet.v1.fleet_service_pb2_grpc import FleetServiceStub
from nadeuri.money.v1.money_pb2 import Money
from nadeuri.period.v1.period_pb2 import Period
from nadeuri.place.v1.place_pb2 import Place
from nadeuri.rental.v1.rental_service_pb2 import (
    RateRentalRequest,
    RentCarRequest,
    Reservation,
    ReservationState,
    ReserveCarRequest,
    ReturnCarRequest,
)
from nadeuri.rental.v1.rental_service_pb2_grpc import RentalServiceStub

SERVER = os.environ.get("NADEURI_SERVER", "http://127.0.0.1:50051")
NOW = datetime.now(timezone.utc)
Found = TypeVar("Found")

# The server trusts these names while auth is off; with auth on, use a token for each.
admin = nadeuri.connect(SERVER, headers={"x-user": "admin", "x-roles": "admin"})
mina = nadeuri.connect(SERVER, headers={"x-user": "mina", "x-roles": "customer"})
jun = nadeuri.connect(SERVER, headers={"x-user": "jun", "x-roles": "customer"})
kim = nadeuri.connect(SERVER, headers={"x-user": "driver:kim", "x-roles": "driver"})


def eventually(look: Callable[[], Found | None]) -> Found:
    """What one context does reaches the others by events, a moment later."""
    for _ in range(200):
        found = look()
        if found is not None:
            return found
        time.sleep(0.05)
    raise TimeoutError("it did not happen within ten seconds")


def rent_a_car() -> Reservation:
    car = FleetServiceStub(admin).RegisterCar(
        RegisterCarRequest(
            car=Car(
                model="Hyundai Casper",
                place=Place(name="Gimpo Airport"),
                daily_rate=Money(currency_code="KRW", amount_minor=54_000),
            )
        )
    ).car
    print(f"the company has a {car.model}")

    start, end = Timestamp(), Timestamp()
    start.FromDatetime(NOW)
    end.FromDatetime(NOW + timedelta(days=3))
    period = Period(start_time=start, end_time=end)

    def reserve() -> Reservation | None:
        try:
            request = ReserveCarRequest(car_id=car.car_id, period=period)
            return RentalServiceStub(mina).ReserveCar(request).reservation
        except nadeuri.Error as error:
            if error.reason == "CAR_NOT_FOUND":
                return None  # rental has not heard of the new car yet
            raise

    reservation = eventually(reserve)
    print(f"mina reserves it for {reservation.days} days: {reservation.price.amount_minor} won")
    try:
        RentalServiceStub(jun).ReserveCar(ReserveCarRequest(car_id=car.car_id, period=period))
    except nadeuri.Error as error:
        print(f"jun is refused: {error.reason}")
    try:
        RentalServiceStub(jun).ReserveCar(ReserveCarRequest(car_id="the red one"))
    except nadeuri.Error as error:
        print(f"jun is told what is wrong with {', '.join(wrong.field for wrong in error.violations)}")

    rental, mine = RentalServiceStub(mina), reservation.reservation_id
    rental.RentCar(RentCarRequest(reservation_id=mine, payment_method="sandbox-approve"))
    print("mina pays and drives off")
    rental.ReturnCar(ReturnCarRequest(reservation_id=mine))
    return rental.RateRental(RateRentalRequest(reservation_id=mine, stars=5)).reservation


def take_a_taxi() -> Drive:
    hail = DispatchServiceStub(mina).HailTaxi(
        HailTaxiRequest(
            pickup=Place(name="City Hall", latitude=37.5663, longitude=126.9779),
            destination=Place(name="Mapo"),
            payment_method="sandbox-approve",
        )
    ).hail
    print(f"mina hails a taxi at {hail.pickup.name}")

    driving = DrivingServiceStub(kim)
    driving.StartShift(StartShiftRequest())

    def offered() -> Drive | None:
        near = ListOffersRequest(latitude=37.5663, longitude=126.9779)
        offers = nadeuri.items(driving.ListOffers, near, lambda page: page.offers)
        return next((offer.drive for offer in offers if offer.drive.hail_id == hail.hail_id), None)

    drive_id = eventually(offered).drive_id
    driving.AcceptDrive(AcceptDriveRequest(drive_id=drive_id))
    driving.StartDrive(StartDriveRequest(drive_id=drive_id, start_code=hail.start_code))
    drive = driving.FinishDrive(FinishDriveRequest(drive_id=drive_id)).drive
    print(f"kim brings her home for {drive.fare.amount_minor} won")
    return drive


def first_events_of(flow_id: str) -> list[str]:
    """The events of a flow, as a watch receives them."""
    seen: list[str] = []
    for event in nadeuri.watch(admin, after_position=0):
        if event.flow_id == flow_id:
            seen.append(event.type.rsplit(".", 1)[1])
        if seen and seen[-1] == "RentalRated":
            return seen
    return seen


reservation = rent_a_car()
drive = take_a_taxi()
print("the chronicle: " + ", ".join(first_events_of(reservation.reservation_id)))
if reservation.state != ReservationState.RESERVATION_STATE_RETURNED or drive.fare_state != FareState.FARE_STATE_PAID:
    raise SystemExit("the day went wrong")
print(f"done: the car is back with {reservation.stars} stars, and the taxi is paid")
