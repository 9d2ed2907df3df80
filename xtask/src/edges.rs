//! Which crate may name which: the drawing of docs/architecture.md as a table. Services never depend on each other.

use crate::Complaint;
use crate::tree::{Edge, Use};

/// A crate and what its product code may name.
const ALLOWED: &[(&str, &[&str])] = &[
    ("measure", &[]),
    ("meters", &["measure"]),
    ("estimator", &["measure"]),
    ("wire", &["measure"]),
    ("edge-core", &["estimator", "measure", "wire"]),
    ("contracts", &["measure"]),
    ("pki", &["measure"]),
    ("edge-agent", &["edge-core", "estimator", "measure", "meters", "wire"]),
    ("broker", &["measure", "wire"]),
    ("stream-processor", &["contracts", "measure", "wire"]),
    // It judges what came out as well: reads back the records of the contracts.
    ("fleet", &["contracts", "estimator", "measure", "meters", "wire"]),
    // The command line runs the whole house in one process for its demo, simulated homes included.
    (
        "ferraris",
        &["broker", "contracts", "edge-agent", "edge-core", "estimator", "fleet", "measure", "meters", "pki", "stream-processor", "wire"],
    ),
    ("testkit", &["broker", "measure", "pki", "wire"]),
    // Measures the programs from outside; what it sends it makes with the real filter and the real wire.
    ("pipeline", &["contracts", "edge-core", "estimator", "fleet", "measure", "pki", "testkit", "wire"]),
    (
        "promises",
        &[
            "broker",
            "contracts",
            "edge-agent",
            "edge-core",
            "estimator",
            "ferraris",
            "fleet",
            "measure",
            "meters",
            "pki",
            "stream-processor",
            "testkit",
            "wire",
        ],
    ),
    ("instructions", &[]),
    ("xtask", &[]),
];

/// What every crate's tests and benches may name besides: anything but the services and the command line.
///
/// `pipeline` for its load: the processor's instructions are counted for the frames that the whole way is measured with.
const ALLOWED_IN_TESTS: &[&str] =
    &["contracts", "edge-core", "estimator", "fleet", "instructions", "measure", "meters", "pipeline", "pki", "testkit", "wire"];

/// Arrows that the architecture does not have.
pub fn check(edges: &[Edge]) -> Vec<Complaint> {
    edges.iter().filter(|edge| !is_allowed(edge)).map(complaint).collect()
}

fn is_allowed(edge: &Edge) -> bool {
    let Some((_, allowed)) = ALLOWED.iter().find(|(from, _)| *from == edge.from) else {
        return false;
    };
    // A crate names itself for its tests to switch on a feature.
    let in_tests = || edge.used == Use::Tests && (edge.from == edge.to || ALLOWED_IN_TESTS.contains(&edge.to.as_str()));
    allowed.contains(&edge.to.as_str()) || in_tests()
}

fn complaint(edge: &Edge) -> Complaint {
    let used = if edge.used == Use::Tests { " (tests)" } else { "" };
    Complaint::new(
        edge.from.clone(),
        format!(
            "depends on {}{used}, an arrow that the architecture does not have: see docs/architecture.md and xtask/src/edges.rs",
            edge.to
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: &str, used: Use) -> Edge {
        Edge { from: from.into(), to: to.into(), used }
    }

    #[test]
    fn services_do_not_know_each_other_and_nothing_points_up() {
        let bad = [
            edge("broker", "stream-processor", Use::Product),
            edge("edge-agent", "broker", Use::Tests),
            edge("measure", "wire", Use::Product),
            edge("edge-core", "testkit", Use::Product),
            edge("newcomer", "measure", Use::Product),
        ];
        assert_eq!(check(&bad).len(), bad.len());
        let good = [
            edge("broker", "wire", Use::Product),
            edge("edge-agent", "testkit", Use::Tests),
            edge("measure", "measure", Use::Tests),
            edge("ferraris", "fleet", Use::Product),
        ];
        assert_eq!(check(&good), []);
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Each crate's row comes after the rows of all that it names.
        for (place, (from, allowed)) in ALLOWED.iter().enumerate() {
            for to in *allowed {
                let below = ALLOWED.iter().take(place).any(|(name, _)| name == to);
                assert!(below, "{from} names {to}, which does not stand above it in the table");
            }
        }
    }
}
