//! Reads the tree's source against a table of rules. The table itself lies in `tests/tests/tidy.rs`.

mod files;
mod paths;
mod source;

use std::fmt;

use regex::Regex;

pub use files::{SourceFile, repository, source_files};
pub use paths::{Reference, references};
pub use source::{Function, functions, without_comments};

/// The order of rooms within one crate: a room may use those before it and itself.
pub struct Order {
    /// The folder that holds them, from the repository's root.
    pub root: &'static str,
    /// A folder or a file each, without its ending.
    pub rooms: &'static [&'static str],
    /// Pairs that must not use each other at all, although one of them comes first.
    pub siblings: &'static [(&'static str, &'static str)],
}

/// Something that must not stand in some files.
pub struct Never {
    /// In files whose path begins with one of these...
    pub within: &'static [&'static str],
    /// ...but which holds none of these.
    pub except: &'static [&'static str],
    /// In files with one of these endings.
    pub endings: &'static [&'static str],
    /// What must not stand there: a regular expression that is held against each line without its comments, and
    /// against each path that a `use` names.
    pub pattern: &'static str,
    /// Why not.
    pub because: &'static str,
    /// A line that breaks the rule, for the test of the rule.
    pub broken: &'static str,
    /// A line that looks similar and is right.
    pub right: &'static str,
}

/// How long a file may be.
pub struct Limit {
    /// Of the file's name.
    pub ending: &'static str,
    /// Lines.
    pub lines_max: usize,
}

/// A rule broken at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// From the repository's root.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Order {
    /// The room that a file belongs to.
    fn room(&self, path: &str) -> Option<&'static str> {
        let within = path.strip_prefix(self.root)?.strip_prefix('/')?;
        let first = within.split('/').next()?.trim_end_matches(".rs");
        self.rooms.iter().copied().find(|room| *room == first)
    }

    /// Uses that run against the order.
    pub fn check(&self, file: &SourceFile) -> Vec<Finding> {
        let Some(room) = self.room(&file.path) else { return Vec::new() };
        let place = |name: &str| self.rooms.iter().position(|room| *room == name);
        let mut findings = Vec::new();
        for Reference { line, path } in references(self.root, &file.path, &file.text) {
            let Some(used) = path.strip_prefix("crate::").and_then(|path| path.split("::").next()) else { continue };
            let siblings = self.siblings.iter().any(|pair| *pair == (room, used) || *pair == (used, room));
            if siblings || place(used) > place(room) {
                let why = if siblings { "they are siblings" } else { "it comes later in the order" };
                findings.push(Finding { path: file.path.clone(), line, what: format!("{room} uses {used}: {why}") });
            }
        }
        findings
    }
}

impl Never {
    /// Whether the rule is about this file.
    fn covers(&self, path: &str) -> bool {
        self.within.iter().any(|prefix| path.starts_with(prefix))
            && !self.except.iter().any(|part| path.contains(part))
            && self.endings.iter().any(|ending| path.ends_with(ending))
    }

    /// Lines that hold what must not be there, in the files that the rule is about.
    pub fn check(&self, files: &[SourceFile]) -> Vec<Finding> {
        let pattern = Regex::new(self.pattern).unwrap_or_else(|error| panic!("{}: {error}", self.pattern));
        files.iter().filter(|file| self.covers(&file.path)).flat_map(|file| self.check_file(&pattern, file)).collect()
    }

    fn check_file(&self, pattern: &Regex, file: &SourceFile) -> Vec<Finding> {
        let text = without_comments(&file.text);
        let is_rust = file.path.ends_with(".rs");
        let uses = if is_rust { references("", &file.path, &file.text) } else { Vec::new() };
        let uses = uses.iter().map(|Reference { line, path }| (*line, path.as_str()));
        let mut findings: Vec<Finding> = (1..)
            .zip(text.lines())
            .chain(uses)
            .filter_map(|(line, text)| {
                let found = pattern.find(text)?.as_str();
                Some(Finding { path: file.path.clone(), line, what: format!("`{found}`: {}", self.because) })
            })
            .collect();
        findings.sort_by_key(|finding| finding.line);
        findings.dedup_by_key(|finding| finding.line);
        findings
    }
}

impl Limit {
    /// A file that is too long.
    pub fn check(&self, file: &SourceFile) -> Option<Finding> {
        let lines = file.text.lines().count();
        (file.path.ends_with(self.ending) && lines > self.lines_max).then(|| Finding {
            path: file.path.clone(),
            line: lines,
            what: format!("{lines} lines; at most {} are easy to read", self.lines_max),
        })
    }
}
