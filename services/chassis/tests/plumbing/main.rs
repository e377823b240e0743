//! The plumbing beneath every context, on SQLite and on PostgreSQL: the writer, the relay, consumers, timers, loaders,
//! projections, pruning and rows, with a context of counters.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

mod consumer;
mod erasure;
mod files;
mod loader;
mod projection;
mod pruning;
mod relay;
mod rows;
mod support;
mod tally;
mod timers;
mod writer;
