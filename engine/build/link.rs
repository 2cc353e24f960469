//! The linker for shaders. Its directives are WGSL comments, so that editors and language servers read the files
//! as they are:
//!
//! - `//#axes format subgroups` on a kernel's first lines: which permutations exist;
//! - `//#import shared/step.wgsl`: that file's text, once;
//! - `//#import formats/{format}.wgsl`: where the text of a format goes. It is the same in every kernel, so it is stored
//!   once and put between the kernel's two pieces when a pipeline is made: a browser's download carries no permutations;
//! - `//#if subgroups`, `//#else`, `//#end`: a condition.

use std::{collections::HashSet, fs, path::Path};

/// Along which axes a kernel is permuted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axes {
    pub format: bool,
    pub subgroups: bool,
}

/// Reads a kernel's `//#axes` line.
pub fn axes(root: &Path, kernel: &str) -> Axes {
    let text = read(root, &format!("{kernel}.wgsl"));
    let mut axes = Axes::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("//#axes")) {
        for axis in line.split_whitespace() {
            match axis {
                "format" => axes.format = true,
                "subgroups" => axes.subgroups = true,
                other => panic!("shaders/{kernel}.wgsl: unknown axis {other}"),
            }
        }
    }
    axes
}

/// Stands in a linked text where that of a format goes.
const FORMAT_PLACE: &str = "//#format";

/// A kernel's text in one piece, or in two around that of a format.
pub fn link(root: &Path, kernel: &str, subgroups: bool) -> Vec<String> {
    let text = append_to_new(root, &format!("{kernel}.wgsl"), subgroups);
    let pieces: Vec<String> = text.split(FORMAT_PLACE).map(str::to_owned).collect();
    let expected = if axes(root, kernel).format { 2 } else { 1 };
    assert_eq!(pieces.len(), expected, "shaders/{kernel}.wgsl: the axis `format` and one import of it go together");
    pieces
}

/// The text of a format.
pub fn link_format(root: &Path, format: &str) -> String {
    append_to_new(root, &format!("formats/{format}.wgsl"), false)
}

fn append_to_new(root: &Path, file: &str, subgroups: bool) -> String {
    let mut out = String::new();
    append(root, file, subgroups, &mut HashSet::new(), &mut out);
    out
}

fn append(root: &Path, file: &str, subgroups: bool, imported: &mut HashSet<String>, out: &mut String) {
    if !imported.insert(file.to_owned()) {
        return;
    }
    // Whether the lines being read belong to the permutation, for each `//#if` that is open.
    let mut keeps: Vec<bool> = Vec::new();
    for line in read(root, file).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kept = keeps.iter().all(|keep| *keep);
        match words.as_slice() {
            ["//#if", "subgroups"] => keeps.push(subgroups),
            ["//#else"] => {
                let last = keeps.last_mut().unwrap_or_else(|| panic!("shaders/{file}: //#else without //#if"));
                *last = !*last;
            }
            ["//#end"] => assert!(keeps.pop().is_some(), "shaders/{file}: //#end without //#if"),
            ["//#import", "formats/{format}.wgsl"] if kept => out.push_str(FORMAT_PLACE),
            ["//#import", path] if kept => append(root, path, subgroups, imported, out),
            ["//#axes", ..] => {}
            [first, ..] if first.starts_with("//#") => {
                assert!(!kept, "shaders/{file}: unknown directive {line}");
            }
            // Comments cost a browser parsing time and the package bytes.
            [first, ..] if first.starts_with("//") => {}
            [] => {}
            _ if kept => {
                out.push_str(line);
                out.push('\n');
            }
            _ => {}
        }
    }
    assert!(keeps.is_empty(), "shaders/{file}: //#if without //#end");
}

fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("shaders/{file}: {error}"))
}
