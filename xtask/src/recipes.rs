//! Runs the shell commands in the documents, so that they stay correct: the blocks of a document, in order, as one
//! script.
//!
//! A block that begins with "```sh run" is run. A block that begins with "```sh serve" is a server that runs in the
//! background until the next one replaces it. A block with only `sh` is not run. A document without a server block gets
//! `nadeuri serve`. Addresses are replaced by free ones, so that a server that is already running is not affected.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::files::empty_folder;
use crate::process::{command, root, run, tail, target};
use crate::servers::ports;
use crate::{debian, product, tools};

/// The documents with such blocks.
const DOCUMENTS: [&str; 2] = ["README.md", "docs/recipes.md"];

/// The address of the server in the documents.
const SERVER: &str = "127.0.0.1:50051";

/// Another port in the documents.
const PROXY_PORT: &str = ":8443";

/// The prologue of the script.
const BEFORE: &str = include_str!("recipes.sh");

/// Runs every document.
pub fn run_all(named: Option<&Path>) -> Result<()> {
    let program = product::program(named)?;
    let path = path(&program)?;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).with_context(|| format!("cannot read {document}"))?;
        let blocks = blocks(document, &text);
        ensure!(!blocks.is_empty(), "{document} has no block that says `sh run`");
        let folder = tempfile::Builder::new().prefix("nadeuri-").tempdir()?;
        let server = ports::free(2)?;
        let proxy = server + 1;
        let script = script(&blocks, server).replace(SERVER, &format!("127.0.0.1:{server}"));
        let file = folder.path().join("script.sh");
        fs::write(&file, script.replace(PROXY_PORT, &format!(":{proxy}")))?;
        let mut bash = command("bash");
        bash.arg(&file).current_dir(folder.path()).env("PATH", &path);
        bash.env("NADEURI_LISTEN", format!("127.0.0.1:{server}")).stdout(fs::File::create(folder.path().join("said"))?);
        if let Err(error) = run(&mut bash) {
            bail!("{}\na command of {document} fails: {error:#}", tail(&folder.path().join("said")));
        }
        println!("xtask: {document}: {} blocks ran", blocks.len());
    }
    Ok(())
}

/// A block of a document.
#[derive(Debug, PartialEq)]
struct Block {
    /// The document and the line.
    at: String,
    is_server: bool,
    text: String,
}

fn blocks(document: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let is_server = line == "```sh serve";
        if is_server || line == "```sh run" {
            let own = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect::<Vec<_>>();
            found.push(Block { at: format!("{document}:{}", number + 1), is_server, text: own.join("\n") });
        }
    }
    found
}

fn script(blocks: &[Block], port: u16) -> String {
    let mut script = format!("PORT={port}\n{BEFORE}");
    if !blocks.iter().any(|block| block.is_server) {
        script.push_str(&serve("nadeuri serve"));
    }
    for Block { at, is_server, text } in blocks {
        let text = if *is_server { serve(text) } else { text.clone() };
        script.push_str(&format!("\nAT={at}\n{text}\n"));
    }
    script
}

/// Starts a server in the background in place of the previous one, and waits until it listens.
fn serve(line: &str) -> String {
    format!("end_server\n{line} >server.txt 2>&1 &\nawait_server\n")
}

/// A PATH with the product and the tools.
fn path(program: &Path) -> Result<String> {
    debian::ensure(&[("nginx", "nginx-light"), ("openssl", "openssl")])?;
    let folder = target().join("tools/recipes");
    empty_folder(&folder)?;
    symlink(program, folder.join("nadeuri"))?;
    symlink(tools::go(tools::GRPCURL)?, folder.join("grpcurl"))?;
    symlink(tools::go(tools::GHZ)?, folder.join("ghz"))?;
    // Debian installs server programs outside of the usual PATH.
    Ok(format!("{}:/usr/sbin:{}", folder.display(), std::env::var("PATH").unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_run_if_it_says_so() {
        let text = "```sh\nrm -r /\n```\n```sh serve\nnadeuri serve\n```\n```sh run\necho one\necho two\n```\n";
        let server = Block { at: "a.md:4".into(), is_server: true, text: "nadeuri serve".into() };
        let calls = Block { at: "a.md:7".into(), is_server: false, text: "echo one\necho two".into() };
        assert_eq!(blocks("a.md", text), [server, calls]);
    }
}
