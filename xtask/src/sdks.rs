//! The SDKs of sdk/: generates their code from proto/, runs their tests, and runs the example of each against a real
//! server.
//!
//! Each language is a module with an [`Sdk`]. Its tools come from the package registry of the language, at the versions
//! that the manifest of the SDK pins.

mod go;
mod java;
mod python;
mod rust;
mod typescript;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::files::beneath;
use crate::process::{Child, command, eventually, root, run};
use crate::product::{self, Server};
use crate::proto;

/// The last line of every example.
const DONE: &str = "done: the car is back with 5 stars, and the taxi is paid";

/// The languages with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// grpcio.
    Python,
    /// Connect.
    Typescript,
    /// grpc-go.
    Go,
    /// grpc-java.
    Java,
    /// tonic.
    Rust,
}

/// The options of `cargo xtask sdks`.
#[derive(clap::Args)]
pub struct Options {
    /// The languages; all if none is given.
    languages: Vec<Language>,
    /// Only generate the code.
    #[arg(long, conflicts_with = "check")]
    generate: bool,
    /// Only check that the generated code in git matches proto/.
    #[arg(long)]
    check: bool,
    /// The `nadeuri` binary for the examples; built if not given.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// The steps of an SDK.
struct Sdk {
    name: &'static str,
    /// Generates the code from proto/.
    generate: fn() -> Result<()>,
    /// Builds the package and runs the tests.
    test: fn() -> Result<()>,
    /// The command that runs the example.
    example: fn() -> Result<Command>,
}

impl Language {
    fn sdk(self) -> Sdk {
        match self {
            Self::Python => python::SDK,
            Self::Typescript => typescript::SDK,
            Self::Go => go::SDK,
            Self::Java => java::SDK,
            Self::Rust => rust::SDK,
        }
    }
}

/// Generates, packages and tests the SDKs.
pub fn run_all(options: &Options) -> Result<()> {
    if options.check {
        go::check()?;
        println!("xtask: the generated code of sdk/go matches proto/");
        return Ok(());
    }
    let languages = if options.languages.is_empty() { Language::value_variants() } else { &options.languages };
    let program = (!options.generate).then(|| product::program(options.program.as_deref())).transpose()?;
    for language in languages {
        let sdk = language.sdk();
        (sdk.generate)().with_context(|| format!("cannot generate the code for {}", sdk.name))?;
        let mut done = "generated";
        if let Some(program) = &program {
            (sdk.test)().with_context(|| format!("the SDK for {} fails", sdk.name))?;
            run_example(&sdk, program).with_context(|| format!("the example for {} fails", sdk.name))?;
            done = "generated, packaged, tested; its example ran against a server";
        }
        println!("xtask: {}: {done}", sdk.name);
    }
    Ok(())
}

/// Runs the example against a new server. It must succeed in time, and print the last line of every example.
fn run_example(sdk: &Sdk, program: &Path) -> Result<()> {
    let server = Server::start(program, &[])?;
    let log = tempfile::NamedTempFile::new()?;
    let mut example = (sdk.example)()?;
    example.env("NADEURI_SERVER", format!("http://{}", server.address));
    let mut example = Child::spawn_into(example.stdout(log.reopen()?), log.path())?;
    eventually("the example ends", || example.has_succeeded()).with_context(|| example.said())?;
    let said = example.said();
    ensure!(said.lines().last() == Some(DONE), "its last line is not {DONE:?}:\n{said}");
    Ok(())
}

/// The folder of a language.
fn folder(language: &str) -> PathBuf {
    root().join("sdk").join(language)
}

/// The files of the contracts, as sorted paths relative to proto/.
fn protos() -> Result<Vec<String>> {
    let files = beneath(&root().join("proto"))?.into_iter().map(|path| path.display().to_string());
    Ok(files.filter(|path| path.ends_with(".proto")).collect())
}

/// Runs buf for one language with the template sdk/LANGUAGE/buf.gen.yaml and the plugins in the folder `plugins`.
fn buf_generate(language: &str, plugins: &Path, inputs: &[&str]) -> Result<()> {
    let buf = proto::buf()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::join_paths(std::iter::once(plugins.to_owned()).chain(std::env::split_paths(&path)))?;
    for input in inputs {
        let mut generate = command(&buf);
        generate.args(["generate", input, "--template"]).arg(folder(language).join("buf.gen.yaml"));
        run(generate.arg("--output").arg(folder(language)).env("PATH", &paths))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_sdk_has_the_version_of_the_workspace() {
        let version = env!("CARGO_PKG_VERSION");
        for (manifest, line) in [
            ("python/pyproject.toml", format!("\nversion = \"{version}\"\n")),
            ("typescript/package.json", format!("\n  \"version\": \"{version}\",\n")),
            ("java/pom.xml", format!("\n  <version>{version}</version>\n")),
        ] {
            let text = fs::read_to_string(folder(manifest)).expect("the manifest can be read");
            assert!(text.contains(&line), "sdk/{manifest} is not for {version}");
        }
    }

    #[test]
    fn the_generated_code_in_git_is_of_these_contracts() {
        let remedy = "run `cargo xtask sdks --generate go` and commit sdk/go";
        let kept = fs::read_to_string(folder("go").join("nadeuri/contracts.txt"));
        let current = go::fingerprint().expect("proto/ can be read");
        assert_eq!(kept.unwrap_or_default(), current, "proto/ changed: {remedy}");
    }
}
