//! docker-compose.yml hangs together: services, volumes and files that it names are there.

use std::collections::BTreeSet;

use yaml_rust2::{Yaml, YamlLoader};

use crate::Complaint;
use crate::tree::Tree;

const FILE: &str = "docker-compose.yml";

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let Some(text) = tree.files.get(FILE) else { return Vec::new() };
    let exists = |path: &str| tree.paths.iter().any(|it| it == path || it.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')));
    let wrong = match YamlLoader::load_from_str(text).as_deref() {
        Ok([compose]) => faults(compose, exists),
        Ok(_) => vec!["is not one document".to_owned()],
        Err(error) => vec![format!("is no YAML: {error}")],
    };
    wrong.into_iter().map(|what| Complaint::new(FILE, what)).collect()
}

fn faults(compose: &Yaml, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut faults = Vec::new();
    let services = names(&compose["services"]);
    let volumes = names(&compose["volumes"]);
    for name in &services {
        let service = &compose["services"][name.as_str()];
        if service["image"].is_badvalue() && service["build"].is_badvalue() {
            faults.push(format!("service `{name}` has neither image nor build"));
        }
        if let Some(dockerfile) = service["build"]["dockerfile"].as_str().filter(|path| !exists(path)) {
            faults.push(format!("service `{name}` is built by `{dockerfile}`, which is not there"));
        }
        let unknown = names(&service["depends_on"]).into_iter().filter(|it| !services.contains(it));
        faults.extend(unknown.map(|it| format!("service `{name}` depends on `{it}`, which is not there")));
        for mount in service["volumes"].as_vec().into_iter().flatten().filter_map(Yaml::as_str) {
            let from = mount.split(':').next().unwrap_or_default();
            let there = match from.strip_prefix("./") {
                Some(path) => exists(path),
                None => volumes.contains(from),
            };
            if !there {
                faults.push(format!("service `{name}` mounts `{from}`, which is not there"));
            }
        }
    }
    if services.is_empty() {
        faults.push("has no services".to_owned());
    }
    faults
}

/// Keys of a mapping, or items of a list: compose allows both for what a service depends on.
fn names(yaml: &Yaml) -> BTreeSet<String> {
    let keys = yaml.as_hash().into_iter().flat_map(|hash| hash.keys());
    keys.chain(yaml.as_vec().into_iter().flatten()).filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(text: &str) -> Vec<String> {
        faults(&YamlLoader::load_from_str(text).unwrap()[0], |path| path == "deploy")
    }

    #[test]
    fn what_is_named_must_be_there() {
        let good = "services:\n  a:\n    image: x\n    volumes: ['./deploy:/b', 'v:/c']\n  b:\n    image: y\n    depends_on: [a]\nvolumes:\n  v:\n";
        assert_eq!(faults_of(good), Vec::<String>::new());
        assert_eq!(faults_of(&good.replace("./deploy", "./nowhere")).len(), 1);
        assert_eq!(faults_of(&good.replace("  v:\n", "  w:\n")).len(), 1);
        assert_eq!(faults_of(&good.replace("[a]", "[c]")).len(), 1);
        assert_eq!(faults_of(&good.replace("image: y", "restart: no")).len(), 1);
        assert_eq!(faults_of("services: {}\n").len(), 1);
    }
}
