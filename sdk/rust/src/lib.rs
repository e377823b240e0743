//! The Rust client of Nadeuri.
//!
//! [`Client::connect`] creates a client. [`Client::send`] sends any request of the [contracts](contracts), with a
//! request id, a deadline, retries and typed errors. [`Client::items`] reads all pages of a list, [`Client::watch`]
//! streams events.
//!
//! ```no_run
//! # async fn example() -> Result<(), client::Error> {
//! use client::contracts::fleet::v1::GetCarRequest;
//! use client::{Client, Options};
//!
//! let mina = Client::connect("http://127.0.0.1:50051", Options::default().token("a token"))?;
//! let car = mina.send(GetCarRequest { car_id: "018f…".to_owned() }).await?.car;
//! # Ok(())
//! # }
//! ```
//!
//! [`call`] and [`open`] are the layer below: single calls without retries.

mod call;
mod connection;
mod error;
mod options;
mod reading;

pub use contracts;

pub use call::{Transport, call, open};
pub use connection::Client;
pub use error::{Error, Violation};
pub use options::Options;
