//! Links between documents lead somewhere.

use std::collections::BTreeSet;

use crate::Complaint;
use crate::tree::Tree;

pub fn check(tree: &Tree) -> Vec<Complaint> {
    let paths: BTreeSet<&str> = tree.paths.iter().map(String::as_str).collect();
    let is_there = |target: &str| {
        let target = target.trim_end_matches('/');
        paths.contains(target)
            || target.is_empty()
            || paths.iter().any(|path| path.strip_prefix(target).is_some_and(|rest| rest.starts_with('/')))
    };
    let documents = tree.files.iter().filter(|(path, _)| path.ends_with(".md"));
    let of = |(path, text): (&String, &String)| {
        let missing = links(text).into_iter().filter(|link| !resolve(path, link).is_some_and(|target| is_there(&target)));
        missing.map(|link| Complaint::new(path.clone(), format!("the link to `{link}` leads nowhere"))).collect::<Vec<_>>()
    };
    documents.flat_map(of).collect()
}

/// Targets of `[text](target)` that are files of ours, without their anchors.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ', '#']).next());
        let ours = targets.filter(|it| !it.is_empty() && !it.contains("://") && !it.starts_with("mailto:"));
        found.extend(ours.map(str::to_owned));
    }
    found
}

/// A relative link seen from `document`; `None` if it leads out of the checkout.
fn resolve(document: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let text = "[a](b.md#top) [x](https://x.example) ![p](../img/p.svg)\n```\n[no](code.md)\n```\n[c](../../out.md) [d](dir/)";
        let files = [("docs/a.md".to_owned(), text.to_owned())].into();
        let paths = ["docs/a.md", "docs/b.md", "docs/dir/e.md"].map(str::to_owned).to_vec();
        let tree = Tree { files, paths, ..Tree::default() };
        let missing: Vec<_> = check(&tree).into_iter().map(|it| it.what).collect();
        assert_eq!(missing, ["the link to `../img/p.svg` leads nowhere", "the link to `../../out.md` leads nowhere"]);
    }
}
