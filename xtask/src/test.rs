//! Runs the checks of the contracts and all tests, with real servers that are stopped at the end.
//!
//! All tests share one PostgreSQL and one RabbitMQ, with unique names of databases and queues. A test that kills a
//! server starts its own, in a folder beneath `NADEURI_TEST_SERVERS`, with the binary that `NADEURI_XTASK` names.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::process::{cargo, status};
use crate::proto;
use crate::servers::{self, Kind, TemporaryServers};

/// Runs the tests; the exit code is cargo's, unless only the contracts failed.
pub fn run_all(extra: &[String]) -> Result<ExitCode> {
    let contracts = proto::check();
    if let Err(error) = &contracts {
        eprintln!("xtask: {error:#}; the tests run anyway");
    }
    let temporary = TemporaryServers::new()?;
    let variables = servers::up(temporary.path(), &Kind::ALL)?;
    let mut test = cargo();
    test.arg("test").args(whole_workspace(extra)).args(extra).envs(variables);
    test.env("NADEURI_TEST_SERVERS", temporary.path());
    test.env("NADEURI_XTASK", std::env::current_exe().context("cannot tell where xtask is")?);
    let tests = status(&mut test)?;
    drop(temporary);

    let tests_text = if tests.success() { "passed" } else { "failed" };
    let contracts_text = contracts.as_deref().unwrap_or("the contracts failed");
    println!("xtask: {contracts_text}; the tests on PostgreSQL and RabbitMQ {tests_text}");
    let code = tests.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(if code == 0 && contracts.is_err() { ExitCode::FAILURE } else { ExitCode::from(code) })
}

/// `--workspace`, unless the arguments select packages: cargo would prefer `--workspace`.
fn whole_workspace(extra: &[String]) -> Option<&'static str> {
    let ours = extra.iter().take_while(|argument| *argument != "--");
    let chosen = ours.into_iter().any(|argument| argument.starts_with("-p") || argument.starts_with("--package"));
    (!chosen).then_some("--workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_package_is_tested_alone() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(whole_workspace(&words("-p rental")), None);
        assert_eq!(whole_workspace(&words("--package=rental")), None);
        assert_eq!(whole_workspace(&words("a_name -- --nocapture -p")), Some("--workspace"));
        assert_eq!(whole_workspace(&[]), Some("--workspace"));
    }
}
