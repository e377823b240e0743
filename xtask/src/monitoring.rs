//! Checks the monitoring: the alerts of helm/rules with Prometheus' promtool, and that alerts and dashboards use the
//! metrics of the product.

use anyhow::Result;

use crate::debian;
use crate::process::{command, run};

/// Checks that the alerts are valid, and fire as helm/rules/tests.yaml says.
pub fn check() -> Result<()> {
    debian::ensure(&[("promtool", "prometheus")])?;
    run(command("promtool").args(["check", "rules", "helm/rules/nadeuri.yaml"]))?;
    run(command("promtool").args(["test", "rules", "helm/rules/tests.yaml"]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use crate::files::beneath;
    use crate::process::root;

    fn read(path: &str) -> String {
        fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// How the chassis registers a metric, and the suffixes that Prometheus adds to its name: the unit, `_total` for a
    /// counter, and one of three for a histogram.
    const REGISTERED: [(&str, &[&str]); 4] = [
        (": counter(\"", &["_total"]),
        (": count(\"", &[""]),
        (": seconds(\"", &["_seconds"]),
        (".f64_histogram(\"", &["_seconds_bucket", "_seconds_count", "_seconds_sum"]),
    ];

    /// The Prometheus names of each metric.
    fn metrics() -> Vec<Vec<String>> {
        let source = read("services/chassis/src/telemetry/meters.rs");
        let registered = source.lines().flat_map(|line| {
            REGISTERED.iter().filter_map(move |(call, endings)| {
                let name = line.split_once(call)?.1.split('"').next()?.replace('.', "_");
                Some(endings.iter().map(|ending| format!("{name}{ending}")).collect())
            })
        });
        registered.collect()
    }

    /// The names that alerts and dashboards use.
    fn used() -> BTreeSet<String> {
        let dashboards = beneath(&root().join("helm/dashboards")).expect("there are dashboards").into_iter();
        let texts = dashboards.map(|file| read(&format!("helm/dashboards/{}", file.display())));
        let texts = texts.chain([read("helm/rules/nadeuri.yaml")]).collect::<String>();
        let words = texts.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let metrics = words.filter(|word| word.starts_with("nadeuri_") || word.starts_with("rpc_server_"));
        metrics.map(str::to_owned).collect()
    }

    #[test]
    fn alerts_and_dashboards_use_existing_metrics() {
        let measured: BTreeSet<String> = metrics().into_iter().flatten().collect();
        let unknown: Vec<String> = used().into_iter().filter(|name| !measured.contains(name)).collect();
        assert!(unknown.is_empty(), "nothing measures {unknown:?}; there are {measured:?}");
    }

    #[test]
    fn every_metric_is_used() {
        let watched = used();
        let registered = read("services/chassis/src/telemetry/meters.rs").matches("nadeuri.").count() + 1;
        assert_eq!(metrics().len(), registered, "a metric is registered in a way that this test does not know");
        for names in metrics() {
            assert!(names.iter().any(|name| watched.contains(name)), "no alert or dashboard asks for {names:?}");
        }
    }
}
