//! The documents that are generated from the contracts: writes them, or checks that they are current and that
//! `docs/asyncapi.yaml` is valid.
//!
//! Tests of the product generate and compare them, because the subscriptions are in the code of the contexts.

use std::fs;

use anyhow::{Context, Result};

use crate::process::{cargo_test, command, run, target};
use crate::tools;

/// Writes `docs/reference` and `docs/asyncapi.yaml`.
pub fn write() -> Result<()> {
    run(cargo_test("docs", "the_documents_say_what_the_code_does").env("NADEURI_DOCS_WRITE", "1"))
}

/// Compares them with the contracts, and has `docs/asyncapi.yaml` validated.
pub fn check() -> Result<()> {
    run(&mut cargo_test("docs", ""))?;
    // The official validator. It is large, so that only this command installs it.
    let validator = tools::npm("@asyncapi/cli", "4.1.1", "asyncapi")?;
    // This disables its telemetry.
    let metrics = target().join("tools/asyncapi-metrics.json");
    fs::write(&metrics, r#"{"analyticsEnabled":"false","infoMessageShown":"true"}"#)
        .with_context(|| format!("cannot write {}", metrics.display()))?;
    let mut validate = command(&validator);
    validate.args(["validate", "docs/asyncapi.yaml", "--fail-severity", "warn"]);
    run(validate.env("ASYNCAPI_METRICS_CONFIG_PATH", &metrics))
        .context("docs/asyncapi.yaml is not a valid AsyncAPI document")
}
