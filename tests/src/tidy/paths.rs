//! The paths that a Rust file names: in `use` trees and in the middle of code.

use std::sync::LazyLock;

use regex::Regex;

use super::without_comments;

/// A path and where it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// From 1.
    pub line: usize,
    /// In full: `super` is resolved, and each branch of a `use` tree stands alone.
    pub path: String,
}

static USE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\buse\s+([^;]+);").expect("it is right"));
static INLINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[a-z_][a-z0-9_]*(?:\s*::\s*[A-Za-z_][A-Za-z0-9_]*)+").expect("it is right"));

/// Every path that the file names, as far as it can be told without a compiler. `root` is the crate's `src` folder.
pub fn references(root: &str, path: &str, text: &str) -> Vec<Reference> {
    let module = module_of(root, path);
    let text = without_comments(text);
    let mut found = Vec::new();
    let line_of = |at: usize| text[..at].matches('\n').count() + 1;
    for tree in USE.captures_iter(&text) {
        let (Some(whole), Some(tree)) = (tree.get(0), tree.get(1)) else { continue };
        let mut branches = Vec::new();
        expand("", tree.as_str(), &mut branches);
        found.extend(branches.into_iter().map(|path| Reference { line: line_of(whole.start()), path }));
    }
    for path in INLINE.find_iter(&text) {
        let compact: String = path.as_str().split_whitespace().collect();
        found.push(Reference { line: line_of(path.start()), path: compact });
    }
    for reference in &mut found {
        reference.path = resolve(&module, &reference.path);
    }
    found
}

/// The module of a file: `engine/src/device/gpu/mod.rs` is `[device, gpu]`.
fn module_of(root: &str, path: &str) -> Vec<String> {
    let within = path.strip_prefix(root).unwrap_or(path).trim_start_matches('/').trim_end_matches(".rs");
    within.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_owned).collect()
}

/// Turns `super::...` into `crate::...`. A module within the file has one more `super` than is counted here: then the
/// path stops at the crate's root, where it names no room.
fn resolve(module: &[String], path: &str) -> String {
    let parts: Vec<&str> = path.split("::").collect();
    let ups = parts.iter().take_while(|part| **part == "super").count();
    if ups == 0 {
        return path.to_owned();
    }
    let kept = module.len().saturating_sub(ups);
    let all = module[..kept].iter().map(String::as_str).chain(parts[ups..].iter().copied());
    std::iter::once("crate").chain(all).collect::<Vec<_>>().join("::")
}

/// Writes each branch of a `use` tree in full.
fn expand(prefix: &str, tree: &str, out: &mut Vec<String>) {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let name = tree.split(" as ").next().unwrap_or(tree).trim();
        if !name.is_empty() {
            out.push(format!("{prefix}{name}"));
        }
        return;
    };
    let prefix = format!("{prefix}{}", head.trim());
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let mut depth = 0;
    let mut start = 0;
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..at], out);
                start = at + 1;
            }
            _ => {}
        }
    }
    expand(&prefix, &inner[start..], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        references("engine/src", path, text).into_iter().map(|reference| reference.path).collect()
    }

    #[test]
    fn use_trees_are_expanded() {
        let found = paths("engine/src/a.rs", "use std::{fs as files, sync::{Arc, Mutex}};\nuse crate::{Error, b::C};");
        for path in ["std::fs", "std::sync::Arc", "std::sync::Mutex", "crate::Error", "crate::b::C"] {
            assert!(found.iter().any(|found| found == path), "{path} is not in {found:?}");
        }
    }

    #[test]
    fn super_is_resolved() {
        assert_eq!(paths("engine/src/a/b.rs", "use super::c::D;")[0], "crate::a::c::D");
        assert_eq!(paths("engine/src/a/b.rs", "super::super::c::d();")[0], "crate::c::d");
        assert_eq!(paths("engine/src/a/mod.rs", "use super::c;")[0], "crate::c");
    }

    #[test]
    fn inline_paths_are_found() {
        assert_eq!(paths("engine/src/a.rs", "fn f() { crate::b::c(); } // crate::d::e"), ["crate::b::c"]);
    }
}
