//! The results, beside the raw counterparts.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The latencies of many operations, and their total duration.
#[derive(Clone)]
pub struct Measured {
    /// The latencies, in microseconds.
    pub each: Histogram<u64>,
    /// The total duration.
    pub in_all: Duration,
}

impl Measured {
    /// The throughput, in operations per second.
    pub fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.in_all.as_secs_f64()
    }

    /// A quantile of the latency, in milliseconds.
    pub fn millis(&self, quantile: f64) -> f64 {
        self.each.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// Rows of results.
#[derive(Default)]
pub struct Table(String);

impl Table {
    /// A throughput beside a raw one, with the ratio that was aimed for.
    pub fn row(&mut self, what: &str, rate: f64, raw: f64, goal: Option<f64>, measured: &Measured) {
        let goal = goal.map_or(String::new(), |goal| format!("{goal:.1}×"));
        let (p50, p99) = (measured.millis(0.5), measured.millis(0.99));
        self.line(what, &format!("{rate:.0}/s"), &format!("{raw:.0}/s"), &format!("{:.2}×", rate / raw), &goal);
        eprintln!("  {what}: {rate:.0}/s to {raw:.0}/s, {:.2}×; p50 {p50:.2} ms, p99 {p99:.2} ms", rate / raw);
    }

    /// Any other result.
    pub fn line(&mut self, what: &str, ours: &str, raw: &str, ratio: &str, goal: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.0, "| {what} | {ours} | {raw} | {ratio} | {goal} |");
    }

    /// Prints the rows as Markdown.
    pub fn print(&self) {
        println!("| what | nadeuri | raw | ratio | aimed for |\n|---|---|---|---|---|\n{}", self.0);
    }
}
