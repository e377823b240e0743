/** What the layer adds to the generated code, against a server within the process that fails as it is told. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError, createClient, createRouterTransport, type HandlerContext } from "@connectrpc/connect";
import { connect, items, layered, NadeuriError, watch, type Options } from "nadeuri";
import { ChronicleService } from "nadeuri/chronicle/v1/chronicle_service_pb";
import { FleetService } from "nadeuri/fleet/v1/fleet_service_pb";
import { RentalService } from "nadeuri/rental/v1/rental_service_pb";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";

/** A server that fails with `failures`, one a call, then answers. */
function fake(options: Options = {}) {
  const told = {
    failures: [] as ConnectError[],
    requestIds: [] as string[],
    headers: [] as Headers[],
    timeLeftMs: [] as (number | undefined)[],
    watchedFrom: [] as (bigint | undefined)[],
  };
  function take(context: HandlerContext) {
    told.headers.push(context.requestHeader);
    told.timeLeftMs.push(context.timeoutMs());
    const failure = told.failures.shift();
    if (failure !== undefined) {
      throw failure;
    }
  }
  const router = createRouterTransport(({ service }) => {
    service(RentalService, {
      reserveCar({ requestId, carId }, context) {
        told.requestIds.push(requestId);
        take(context);
        return { reservation: { carId } };
      },
    });
    service(FleetService, {
      listCars({ pageToken }) {
        const page = Number(pageToken);
        const cars = [{ carId: `${page}-0` }, { carId: `${page}-1` }];
        return { cars, nextPageToken: page === 2 ? "" : String(page + 1) };
      },
    });
    service(ChronicleService, {
      async *watchEvents({ afterPosition }, context) {
        told.watchedFrom.push(afterPosition);
        for (const next of [1n, 2n]) {
          yield { event: { position: (afterPosition ?? 0n) + next } };
        }
        take(context);
      },
    });
  });
  const transport = layered(router, options);
  return { told, transport, rental: createClient(RentalService, transport) };
}

type Details = ConstructorParameters<typeof ConnectError>[3];

function failure(code: Code, details: Details = []): ConnectError {
  return new ConnectError("as told", code, undefined, details);
}

function retryAfter(seconds: number, nanos = 0): Details {
  return [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(seconds), nanos } } }];
}

async function failed(call: Promise<unknown>): Promise<NadeuriError> {
  const error = await call.then(
    () => assert.fail("it should have failed"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof NadeuriError);
  return error;
}

test("a retry keeps the request id", async () => {
  const { told, rental } = fake();
  told.failures = [failure(Code.Unavailable), failure(Code.Aborted, retryAfter(0, 1_000_000))];
  const { reservation } = await rental.reserveCar({ carId: "casper" });
  assert.equal(reservation?.carId, "casper");
  assert.equal(told.requestIds.length, 3);
  assert.equal(new Set(told.requestIds).size, 1);
  assert.match(told.requestIds[0] ?? "", /^[0-9a-f-]{36}$/);
});

test("each call has a request id of its own unless it brings one", async () => {
  const { told, rental } = fake();
  const request = {};
  await rental.reserveCar(request);
  await rental.reserveCar(request);
  await rental.reserveCar({ requestId: "mine" });
  assert.notEqual(told.requestIds[0], told.requestIds[1]);
  assert.equal(told.requestIds[2], "mine");
  assert.deepEqual(request, {});
});

test("a refusal is typed and not tried again", async () => {
  const { told, rental } = fake();
  told.failures = [failure(Code.FailedPrecondition, [{ desc: ErrorInfoSchema, value: { reason: "PERIOD_TAKEN" } }])];
  const error = await failed(rental.reserveCar({}));
  assert.equal(error.reason, "PERIOD_TAKEN");
  assert.equal(error.code, Code.FailedPrecondition);
  assert.equal(error.rawMessage, "as told");
  assert.equal(error.retryDelayMs, undefined);
  assert.equal(told.requestIds.length, 1);
});

test("wrong fields are named", async () => {
  const { told, rental } = fake();
  const fieldViolations = [{ field: "period.end_time", description: "it must be later" }];
  told.failures = [failure(Code.InvalidArgument, [{ desc: BadRequestSchema, value: { fieldViolations } }])];
  const error = await failed(rental.reserveCar({}));
  assert.deepEqual(error.violations, fieldViolations);
});

test("attempts end", async () => {
  const { told, rental } = fake();
  told.failures = Array.from({ length: 10 }, () => failure(Code.Unavailable, retryAfter(0, 1_000_000)));
  const error = await failed(rental.reserveCar({}));
  assert.equal(error.retryDelayMs, 1);
  assert.equal(told.requestIds.length, 4);
});

test("a delay beyond the deadline is not waited for", async () => {
  const { told, rental } = fake();
  told.failures = [failure(Code.Unavailable, retryAfter(3_600))];
  const error = await failed(rental.reserveCar({}));
  assert.equal(error.retryDelayMs, 3_600_000);
  assert.equal(told.requestIds.length, 1);
});

test("every call has a deadline, the token and the headers", async () => {
  const { told, rental } = fake({ token: "a-token", headers: { "x-user": "mina" } });
  await rental.reserveCar({});
  await rental.reserveCar({}, { timeoutMs: 2_000 });
  const [byDefault = 0, chosen = 0] = told.timeLeftMs;
  assert.ok(byDefault > 10_000 && byDefault <= 15_000, `${byDefault} ms`);
  assert.ok(chosen > 1_000 && chosen <= 2_000, `${chosen} ms`);
  assert.equal(told.headers[0]?.get("authorization"), "Bearer a-token");
  assert.equal(told.headers[0]?.get("x-user"), "mina");
});

test("a token can be renewed", async () => {
  let asked = 0;
  const { told, rental } = fake({ token: () => String(++asked) });
  told.failures = [failure(Code.Unavailable)];
  await rental.reserveCar({});
  assert.deepEqual(told.headers.map((headers) => headers.get("authorization")), ["Bearer 1", "Bearer 2"]);
});

test("pages are walked through", async () => {
  const { transport } = fake();
  const seen: string[] = [];
  for await (const car of items(createClient(FleetService, transport).listCars, {}, (page) => page.cars)) {
    seen.push(car.carId);
  }
  assert.deepEqual(seen, ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]);
});

test("pauses grow only so far", () => {
  const nobodyThere = NadeuriError.of(failure(Code.Unavailable));
  for (let attempt = 1; attempt < 100; attempt++) {
    assert.ok((nobodyThere.pauseMs(attempt) ?? 0) <= 2_000);
  }
});

test("a watch goes on where it stopped", async () => {
  const { told, transport } = fake();
  told.failures = [1, 2].map(() => failure(Code.Unavailable, retryAfter(0, 1_000_000)));
  const seen: bigint[] = [];
  for await (const { position } of watch(transport, { afterPosition: 40n })) {
    seen.push(position);
    if (seen.length === 6) {
      break;
    }
  }
  assert.deepEqual(seen, [41n, 42n, 43n, 44n, 45n, 46n]);
  assert.deepEqual(told.watchedFrom, [40n, 42n, 44n]);
});

test("a watch that may not be is told so", async () => {
  const { told, transport } = fake();
  told.failures = [failure(Code.PermissionDenied, [{ desc: ErrorInfoSchema, value: { reason: "ROLE_MISSING" } }])];
  const events = watch(transport);
  await events.next();
  await events.next();
  assert.equal((await failed(events.next())).reason, "ROLE_MISSING");
});

test("a wrong address says what is right", () => {
  assert.throws(() => connect("127.0.0.1:50051"), /give http:\/\/HOST:PORT/);
});
