//! Checks the chart without a cluster: `helm lint`, its unit tests in helm/tests, its alerts, and the manifests
//! rendered for the values in helm/ci, which must equal those in helm/examples and be valid for Kubernetes.
//!
//! In a review, the examples show the effect of a change of a template. The versions of helm and its unit test plugin
//! are pinned by xtask/helm/go.mod. The schemas of Kubernetes come with the PyPI package that validates them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::files::{beneath, empty_folder};
use crate::process::{command, output, root, run, status, target};
use crate::{monitoring, tools};

/// The version to build into helm, which has none when it is built as a Go tool.
const HELM_VERSION: &str = "helm.sh/helm/v4/internal/version.version=v4.2.4";
const VALIDATE_VERSION: &str = "1.37.0";

/// The oldest supported Kubernetes (`kubeVersion` of Chart.yaml), and a current one.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.27.0", "1.36.0"];

/// The custom resources in the chart. Their schemas are in the operators, so only `cargo xtask cluster` validates them.
pub const OPERATOR_APIS: [&str; 3] = ["monitoring.coreos.com/v1", "postgresql.cnpg.io/v1", "rabbitmq.com/v1beta1"];

/// The helm that the chart is checked with.
pub fn program() -> Result<PathBuf> {
    Ok(programs()?.join("helm"))
}

fn programs() -> Result<PathBuf> {
    tools::go_tools("xtask/helm", &[HELM_VERSION])
}

/// Runs all checks. With `bless`, the rendered manifests replace the examples.
pub fn check(bless: bool) -> Result<()> {
    let (helm, validator) = (program()?, tools::pypi("kubernetes-validate", VALIDATE_VERSION, "kubernetes-validate")?);
    run(command(&helm).args(["lint", "--strict", "--quiet", "helm"]))?;
    run(command(programs()?.join("helm-unittest")).args(["--strict", "helm"]))?;
    monitoring::check()?;
    let (examples, rendered) = (root().join("helm/examples"), target().join("tools/helm-rendered"));
    let known = target().join("tools/helm-known");
    empty_folder(&rendered)?;
    empty_folder(&known)?;
    let values = beneath(&root().join("helm/ci"))?;
    for name in &values {
        let mut template = command(&helm);
        template.args(["template", "nadeuri", "helm", "--namespace", "nadeuri", "--values"]);
        template
            .arg(Path::new("helm/ci").join(name))
            .args(OPERATOR_APIS.iter().flat_map(|api| ["--api-versions", api]));
        let manifests = output(&mut template)?;
        fs::write(rendered.join(name), &manifests)?;
        fs::write(known.join(name), without_operators(&manifests))?;
    }
    // Unknown fields are errors too.
    let mut validate = command(validator);
    validate
        .args(["--strict", "--quiet", "--no-warn"])
        .args(KUBERNETES_VERSIONS.iter().flat_map(|version| ["-k", version]));
    run(validate.args(values.iter().map(|name| known.join(name))))?;
    if bless {
        empty_folder(&examples)?;
        values.iter().try_for_each(|name| fs::copy(rendered.join(name), examples.join(name)).map(drop))?;
    }
    let is_same =
        status(command("diff").args(["--unified=2", "--recursive", "helm/examples"]).arg(&rendered))?.success();
    ensure!(is_same, "helm/examples is not what is rendered; `cargo xtask helm --bless` if it is meant");
    println!(
        "xtask: helm lint, unit tests, alerts; {} examples are what is rendered, and valid for Kubernetes {}; no cluster was asked",
        values.len(),
        KUBERNETES_VERSIONS.join(" and ")
    );
    Ok(())
}

/// The manifests without custom resources.
fn without_operators(rendered: &str) -> String {
    let is_known =
        |manifest: &&str| !OPERATOR_APIS.iter().any(|api| manifest.contains(&format!("apiVersion: {api}\n")));
    rendered.split("\n---\n").filter(is_known).collect::<Vec<_>>().join("\n---\n")
}
