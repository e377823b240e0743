/** The error of a failed call, and when to retry. */

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../gen/google/rpc/error_details_pb.js";

// The pauses between attempts if the server sets no delay: doubled each time, with jitter so that clients that failed
// together don't retry together.
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2_000;

/** An invalid field of the request. */
export interface Violation {
  /** Its path, such as `car.daily_rate.currency_code`. */
  field: string;
  /** What is expected. */
  description: string;
}

/** The error of a failed call. It is a `ConnectError`, with `code` and `rawMessage`. */
export class NadeuriError extends ConnectError {
  /** The reason for programs, such as `PERIOD_TAKEN`; empty if no server of Nadeuri answered. */
  readonly reason: string;
  /** The invalid fields, if the reason is `INVALID_FIELDS`. */
  readonly violations: Violation[];
  /** The server's retry delay in milliseconds, if it sets one. */
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

  /** `instanceof` is exact here; that of `ConnectError` accepts every error that looks like one. */
  static override [Symbol.hasInstance](thrown: unknown): boolean {
    return Object.prototype.isPrototypeOf.call(NadeuriError.prototype, thrown as object);
  }

  /** Converts what a call threw. */
  static of(failed: unknown): NadeuriError {
    return failed instanceof NadeuriError ? failed : new NadeuriError(ConnectError.from(failed));
  }

  /** The pause after this attempt (the first is 1); nothing if another would not help. */
  pauseMs(attempt: number): number | undefined {
    if (this.retryDelayMs !== undefined) {
      return this.retryDelayMs + Math.random() * FIRST_PAUSE_MS;
    }
    // No server answered.
    if (this.code === Code.Unavailable || this.code === Code.DeadlineExceeded) {
      return Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
    }
    return undefined;
  }
}
