//! Rust: the crate of sdk/rust, over the crate `contracts`, which its build script generates.

use std::process::Command;

use anyhow::Result;

use super::Sdk;
use crate::process::{cargo, run};

pub const SDK: Sdk = Sdk { name: "Rust", generate: || Ok(()), test, example };

fn test() -> Result<()> {
    run(cargo().args(["test", "--quiet", "--package", "nadeuri-client"]).stdout(std::io::stderr()))
}

fn example() -> Result<Command> {
    let mut example = cargo();
    example.args(["run", "--quiet", "--package", "nadeuri-client", "--example", "outing"]);
    Ok(example)
}
