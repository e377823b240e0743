/**
 * A day out: a car is reserved, paid, rented, returned and rated, and a taxi brings its driver home.
 *
 *     cargo run --release                    # the server, in another terminal
 *     npm run build
 *     node dist/examples/outing.js           # on http://127.0.0.1:50051, or on the address that NADEURI_SERVER names
 */

import { setTimeout as pause } from "node:timers/promises";

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { connect, items, NadeuriError, watch } from "nadeuri";
import { DispatchService } from "nadeuri/dispatch/v1/dispatch_service_pb";
import { DrivingService, FareState, type Drive } from "nadeuri/driving/v1/driving_service_pb";
import { FleetService } from "nadeuri/fleet/v1/fleet_service_pb";
import { RentalService, ReservationState, type Reservation } from "nadeuri/rental/v1/rental_service_pb";

const SERVER = process.env["NADEURI_SERVER"] ?? "http://127.0.0.1:50051";
const DAY_MS = 24 * 60 * 60 * 1_000;
const NOW = Date.now();

// The server trusts these names while auth is off; with auth on, use a token for each.
const admin = connect(SERVER, { headers: { "x-user": "admin", "x-roles": "admin" } });
const mina = connect(SERVER, { headers: { "x-user": "mina", "x-roles": "customer" } });
const jun = connect(SERVER, { headers: { "x-user": "jun", "x-roles": "customer" } });
const kim = connect(SERVER, { headers: { "x-user": "driver:kim", "x-roles": "driver" } });

/** What one context does reaches the others by events, a moment later. */
async function eventually<Found>(look: () => Promise<Found | undefined>): Promise<Found> {
  for (let looks = 0; looks < 200; looks++) {
    const found = await look();
    if (found !== undefined) {
      return found;
    }
    await pause(50);
  }
  throw new Error("it did not happen within ten seconds");
}

/** A value that a response always has, though its type is optional. */
function given<T>(field: T | undefined): T {
  if (field === undefined) {
    throw new Error("the answer lacks a field");
  }
  return field;
}

async function rentACar(): Promise<Reservation> {
  const registered = await createClient(FleetService, admin).registerCar({
    car: {
      model: "Hyundai Casper",
      place: { name: "Gimpo Airport" },
      dailyRate: { currencyCode: "KRW", amountMinor: 54_000n },
    },
  });
  const { carId, model } = given(registered.car);
  console.log(`the company has a ${model}`);

  const startTime = timestampFromDate(new Date(NOW));
  const period = { startTime, endTime: timestampFromDate(new Date(NOW + 3 * DAY_MS)) };
  const rental = createClient(RentalService, mina);
  const { reservation } = await eventually(async () => {
    try {
      return await rental.reserveCar({ carId, period });
    } catch (error) {
      if (error instanceof NadeuriError && error.reason === "CAR_NOT_FOUND") {
        return undefined; // rental has not heard of the new car yet
      }
      throw error;
    }
  });
  const { reservationId, days, price } = given(reservation);
  console.log(`mina reserves it for ${days} days: ${price?.amountMinor} won`);

  for (const wrong of [{ carId, period }, { carId: "the red one" }]) {
    try {
      await createClient(RentalService, jun).reserveCar(wrong);
    } catch (error) {
      if (!(error instanceof NadeuriError)) {
        throw error;
      }
      const fields = error.violations.map((violation) => violation.field).join(", ");
      console.log(`jun is refused: ${error.reason} ${fields}`);
    }
  }

  await rental.rentCar({ reservationId, paymentMethod: "sandbox-approve" });
  console.log("mina pays and drives off");
  await rental.returnCar({ reservationId });
  return given((await rental.rateRental({ reservationId, stars: 5 })).reservation);
}

async function takeATaxi(): Promise<Drive> {
  const cityHall = { latitude: 37.5663, longitude: 126.9779 };
  const hailed = await createClient(DispatchService, mina).hailTaxi({
    pickup: { name: "City Hall", ...cityHall },
    destination: { name: "Mapo" },
    paymentMethod: "sandbox-approve",
  });
  const { hailId, pickup, startCode } = given(hailed.hail);
  console.log(`mina hails a taxi at ${pickup?.name}`);

  const driving = createClient(DrivingService, kim);
  await driving.startShift({});
  const { driveId } = await eventually(async () => {
    for await (const { drive } of items(driving.listOffers, cityHall, (page) => page.offers)) {
      if (drive?.hailId === hailId) {
        return drive;
      }
    }
    return undefined;
  });
  await driving.acceptDrive({ driveId });
  await driving.startDrive({ driveId, startCode });
  const drive = given((await driving.finishDrive({ driveId })).drive);
  console.log(`kim brings her home for ${drive.fare?.amountMinor} won`);
  return drive;
}

/** The events of a flow, as a watch receives them. */
async function firstEventsOf(flowId: string): Promise<string[]> {
  const seen: string[] = [];
  for await (const event of watch(admin, { afterPosition: 0n })) {
    if (event.flowId === flowId) {
      seen.push(event.type.slice(event.type.lastIndexOf(".") + 1));
    }
    if (seen.at(-1) === "RentalRated") {
      break;
    }
  }
  return seen;
}

const reservation = await rentACar();
const drive = await takeATaxi();
console.log(`the chronicle: ${(await firstEventsOf(reservation.reservationId)).join(", ")}`);
if (reservation.state !== ReservationState.RETURNED || drive.fareState !== FareState.PAID) {
  throw new Error("the day went wrong");
}
console.log(`done: the car is back with ${reservation.stars} stars, and the taxi is paid`);
[admin, mina, jun, kim].forEach((connection) => connection.close());
