//! docs/gate-limits.md says what the program does: each reason under its counter, each limit with its default.

use std::collections::BTreeMap;

use broker::config::REFERENCE;
use broker::reason::{Counted, Reason};

const PAGE: &str = include_str!("../../../docs/gate-limits.md");

/// First cells of the rows below a heading, up to the next one, as they stand between backticks.
fn rows(heading: &str) -> Vec<(String, String)> {
    let below = PAGE.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let cells = below.filter_map(|line| line.strip_prefix('|')).map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let named = cells.filter_map(|cells| Some((cells.first()?.split('`').nth(1)?.to_owned(), (*cells.get(1)?).to_owned())));
    named.collect()
}

#[test]
fn each_reason_has_its_row_under_its_counter() {
    for (heading, counted) in [("### Refused", Counted::Refused), ("### Ended", Counted::Ended), ("### Dropped", Counted::Dropped)] {
        let listed: Vec<String> = rows(heading).into_iter().map(|(reason, _)| reason).collect();
        let there: Vec<&str> = Reason::ALL.iter().filter(|reason| reason.counted() == counted).map(|reason| reason.label()).collect();
        assert_eq!(listed, there, "{heading}: the page on the left, the program on the right");
    }
    assert!(rows("### Refused").iter().all(|(_, seen)| !seen.is_empty()), "a reason without what the client sees");
}

/// Keys of a table of TOML with dots, and their values.
fn flat(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => flat(&format!("{prefix}{key}."), inner, into),
            value => drop(into.insert(format!("{prefix}{key}"), value.to_string())),
        }
    }
}

#[test]
fn each_limit_has_its_default_and_its_section() {
    let reference: toml::Table = REFERENCE.parse().unwrap();
    let mut limits = BTreeMap::new();
    flat("", reference["limits"].as_table().unwrap(), &mut limits);
    assert_eq!(
        rows("# The gate's limits").into_iter().collect::<BTreeMap<_, _>>(),
        limits,
        "the page on the left, broker.toml on the right"
    );
    let sections: String = PAGE.lines().filter(|line| line.starts_with("### `")).collect();
    for key in limits.keys() {
        let name = format!("`{}`", key.rsplit('.').next().unwrap());
        assert!(sections.contains(&name), "no section about {name}");
    }
}
