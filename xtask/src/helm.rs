//! Checks the chart without a cluster: `helm lint`, its unit tests in helm/tests, its alerts, and what it renders for the
//! values in helm/ci, which must be as it is kept in helm/examples and be valid for Kubernetes.
//!
//! The examples show in a review what a change of a template changes. helm and its unit tests come as xtask/helm/go.mod
//! pins them, and the schemas of Kubernetes with the PyPI package that checks against them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::process::{command, root, run, target};
use crate::{go, monitoring, pypi};

/// What helm says it is: built like this, it would otherwise not know.
const HELM_VERSION: &str = "helm.sh/helm/v4/internal/version.version=v4.2.4";
const VALIDATE_VERSION: &str = "1.37.0";

/// The oldest Kubernetes that the chart is for (`kubeVersion` of Chart.yaml), and a current one.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.27.0", "1.36.0"];

/// What operators add to Kubernetes, as far as the chart makes it. Only they have the schemas: `cargo xtask cluster` asks
/// an API server that has them too.
pub const OPERATOR_APIS: [&str; 3] = ["monitoring.coreos.com/v1", "postgresql.cnpg.io/v1", "rabbitmq.com/v1beta1"];

/// The helm that the chart is checked with.
pub fn program() -> Result<PathBuf> {
    Ok(go::programs("helm", &[HELM_VERSION])?.join("helm"))
}

/// Checks all of it; with `bless`, what is rendered becomes the examples instead of being compared with them.
pub fn check(bless: bool) -> Result<()> {
    let tools = Tools::get()?;
    run(tools.helm().args(["lint", "--strict", "--quiet", "helm"]))?;
    run(command(tools.programs.join("helm-unittest")).args(["--strict", "helm"]))?;
    monitoring::check()?;
    let examples = root().join("helm/examples");
    let (mut differing, mut expected) = (Vec::new(), Vec::new());
    for values in files(&root().join("helm/ci"))? {
        let example = examples.join(name(&values)?);
        let rendered = tools.render(&values)?;
        if bless {
            fs::create_dir_all(&examples)?;
            fs::write(&example, &rendered).with_context(|| format!("cannot write {}", example.display()))?;
        } else if fs::read(&example).ok().as_ref() != Some(&rendered) {
            differing.push(tools.difference(&example, &rendered)?);
        }
        let file = tools.folder.join("rendered.yaml");
        fs::write(&file, without_operators(&rendered))?;
        for version in KUBERNETES_VERSIONS {
            tools.validate(&file, version).with_context(|| format!("{} for {version}", values.display()))?;
        }
        expected.push(example);
    }
    let stale = files(&examples)?.into_iter().filter(|file| !expected.contains(file));
    differing.extend(stale.map(|file| format!("{} has no values in helm/ci", file.display())));
    ensure!(
        differing.is_empty(),
        "{}\nhelm/examples is not what is rendered; `cargo xtask helm --bless` if it is meant",
        differing.join("\n")
    );
    println!(
        "xtask: helm lint, unit tests, alerts; {} examples are what is rendered, and valid for Kubernetes {}; no cluster was asked",
        expected.len(),
        KUBERNETES_VERSIONS.join(" and ")
    );
    Ok(())
}

/// The manifests that Kubernetes itself knows.
fn without_operators(rendered: &[u8]) -> String {
    let text = String::from_utf8_lossy(rendered);
    let is_known =
        |manifest: &&str| !OPERATOR_APIS.iter().any(|api| manifest.contains(&format!("apiVersion: {api}\n")));
    text.split("\n---\n").filter(is_known).collect::<Vec<_>>().join("\n---\n")
}

/// What a file is called.
pub fn name(file: &Path) -> Result<&str> {
    file.file_name().and_then(|name| name.to_str()).context("a file has a name")
}

/// The files of a folder, by name.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// What checks the chart, beneath the target folder.
struct Tools {
    folder: PathBuf,
    programs: PathBuf,
    validator: PathBuf,
}

impl Tools {
    /// The pinned ones, installed when they aren't there yet.
    fn get() -> Result<Tools> {
        let programs = go::programs("helm", &[HELM_VERSION])?;
        let validator = pypi::environment("kubernetes-validate", VALIDATE_VERSION)?.join("bin/kubernetes-validate");
        Ok(Tools { folder: target().join("tools"), programs, validator })
    }

    fn helm(&self) -> Command {
        command(self.programs.join("helm"))
    }

    fn template(&self) -> Command {
        let mut helm = self.helm();
        helm.args(["template", "nadeuri", "helm", "--namespace", "nadeuri"]).stdin(Stdio::null());
        helm.args(OPERATOR_APIS.iter().flat_map(|api| ["--api-versions", api]));
        helm
    }

    /// What is installed with these values.
    fn render(&self, values: &Path) -> Result<Vec<u8>> {
        let output = self.template().arg("--values").arg(values).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} can't be rendered: {said}", values.display());
        Ok(output.stdout)
    }

    fn difference(&self, example: &Path, rendered: &[u8]) -> Result<String> {
        let file = self.folder.join("rendered.yaml");
        fs::write(&file, rendered)?;
        let output = command("diff").arg("--unified=2").arg("--new-file").arg(example).arg(file).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Fails unless every manifest is valid and has no field that Kubernetes does not know.
    fn validate(&self, manifests: &Path, version: &str) -> Result<()> {
        let mut validate = command(&self.validator);
        let output = validate.args(["--strict", "-k", version]).arg(manifests).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let failed: Vec<&str> = said.lines().filter(|line| !line.starts_with("INFO ")).collect();
        bail!("not valid:\n{}", failed.join("\n"))
    }
}
