/**
 * The client of Nadeuri.
 *
 * `connect` returns a transport. Every client of the generated services works over it, with request ids, deadlines, retries
 * and typed errors. `items` iterates over pages, `watch` follows the events.
 */
export { connect, layered, type Connection, type Options, type Token } from "./connect.js";
export { NadeuriError, type Violation } from "./error.js";
export { items, watch } from "./reading.js";
