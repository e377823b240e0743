/** Pages of lists, and streams of events. */

import { setTimeout as wait } from "node:timers/promises";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";

import {
  ChronicleService,
  type Event,
  type WatchEventsRequestSchema,
} from "../gen/nadeuri/chronicle/v1/chronicle_service_pb.js";
import { NadeuriError } from "./error.js";

// A watch survives a restart of the server: this many consecutive failures take about a minute, with their pauses.
const WATCH_FAILURES = 60;

/** All items of a list, over all pages: `items(fleet.listCars, {}, (page) => page.cars)`. */
export async function* items<Request extends object, Page extends { nextPageToken: string }, Item>(
  call: (request: Request) => Promise<Page>,
  request: Request,
  of: (page: Page) => Item[],
): AsyncGenerator<Item, void, undefined> {
  let asked = request;
  for (;;) {
    const page = await call(asked);
    yield* of(page);
    if (page.nextPageToken === "") {
      return;
    }
    asked = { ...request, pageToken: page.nextPageToken };
  }
}

/**
 * An endless stream of events; after a broken connection it continues after the last one received.
 *
 * Without `afterPosition` it starts now; if it breaks before the first event, it starts again at that later moment.
 */
export async function* watch(
  transport: Transport,
  request: MessageInitShape<typeof WatchEventsRequestSchema> = {},
): AsyncGenerator<Event, never, undefined> {
  const chronicle = createClient(ChronicleService, transport);
  const { types, afterPosition } = request;
  let after = afterPosition;
  for (let failures = 0; ; ) {
    // Ends the stream, also when the caller stops iterating.
    const end = new AbortController();
    let error: NadeuriError;
    try {
      for await (const { event } of chronicle.watchEvents({ types, afterPosition: after }, { signal: end.signal })) {
        if (event !== undefined) {
          [failures, after] = [0, event.position];
          yield event;
        }
      }
      error = NadeuriError.of(new ConnectError("the stream of events ended", Code.Unavailable));
    } catch (thrown) {
      error = NadeuriError.of(thrown);
    } finally {
      end.abort();
    }
    failures += 1;
    const pauseMs = error.pauseMs(failures);
    if (pauseMs === undefined || failures >= WATCH_FAILURES) {
      throw error;
    }
    await wait(pauseMs);
  }
}
