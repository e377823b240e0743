//! Black-box journeys.

fn main() {}
