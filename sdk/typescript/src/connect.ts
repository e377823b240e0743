/** The transport under all clients: it adds request ids, deadlines, retries and typed errors. */

import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

import { clone, create, type DescMethod, type DescMessage, type Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { NadeuriError } from "./error.js";

const DEADLINE_MS = 15_000;
const ATTEMPTS = 4;
// Without keepalive, a stream without events would not notice a lost connection.
const PING_INTERVAL_MS = 60_000;

/** A token, or a function that returns one for each call, so that it can be renewed. */
export type Token = string | (() => string | Promise<string>);

/** The caller, and the settings of the connection. */
export interface Options {
  token?: Token;
  /** A PEM file of the certificates to trust instead of the machine's. */
  ca?: string;
  /** Sent with each call. */
  headers?: Record<string, string>;
  /** The limit of a call with all its attempts, unless the call sets `timeoutMs`; 15 seconds by default. */
  deadlineMs?: number;
  /** The highest number of attempts of a call; 4 by default. */
  attempts?: number;
}

/** A transport for `createClient` that can be closed. */
export interface Connection extends Transport {
  /** Closes the connection, and ends the calls in flight. An open connection keeps the process alive. */
  close(): void;
}

/** Connects to `http://HOST:PORT` or, over TLS, to `https://HOST:PORT`, at the first call. */
export function connect(address: string, options: Options = {}): Connection {
  if (!/^https?:\/\/[^/]+\/?$/.test(address)) {
    throw new TypeError(`"${address}" is no address: give http://HOST:PORT, or https://HOST:PORT for TLS`);
  }
  const trusted = options.ca === undefined ? {} : { ca: readFileSync(options.ca) };
  const sessionManager = new Http2SessionManager(address, { pingIntervalMs: PING_INTERVAL_MS }, trusted);
  const transport = createGrpcTransport({ baseUrl: address, sessionManager });
  return { ...layered(transport, options), close: () => sessionManager.abort() };
}

/** The same layer over another transport. */
export function layered(transport: Transport, options: Options = {}): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      const request = withRequestId(method.input, create(method.input, input));
      const ends = performance.now() + (timeoutMs ?? options.deadlineMs ?? DEADLINE_MS);
      for (let attempt = 1; ; attempt++) {
        const sent = await withHeaders(header, options);
        const timeLeftMs = Math.max(1, Math.round(ends - performance.now()));
        try {
          // It is a message of this method, which the parameter's type can't express.
          return await transport.unary(method, signal, timeLeftMs, sent, request as typeof input, contextValues);
        } catch (thrown) {
          const error = NadeuriError.of(thrown);
          const pauseMs = error.pauseMs(attempt);
          const isLast = attempt >= (options.attempts ?? ATTEMPTS) || !isRepeatable(method);
          if (isLast || pauseMs === undefined || performance.now() + pauseMs >= ends || signal?.aborted) {
            throw error;
          }
          await wait(pauseMs, undefined, signal && { signal }).catch(() => {
            throw error;
          });
        }
      }
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      try {
        const sent = await withHeaders(header, options);
        const answer = await transport.stream(method, signal, timeoutMs, sent, input, contextValues);
        return { ...answer, message: typed(answer.message) };
      } catch (thrown) {
        throw NadeuriError.of(thrown);
      }
    },
  };
}

async function* typed<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw NadeuriError.of(thrown);
  }
}

async function withHeaders(header: HeadersInit | undefined, { token, headers }: Options): Promise<Headers> {
  const sent = new Headers(header);
  for (const [name, value] of Object.entries(headers ?? {})) {
    sent.set(name, value);
  }
  if (token !== undefined) {
    sent.set("authorization", `Bearer ${typeof token === "string" ? token : await token()}`);
  }
  return sent;
}

/** Whether the contract says that the call is safe to repeat with the same request id. */
function isRepeatable(method: DescMethod): boolean {
  return method.idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
}

/** A copy of the request with a request id, if it has that field; the caller's own stays unchanged. */
function withRequestId<T extends Message>(schema: DescMessage, request: T): T {
  if (!("requestId" in schema.field) || (request as { requestId?: string }).requestId) {
    return request;
  }
  return Object.assign(clone(schema, request) as T, { requestId: crypto.randomUUID() });
}
