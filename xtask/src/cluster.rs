//! Installs the chart in a real Kubernetes API server, upgrades, rolls back and uninstalls it, and checks that nothing
//! is left behind: with the default values, with those of helm/ci, and with further settings.
//!
//! Everything that processes manifests is real: validation, defaults, admission (with "restricted" pod security),
//! server-side apply, the controllers, the scheduler, and the custom resource definitions of the operators. kwok
//! simulates the kubelets: no container runs, so probes, migrations and `helm test` are not tested here, and network
//! policies have no effect.

mod plane;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::files::beneath;
use crate::process::{answer, eventually, output, root, run};
use crate::{helm, tools};
use plane::Plane;

/// The versions to build into the programs, as xtask/cluster/go.mod pins them.
const VERSION: [&str; 3] = [
    "k8s.io/component-base/version.gitVersion=v1.36.3",
    "k8s.io/component-base/version.gitMajor=1",
    "k8s.io/component-base/version.gitMinor=36",
];

/// The custom resource definitions of operators: a Go module, and files in it.
const DEFINITIONS: [(&str, &[&str]); 3] = [
    (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        &[
            "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
            "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        ],
    ),
    ("github.com/cloudnative-pg/cloudnative-pg@v1.27.0", &["config/crd/bases/postgresql.cnpg.io_clusters.yaml"]),
    ("github.com/rabbitmq/cluster-operator/v2@v2.9.0", &["config/crd/bases/rabbitmq.com_rabbitmqclusters.yaml"]),
];

/// The values of a release: a name, a file of helm/ci or none, and further settings.
type Values<'a> = (&'a str, Option<&'a str>, &'a str);

/// The cases besides the values in helm/ci.
const SWITCHES: [Values; 5] = [
    ("default values", None, ""),
    ("no network policies", None, "networkPolicy.enabled=false"),
    (
        "contexts without autoscaling",
        Some("contexts.yaml"),
        "workload.autoscaling.enabled=false,workload.replicas=1,networkPolicy.enabled=false",
    ),
    (
        "all that watches it",
        None,
        "monitoring.collector.enabled=true,monitoring.serviceMonitor.enabled=true,monitoring.rules.enabled=true,\
         monitoring.dashboards.enabled=true",
    ),
    (
        "contexts with keys of the release",
        Some("contexts.yaml"),
        "identity.contexts=,identity.certificates=,sealing.secret=,workload.autoscaling.enabled=false,workload.replicas=1",
    ),
];

/// The objects that Kubernetes creates in each namespace.
const OF_EVERY_NAMESPACE: [&str; 2] = ["ServiceAccount/default", "ConfigMap/kube-root-ca.crt"];

/// The number of volumes of each class: more than all cases together claim.
const VOLUMES: usize = 12;

/// A release of the chart, in a namespace of its own.
struct Case<'a> {
    plane: &'a Plane,
    helm: &'a Path,
    name: String,
    namespace: String,
    values: Vec<String>,
}

/// Runs all of it.
pub fn run_all() -> Result<()> {
    let helm = helm::program()?;
    let plane = Plane::start(tools::go_tools("xtask/cluster", &VERSION)?)?;
    let version = answer(plane.kubectl().args(["get", "--raw", "/version"])).unwrap_or_default();
    ensure!(version.contains("v1.36"), "the API server is another than xtask/cluster/go.mod names: {version}");
    plane.apply(&root().join("xtask/cluster/simulated.yaml"))?;
    add_volumes(&plane)?;

    let unwatched = Case::new(&plane, &helm, 0, ("its operator missing", None, SWITCHES[3].2));
    unwatched.is_refused("install the Prometheus operator first")?;
    for (module, files) in DEFINITIONS {
        let folder = tools::go_source("xtask/cluster", module)?;
        files.iter().try_for_each(|file| plane.apply(&folder.join(file)))?;
    }
    // As the mesh pins it.
    let istio = tools::go_source("mesh/control", "istio.io/istio")?;
    plane.apply(&istio.join("manifests/charts/base/files/crd-all.gen.yaml"))?;
    let files = beneath(&root().join("helm/ci"))?.into_iter().map(|file| file.display().to_string());
    let files: Vec<String> = files.collect();
    let cases: Vec<Values> =
        SWITCHES.into_iter().chain(files.iter().map(|file| (file.as_str(), Some(file.as_str()), ""))).collect();
    for (number, values) in cases.iter().enumerate() {
        let case = Case::new(&plane, &helm, number + 1, *values);
        case.test().with_context(|| case.name.clone())?;
    }
    println!(
        "xtask: {} cases on an API server of Kubernetes 1.36; kwok played the kubelets, no container ran",
        cases.len()
    );
    Ok(())
}

/// Creates the volumes: there is no provisioner here.
fn add_volumes(plane: &Plane) -> Result<()> {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    let volume = |class: &str, number: usize| {
        format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {class}-{number}}}\nspec: {{storageClassName: {class}, \
             capacity: {{storage: 20Gi}}, accessModes: [ReadWriteOnce], hostPath: {{path: /simulated/{class}-{number}}}}}\n---\n"
        )
    };
    let volumes: String =
        (0..VOLUMES).flat_map(|number| ["standard", "fast"].map(|class| volume(class, number))).collect();
    std::fs::write(file.path(), volumes)?;
    plane.apply(file.path())
}

impl<'a> Case<'a> {
    fn new(plane: &'a Plane, helm: &'a Path, number: usize, (name, file, switches): Values) -> Case<'a> {
        let mut values: Vec<String> = file.map(|file| format!("--values=helm/ci/{file}")).into_iter().collect();
        values.extend((!switches.is_empty()).then(|| format!("--set={switches}")));
        Case { plane, helm, name: name.to_owned(), namespace: format!("case-{number}"), values }
    }

    fn helm(&self, verb: &[&str]) -> Command {
        let mut helm = self.plane.client(self.helm);
        helm.args(verb).args(["--namespace", &self.namespace]);
        helm
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = self.plane.kubectl();
        Ok(output(kubectl.args(arguments).args(["--namespace", &self.namespace]))?.trim().to_owned())
    }

    /// Tests a release from its installation to its removal.
    fn test(&self) -> Result<()> {
        output(self.plane.kubectl().args(["create", "namespace", &self.namespace]))?;
        let enforced = "pod-security.kubernetes.io/enforce=restricted";
        self.kubectl(&["label", "namespace", &self.namespace, enforced])?;
        self.change(&["install", "nadeuri", "helm"], true)?;
        let key = self.key()?;
        let image = self.images()?;
        let pods = self.kubectl(&["get", "pods", "--output", "name"])?.lines().count();
        let objects = self.objects()?.len();

        self.change(&["upgrade", "nadeuri", "helm", "--set", "image.tag=next"], true)?;
        let upgraded = self.images()?;
        ensure!(upgraded.iter().all(|image| image.ends_with(":next")), "the upgrade left {upgraded:?}");
        self.change(&["rollback", "nadeuri", "1"], false)?;
        ensure!(self.images()? == image, "the rollback left {:?} and not {image:?}", self.images()?);
        ensure!(self.key()? == key, "another key after an upgrade: tokens that are out there are no longer good");
        self.change(&["uninstall", "nadeuri"], false)?;
        let kept = self.left()?;

        self.change(&["install", "nadeuri", "helm"], true).context("it can't be installed over what it kept")?;
        ensure!(self.key()? == key, "another key after an installation anew");
        self.change(&["uninstall", "nadeuri"], false)?;
        let kept = if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") };
        println!(
            "xtask: {}: {objects} objects, {pods} pods; upgraded, rolled back, uninstalled; kept {kept}",
            self.name
        );
        Ok(())
    }

    /// Checks that helm fails with this error.
    fn is_refused(&self, why: &str) -> Result<()> {
        let mut helm = self.helm(&["install", "nadeuri", "helm", "--create-namespace"]);
        let said = output(helm.args(&self.values)).err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(said.contains(why), "{}: not refused with \"{why}\": {said}", self.name);
        println!("xtask: {}: refused", self.name);
        Ok(())
    }

    fn change(&self, verb: &[&str], has_values: bool) -> Result<()> {
        let values: &[String] = if has_values { &self.values } else { &[] };
        let mut helm = self.helm(verb);
        run(helm.args(values).args(["--wait", "--timeout", "5m"]).stdout(Stdio::null()))
    }

    /// The images of the product's pods, after those of an older version are removed.
    fn images(&self) -> Result<Vec<String>> {
        let path = "jsonpath={range .items[*]}{.spec.containers[?(@.name==\"nadeuri\")].image}{\"\\n\"}{end}";
        let mut images = Vec::new();
        eventually("the pods are all of one version", || {
            let listed = self.kubectl(&["get", "pods", "--output", path])?;
            images = listed.split_whitespace().map(str::to_owned).collect();
            images.sort();
            images.dedup();
            Ok(images.len() == 1)
        })?;
        Ok(images)
    }

    fn key(&self) -> Result<String> {
        self.kubectl(&["get", "secret", "nadeuri-identity", "--ignore-not-found", "--output", "jsonpath={.data}"])
    }

    /// All objects, each with whether its annotation keeps it after the release is uninstalled.
    fn objects(&self) -> Result<Vec<(String, bool)>> {
        let kinds = self.kubectl(&["api-resources", "--namespaced", "--verbs=list", "--output", "name"])?;
        // Kubernetes creates and removes these itself.
        let ours = |kind: &&str| !kind.starts_with("events") && !kind.starts_with("endpoint");
        let kinds = kinds.lines().filter(ours).collect::<Vec<_>>().join(",");
        let path = "jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.annotations.helm\\.sh/resource-policy}{\"\\n\"}{end}";
        let listed = self.kubectl(&["get", &kinds, "--output", path])?;
        let found = listed.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        let found = found.filter(|(name, _)| !OF_EVERY_NAMESPACE.contains(name));
        Ok(found.map(|(name, policy)| (name.trim().to_owned(), policy.trim() == "keep")).collect())
    }

    /// The objects that the release keeps, after all others are removed.
    fn left(&self) -> Result<Vec<String>> {
        let mut objects = Vec::new();
        let gone = eventually("everything else is gone", || {
            objects = self.objects()?;
            Ok(objects.iter().all(|(_, is_kept)| *is_kept))
        });
        gone.with_context(|| format!("left behind: {objects:?}"))?;
        Ok(objects.into_iter().map(|(name, _)| name).collect())
    }
}
