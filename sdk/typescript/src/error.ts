/** What a call that failed throws, and when it may be tried again. */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";

// The pauses between attempts where the server names none: doubled each time, and random, so that clients that failed
// together don't come back together.
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** A field of the request that can't be taken. */
export interface Violation {
  /** Its path, such as `car.daily_rate.currency_code`. */
  field: string;
  /** What would be right. */
  description: string;
}

/** A call failed. It is a `ConnectError`, too: `code` and `rawMessage` are there. */
export class NadeuriError extends ConnectError {
  /** What programs go by, such as `PERIOD_TAKEN`; empty if no server of Nadeuri answered. */
  readonly reason: string;
  /** The fields that can't be taken, when the reason is `INVALID_FIELDS`. */
  readonly violations: Violation[];
  /** After how many milliseconds trying again may help, if the server says so. */
  readonly retryDelayMs: number | undefined;

  private constructor(failed: ConnectError) {
    super(failed.rawMessage, failed.code, failed.metadata, undefined, failed.cause ?? failed);
    this.name = "NadeuriError";
    this.details = failed.details;
    this.reason = failed.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
    const wrong = failed.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
    this.violations = wrong.map(({ field, description }) => ({ field, description }));
    const delay = failed.findDetails(RetryInfoSchema)[0]?.retryDelay;
    this.retryDelayMs = delay && durationMs(delay);
  }

  /** `instanceof` is exact here; that of `ConnectError` takes every error that looks like one. */
  static override [Symbol.hasInstance](thrown: unknown): boolean {
    return Object.prototype.isPrototypeOf.call(NadeuriError.prototype, thrown as object);
  }

  /** What was thrown by a call. */
  static of(failed: unknown): NadeuriError {
    return failed instanceof NadeuriError ? failed : new NadeuriError(ConnectError.from(failed));
  }

  /** How long to wait after this attempt (the first is 1) until the next; nothing if another would not help. */
  pauseMs(attempt: number): number | undefined {
    if (this.retryDelayMs !== undefined) {
      return this.retryDelayMs + Math.random() * FIRST_PAUSE_MS;
    }
    // Nobody is there at the moment.
    if (this.code === Code.Unavailable || this.code === Code.DeadlineExceeded) {
      return Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    }
    return undefined;
  }
}
