//! Checks the chart: `helm lint`, and what it renders for the values in helm/ci, which must be as it is kept in
//! helm/examples and be valid for Kubernetes, without a cluster.
//!
//! The examples show in a review what a change of a template changes. helm comes by `go install`, and the schemas of
//! Kubernetes with the PyPI package that checks against them, each at one pinned version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::debian;
use crate::process::{answer, command, root, run, target};

const HELM_VERSION: &str = "4.2.4";
const VALIDATE_VERSION: &str = "1.37.0";

/// The oldest Kubernetes that the chart is for (`kubeVersion` of Chart.yaml), and a current one.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.27.0", "1.36.0"];

/// Values that must be refused, each with a part of why.
const REFUSED: [(&str, &str); 9] = [
    ("mode=some", "'all', 'contexts'"),
    ("mode=contexts", "speak through RabbitMQ"),
    ("store.kind=postgresql", "say where"),
    ("store.kind=postgresql,store.url=postgres://a/b,store.secret=c", "name one of them"),
    ("bus.url=amqp://a,bus.secret=b", "name one of them"),
    ("contexts.rental.replicas=3", "no Deployment of its own"),
    ("stop.lingerMs=3", "additional properties"),
    ("mesh.istio.enabled=true", "takes mode contexts"),
    ("mesh.istio.enabled=true,mode=contexts,bus.url=amqp://a", "say whose"),
];

/// Checks all of it; with `bless`, what is rendered becomes the examples instead of being compared with them.
pub fn check(bless: bool) -> Result<()> {
    let tools = Tools::get()?;
    run(tools.helm().args(["lint", "--strict", "--quiet", "helm"]))?;
    for (values, why) in REFUSED {
        let output = tools.template().args(["--set", values]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains(why), "the chart does not refuse {values}: {said}");
    }
    let examples = root().join("helm/examples");
    let (mut differing, mut expected) = (Vec::new(), Vec::new());
    for values in files(&root().join("helm/ci"))? {
        let name = values.file_name().context("values have a name")?;
        let example = examples.join(name);
        let rendered = tools.render(&values)?;
        if bless {
            fs::create_dir_all(&examples)?;
            fs::write(&example, &rendered).with_context(|| format!("cannot write {}", example.display()))?;
        } else if fs::read(&example).ok().as_ref() != Some(&rendered) {
            differing.push(tools.difference(&example, &rendered)?);
        }
        let file = tools.folder.join("rendered.yaml");
        fs::write(&file, &rendered)?;
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
        "xtask: helm lint; {} examples are what is rendered, and valid for Kubernetes {}; no cluster was asked",
        expected.len(),
        KUBERNETES_VERSIONS.join(" and ")
    );
    Ok(())
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// What checks the chart, beneath the target folder.
struct Tools {
    folder: PathBuf,
}

impl Tools {
    /// The pinned ones, installed when they aren't there yet.
    fn get() -> Result<Tools> {
        let tools = Tools { folder: target().join("tools") };
        let version = answer(tools.helm().args(["version", "--template", "{{.Version}}"]));
        if version.is_none_or(|version| version.trim_start_matches('v') != HELM_VERSION) {
            tools.install_helm().with_context(|| format!("cannot install helm {HELM_VERSION}"))?;
        }
        let version = answer(Command::new(tools.validator()).arg("--version"));
        if !version.is_some_and(|version| version.contains(VALIDATE_VERSION)) {
            let installed = tools.install_validator();
            installed.with_context(|| format!("cannot install kubernetes-validate {VALIDATE_VERSION} from PyPI"))?;
        }
        Ok(tools)
    }

    fn helm(&self) -> Command {
        command(self.folder.join("bin/helm"))
    }

    fn template(&self) -> Command {
        let mut helm = self.helm();
        helm.args(["template", "nadeuri", "helm", "--namespace", "nadeuri"]).stdin(Stdio::null());
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

    fn validator(&self) -> PathBuf {
        self.folder.join("kubernetes-validate/bin/kubernetes-validate")
    }

    /// Fails unless every manifest is valid and has no field that Kubernetes does not know.
    fn validate(&self, manifests: &Path, version: &str) -> Result<()> {
        let mut validate = command(self.validator());
        let output = validate.args(["--strict", "-k", version]).arg(manifests).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let failed: Vec<&str> = said.lines().filter(|line| !line.starts_with("INFO ")).collect();
        bail!("not valid:\n{}", failed.join("\n"))
    }

    fn install_helm(&self) -> Result<()> {
        ensure!(
            answer(command("go").arg("version")).is_some(),
            "missing: go; https://go.dev/doc/install says how to get it"
        );
        eprintln!("xtask: installing helm {HELM_VERSION}");
        let folder = self.folder.join("bin");
        fs::create_dir_all(&folder)?;
        // Built like this, helm would otherwise know no more of its version than 4.2.
        let version = format!("-X helm.sh/helm/v4/internal/version.version=v{HELM_VERSION}");
        let module = format!("helm.sh/helm/v4/cmd/helm@v{HELM_VERSION}");
        run(command("go").args(["install", "-ldflags", &version, &module]).env("GOBIN", fs::canonicalize(folder)?))
    }

    fn install_validator(&self) -> Result<()> {
        let folder = self.folder.join("kubernetes-validate");
        if answer(command("python3").args(["-c", "import ensurepip"])).is_none() {
            debian::install(&["python3-venv"])?;
        }
        eprintln!("xtask: installing kubernetes-validate {VALIDATE_VERSION}");
        run(command("python3").args(["-m", "venv"]).arg(&folder))?;
        let package = format!("kubernetes-validate=={VALIDATE_VERSION}");
        run(command(folder.join("bin/pip")).args(["install", "--quiet", &package]))
    }
}
