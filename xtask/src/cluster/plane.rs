//! The control plane of Kubernetes out of a folder of one's own: etcd, API server, controllers and scheduler as they are
//! released, and kwok in the place of the kubelets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Child, answer, command, eventually, root, run, tail};
use crate::servers::ports;
use crate::tools;

/// Etcd's two, and the API server's.
const PORTS: u16 = 3;

/// What kwok plays: nodes and pods are ready at once, and go when they are told to.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

/// A control plane, which ends when this goes.
pub struct Plane {
    programs: PathBuf,
    processes: Vec<Child>,
    folder: TempDir,
}

impl Plane {
    /// Starts one, of the programs in a folder.
    pub fn start(programs: PathBuf) -> Result<Plane> {
        let folder = tempfile::Builder::new().prefix("nadeuri-cluster-").tempdir()?;
        let mut plane = Plane { programs, processes: Vec::new(), folder };
        let port = ports::free(PORTS)?;
        plane.write_access(port + 2)?;
        plane.etcd(port)?;
        plane.api_server(port)?;
        let kubeconfig = format!("--kubeconfig={}", plane.path("kubeconfig"));
        let alone = ["--leader-elect=false".to_owned(), "--secure-port=0".to_owned(), kubeconfig.clone()];
        let key = format!("--service-account-private-key-file={}", plane.path("key.pem"));
        plane.spawn("kube-controller-manager", &[&alone[..], &[key]].concat())?;
        plane.spawn("kube-scheduler", &alone)?;
        // With leases, as kubelets do it: otherwise the nodes are given up after a minute, and their pods with them.
        let mut kwok =
            vec![kubeconfig, "--manage-all-nodes=true".to_owned(), "--node-lease-duration-seconds=40".to_owned()];
        kwok.extend(stages()?);
        plane.spawn("kwok", &kwok)?;
        Ok(plane)
    }

    /// `kubectl` of this cluster, in the folder of the workspace.
    pub fn kubectl(&self) -> Command {
        self.client(&self.programs.join("kubectl"))
    }

    /// Any client of this cluster.
    pub fn client(&self, program: &Path) -> Command {
        let mut client = command(program);
        client.env("KUBECONFIG", self.path("kubeconfig")).stdin(Stdio::null());
        client
    }

    /// Makes what a file describes.
    pub fn apply(&self, file: &Path) -> Result<()> {
        // By the server: the descriptions of operators' resources are too long for the annotation that the client leaves.
        let mut kubectl = self.kubectl();
        run(kubectl.args(["apply", "--server-side", "--filename"]).arg(file).stdout(Stdio::null()))
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Who may do what: one token may do everything, and accounts of services have theirs signed with a key.
    fn write_access(&self, port: u16) -> Result<()> {
        let key = rcgen::KeyPair::generate()?;
        let token: String = key.public_key_raw().iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(self.path("key.pem"), key.serialize_pem())?;
        fs::write(self.path("key.pub"), key.public_key_pem())?;
        fs::write(self.path("tokens.csv"), format!("{token},operator,operator,system:masters\n"))?;
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: here, cluster: {{server: 'https://127.0.0.1:{port}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: operator, user: {{token: '{token}'}}}}]\n\
             contexts: [{{name: here, context: {{cluster: here, user: operator}}}}]\n"
        );
        fs::write(self.path("kubeconfig"), kubeconfig).context("cannot write the kubeconfig")
    }

    fn etcd(&mut self, port: u16) -> Result<()> {
        let clients = format!("http://127.0.0.1:{port}");
        let peers = format!("http://127.0.0.1:{}", port + 1);
        let data = format!("--data-dir={}", self.path("etcd"));
        let arguments = [
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            format!("--listen-peer-urls={peers}"),
            format!("--initial-advertise-peer-urls={peers}"),
            format!("--initial-cluster=default={peers}"),
            // It is thrown away anyway.
            "--unsafe-no-fsync".to_owned(),
            data,
        ];
        // The name of etcd's module, and so of what Go makes of it.
        self.spawn("server", &arguments)
    }

    fn api_server(&mut self, port: u16) -> Result<()> {
        let arguments = [
            format!("--etcd-servers=http://127.0.0.1:{port}"),
            format!("--secure-port={}", port + 2),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--cert-dir={}", self.path("certificates")),
            format!("--token-auth-file={}", self.path("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.path("key.pub")),
            format!("--service-account-signing-key-file={}", self.path("key.pem")),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            // There is no network on which pods could reach it.
            "--endpoint-reconciler-type=none".to_owned(),
        ];
        self.spawn("kube-apiserver", &arguments)?;
        eventually("the API server is ready", || {
            self.processes.iter_mut().try_for_each(Child::ensure_running)?;
            Ok(answer(self.kubectl().args(["get", "--raw", "/readyz"])).is_some())
        })
        .with_context(|| tail(&self.folder.path().join("kube-apiserver.log")))
    }

    fn spawn(&mut self, program: &str, arguments: &[String]) -> Result<()> {
        let mut process = Command::new(self.programs.join(program));
        process.args(arguments).current_dir(self.folder.path()).env("HOME", self.folder.path());
        let log = self.folder.path().join(format!("{program}.log"));
        self.processes.push(Child::spawn(&mut process, &log)?);
        Ok(())
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // Nothing that they hold is worth a slow end. Etcd last: the others write to it until they end.
        for process in self.processes.iter().rev() {
            // It may have ended by itself, which is as good.
            let _ = process.signal(Signal::KILL);
        }
    }
}

fn stages() -> Result<Vec<String>> {
    let folder = tools::go_source("xtask/cluster", "sigs.k8s.io/kwok")?.join("kustomize/stage");
    let balancer = root().join("xtask/cluster/balancer.yaml");
    let files = STAGES.iter().map(|stage| folder.join(stage)).chain([balancer]);
    Ok(files.map(|file| format!("--config={}", file.display())).collect())
}
