//! x
use std::process::Command;
use anyhow::Result;
pub fn generate() -> Result<()> { Ok(()) }
pub fn test() -> Result<()> { Ok(()) }
pub fn check() -> Result<()> { Ok(()) }
pub fn example() -> Result<Command> { todo!() }
