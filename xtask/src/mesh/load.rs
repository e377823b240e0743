//! Load by ghz with the configs of bench/ghz, and the results of the calls.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::local::Mesh;
use crate::process::{Child, command, eventually, root};
use crate::tools;

/// The parameters of a load.
pub struct Load<'a> {
    /// The config of bench/ghz.
    pub config: &'a str,
    /// The subject of the token.
    pub token: &'a str,
    /// The number of calls.
    pub total: u32,
    /// The calls per second; 0 for no limit.
    pub rate: u32,
    /// The data to use in place of those of the config.
    pub data: Option<&'a str>,
}

/// A running load.
pub struct Running {
    child: Child,
    report: PathBuf,
}

impl Load<'_> {
    /// Starts it.
    pub fn start(&self, mesh: &Mesh) -> Result<Running> {
        let folder = mesh.folder();
        let report = folder.join("ghz.csv");
        // It may exist from an earlier run.
        let _ = fs::remove_file(&report);
        let mut ghz = command(tools::go(tools::GHZ)?);
        ghz.arg("--config").arg(root().join("bench/ghz").join(self.config)).args(["--timeout", "20s"]);
        ghz.args(["--format", "csv", "--output"]).arg(&report);
        ghz.args(["--total", &self.total.to_string()]);
        ghz.args(["--metadata", &format!(r#"{{"authorization": "Bearer {}"}}"#, self.token)]);
        if self.rate > 0 {
            ghz.args(["--rps", &self.rate.to_string()]);
        }
        if let Some(data) = self.data {
            ghz.args(["--data", data]);
        }
        ghz.arg(mesh.gateway.to_string());
        Ok(Running { child: Child::spawn(&mut ghz, &folder.join("ghz.log"))?, report })
    }

    /// Makes all the calls.
    pub fn run(&self, mesh: &Mesh) -> Result<Answers> {
        self.start(mesh)?.end()
    }
}

impl Running {
    /// Waits until a context has received this many calls.
    pub fn under_way(&mut self, mesh: &Mesh, context: &str, calls: u64) -> Result<()> {
        eventually("calls are under way", || {
            self.child.ensure_running()?;
            Ok(mesh.envoy()?.count(context, "upstream_rq_total")? >= calls)
        })
    }

    /// Waits until all calls have ended.
    pub fn end(mut self) -> Result<Answers> {
        eventually("ghz has made its calls", || self.child.has_succeeded())?;
        let text =
            fs::read_to_string(&self.report).with_context(|| format!("ghz wrote no report: {}", self.child.said()))?;
        Answers::parse(&text)
    }
}

/// The results of the calls: the sorted latencies by status.
#[derive(Default)]
pub struct Answers(BTreeMap<String, Vec<Duration>>);

impl Answers {
    /// Parses ghz's CSV lines `milliseconds,status,error` after a header.
    fn parse(text: &str) -> Result<Answers> {
        let mut answers = Answers::default();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with("duration"));
        for line in lines {
            let mut cells = line.splitn(3, ',');
            let (took, status) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            let took: f64 = took.parse().with_context(|| format!("ghz reports {line:?}"))?;
            answers.0.entry(status.to_owned()).or_default().push(Duration::from_secs_f64(took / 1_000.0));
        }
        ensure!(!answers.0.is_empty(), "ghz reports no call");
        answers.0.values_mut().for_each(|times| times.sort());
        Ok(answers)
    }

    /// The number of calls with this status.
    pub fn count(&self, status: &str) -> usize {
        self.0.get(status).map_or(0, Vec::len)
    }

    /// The number of all calls.
    pub fn total(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// A quantile of the latency of the calls with this status; 1 is the maximum.
    pub fn took(&self, status: &str, share: f64) -> Duration {
        let times = self.0.get(status).map(Vec::as_slice).unwrap_or_default();
        let place = (share * times.len() as f64).ceil() as usize;
        times.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// A row of a table: the share of successful calls, their latency, and the other statuses.
    pub fn row(&self) -> String {
        let share = 100.0 * self.count("OK") as f64 / self.total() as f64;
        let millis = |share| self.took("OK", share).as_secs_f64() * 1_000.0;
        let others = self.0.iter().filter(|(status, _)| *status != "OK");
        let others: Vec<String> = others.map(|(status, times)| format!("{status} {}", times.len())).collect();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        format!("{share:.1} % | {:.0} ms | {:.0} ms | {:.0} ms | {others}", millis(0.5), millis(0.99), millis(1.0))
    }
}

/// A single call by grpcurl. Returns its stdout and stderr.
pub fn call(mesh: &Mesh, token: &str, rpc: &str, data: &str) -> Result<String> {
    let mut grpcurl = command(tools::go(tools::GRPCURL)?);
    grpcurl.args(["-plaintext", "-max-time", "20", "-d", data]);
    if !token.is_empty() {
        grpcurl.args(["-H", &format!("authorization: Bearer {token}")]);
    }
    let output = grpcurl.arg(mesh.gateway.to_string()).arg(rpc).stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_status_and_sorted_by_time() -> Result<()> {
        let text = "duration (ms),status,error\n3.5,OK,\n1.5,OK,\n20,Unavailable,rpc error: a, b\n";
        let answers = Answers::parse(text)?;
        assert_eq!((answers.count("OK"), answers.count("Unavailable"), answers.total()), (2, 1, 3));
        assert_eq!(answers.took("OK", 0.5), Duration::from_micros(1_500));
        assert_eq!(answers.took("OK", 1.0), Duration::from_micros(3_500));
        Ok(())
    }
}
