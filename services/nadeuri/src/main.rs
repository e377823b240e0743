//! nadeuri
fn main() {}
