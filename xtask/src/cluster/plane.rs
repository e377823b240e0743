//! A temporary Kubernetes control plane: released etcd, API server, controllers and scheduler, and kwok in place of
//! kubelets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Child, answer, command, eventually, root, run, tail};
use crate::servers::ports;
use crate::tools;

/// The number of ports: two of etcd and one of the API server.
const PORTS: u16 = 3;

/// What kwok simulates: nodes and pods are ready at once, and deleted at once.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

/// A control plane, which is stopped on drop.
pub struct Plane {
    programs: PathBuf,
    processes: Vec<Child>,
    folder: TempDir,
}

impl Plane {
    /// Starts a control plane with the programs in a folder.
    pub fn start(programs: PathBuf) -> Result<Plane> {
        let folder = tempfile::Builder::new().prefix("nadeuri-cluster-").tempdir()?;
        let mut plane = Plane { programs, processes: Vec::new(), folder };
        let port = ports::free(PORTS)?;
        plane.write_access(port + 2)?;
        // The data are temporary, so etcd need not sync to disk. The program has the name of its Go module.
        plane.spawn(
            "server",
            &format!(
                "--data-dir=etcd --unsafe-no-fsync --listen-client-urls={clients} --advertise-client-urls={clients} \
                 --listen-peer-urls={peers} --initial-advertise-peer-urls={peers} --initial-cluster=default={peers}",
                clients = format_args!("http://127.0.0.1:{port}"),
                peers = format_args!("http://127.0.0.1:{}", port + 1),
            ),
        )?;
        // Pods can't reach the API server, because there is no network, so its endpoint is not published.
        plane.spawn(
            "kube-apiserver",
            &format!(
                "--etcd-servers=http://127.0.0.1:{port} --bind-address=127.0.0.1 --secure-port={} --cert-dir=certificates \
                 --token-auth-file=tokens.csv --authorization-mode=RBAC --endpoint-reconciler-type=none \
                 --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=key.pub \
                 --service-account-signing-key-file=key.pem --service-cluster-ip-range=10.96.0.0/16",
                port + 2
            ),
        )?;
        plane.wait()?;
        let alone = "--kubeconfig=kubeconfig --leader-elect=false --secure-port=0";
        plane.spawn("kube-controller-manager", &format!("{alone} --service-account-private-key-file=key.pem"))?;
        plane.spawn("kube-scheduler", alone)?;
        // With node leases, like kubelets: otherwise the nodes and their pods are evicted after a minute.
        let kwok = "--kubeconfig=kubeconfig --manage-all-nodes=true --node-lease-duration-seconds=40";
        plane.spawn("kwok", &format!("{kwok} {}", plane.stages()?))?;
        Ok(plane)
    }

    /// `kubectl` of this cluster, in the folder of the workspace.
    pub fn kubectl(&self) -> Command {
        self.client(&self.programs.join("kubectl"))
    }

    /// A client program for this cluster.
    pub fn client(&self, program: &Path) -> Command {
        let mut client = command(program);
        client.env("KUBECONFIG", self.path("kubeconfig")).stdin(Stdio::null());
        client
    }

    /// Applies the manifests of a file.
    pub fn apply(&self, file: &Path) -> Result<()> {
        // Server-side, because custom resource definitions are too long for the annotation of client-side apply.
        let mut kubectl = self.kubectl();
        run(kubectl.args(["apply", "--server-side", "--filename"]).arg(file).stdout(Stdio::null()))
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes the credentials: an admin token, and the key that signs the tokens of service accounts.
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

    /// Copies the stages of kwok to the paths in its arguments.
    fn stages(&self) -> Result<String> {
        let stages = tools::go_source("xtask/cluster", "sigs.k8s.io/kwok")?.join("kustomize/stage");
        let files = STAGES.iter().map(|stage| stages.join(stage)).chain([root().join("xtask/cluster/balancer.yaml")]);
        let mut arguments = String::new();
        for (number, file) in files.enumerate() {
            fs::copy(&file, self.path(&format!("stage-{number}.yaml"))).with_context(|| file.display().to_string())?;
            arguments += &format!("--config=stage-{number}.yaml ");
        }
        Ok(arguments)
    }

    /// Waits until the API server is ready.
    fn wait(&mut self) -> Result<()> {
        eventually("the API server is ready", || {
            self.processes.iter_mut().try_for_each(Child::ensure_running)?;
            Ok(answer(self.kubectl().args(["get", "--raw", "/readyz"])).is_some())
        })
        .with_context(|| tail(&self.folder.path().join("kube-apiserver.log")))
    }

    /// Starts a program in the folder of the cluster, with arguments separated by spaces.
    fn spawn(&mut self, program: &str, arguments: &str) -> Result<()> {
        let mut process = Command::new(self.programs.join(program));
        process.args(arguments.split_whitespace()).current_dir(self.folder.path()).env("HOME", self.folder.path());
        let log = self.folder.path().join(format!("{program}.log"));
        self.processes.push(Child::spawn(&mut process, &log)?);
        Ok(())
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        // Killed, because their data are not needed. Etcd last, because the others write to it until they end.
        for process in self.processes.iter().rev() {
            // It may have already ended, which is fine.
            let _ = process.signal(Signal::KILL);
        }
    }
}
