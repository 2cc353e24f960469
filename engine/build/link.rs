//! The linker for shaders. Its directives are WGSL comments, so that editors and language servers read the files
//! as they are:
//!
//! - `//#axes format subgroups readings` on a kernel's first lines: which permutations exist; with `readings` there is one
//!   for a format's wide reading, or that of any format, and one for products of integers, for formats that have them; with
//!   `tile` there is one alone, which reads weights for a tile; with `strips` there are all three for the formats that
//!   store strips of a trellis, which it reads in their own way, and none for others; with `sums` there are two, one of
//!   them for products of integers, whatever the format;
//! - `//#import shared/step.wgsl`: that file's text, once;
//! - `//#import formats/{format}.wgsl`: where the text of a format goes. It is the same in every kernel, so it is stored
//!   once and put between the kernel's two pieces when a pipeline is made: a browser's download carries no permutations;
//! - `//#if subgroups`, `//#if narrow`, `//#if wide`, `//#if int8`, `//#if tile`, `//#else`, `//#end`: a condition;
//! - `//#repeat i 4`, `//#end`: what stands between, four times, with 0 to 3 in the place of `{i}`: for values that a
//!   compiler must keep apart, and does not if they are an array.

use std::{collections::HashSet, fs, path::Path};

/// Along which axes a kernel is permuted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axes {
    pub format: bool,
    pub subgroups: bool,
    pub readings: bool,
    pub tile: bool,
    pub strips: bool,
    pub sums: bool,
}

impl Axes {
    /// Whether there is a permutation for that reading.
    pub fn have(self, reading: Reading) -> bool {
        match reading {
            Reading::Narrow => !self.tile,
            Reading::Wide => self.readings || self.strips,
            Reading::Int8 => self.readings || self.strips || self.sums,
            Reading::Tile => self.tile,
        }
    }

    /// Whether there is a permutation for that format.
    pub fn take(self, format: &str) -> bool {
        match format.starts_with("Trellis") {
            true => self.strips || !self.readings,
            false => !self.strips,
        }
    }
}

/// How a permutation reads weights: `Reading` of engine/src/kernel/mod.rs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    #[default]
    Narrow,
    Wide,
    Int8,
    Tile,
}

/// Which of the conditions hold in a permutation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    pub subgroups: bool,
    pub reading: Reading,
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
                "readings" => axes.readings = true,
                "tile" => axes.tile = true,
                "strips" => axes.strips = true,
                "sums" => axes.sums = true,
                other => panic!("shaders/{kernel}.wgsl: unknown axis {other}"),
            }
        }
    }
    axes
}

/// Stands in a linked text where that of a format goes.
const FORMAT_PLACE: &str = "//#format";

/// A kernel's text in one piece, or in two around that of a format.
pub fn link(root: &Path, kernel: &str, conditions: Conditions) -> Vec<String> {
    let text = append_to_new(root, &[format!("{kernel}.wgsl")], conditions);
    let pieces: Vec<String> = text.split(FORMAT_PLACE).map(str::to_owned).collect();
    let expected = if axes(root, kernel).format { 2 } else { 1 };
    assert_eq!(pieces.len(), expected, "shaders/{kernel}.wgsl: the axis `format` and one import of it go together");
    pieces
}

/// The text of a format, with that of another reading; None if it has no such reading.
pub fn link_format(root: &Path, format: &str, reading: Reading) -> Option<String> {
    let own = |folder: &str| Some(format!("formats/{folder}/{format}.wgsl")).filter(|own| root.join(own).is_file());
    let more = match reading {
        Reading::Narrow => None,
        Reading::Wide => Some(own("wide").unwrap_or_else(|| "formats/wide/any.wgsl".to_owned())),
        Reading::Tile => Some(own("tile").unwrap_or_else(|| "formats/tile/any.wgsl".to_owned())),
        Reading::Int8 => Some(own("int8")?),
    };
    let files: Vec<String> = [format!("formats/{format}.wgsl")].into_iter().chain(more).collect();
    Some(append_to_new(root, &files, Conditions::default()))
}

fn append_to_new(root: &Path, files: &[String], conditions: Conditions) -> String {
    let (mut out, mut imported) = (String::new(), HashSet::new());
    for file in files {
        append(root, file, conditions, &mut imported, &mut out);
    }
    out
}

fn append(root: &Path, file: &str, conditions: Conditions, imported: &mut HashSet<String>, out: &mut String) {
    if !imported.insert(file.to_owned()) {
        return;
    }
    // Whether the lines being read belong to the permutation, for each `//#if` that is open.
    let mut keeps: Vec<bool> = Vec::new();
    let text = read(root, file);
    for line in &repeated(&text.lines().collect::<Vec<_>>(), file) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kept = keeps.iter().all(|keep| *keep);
        match words.as_slice() {
            ["//#if", "subgroups"] => keeps.push(conditions.subgroups),
            ["//#if", "narrow"] => keeps.push(conditions.reading == Reading::Narrow),
            ["//#if", "wide"] => keeps.push(conditions.reading == Reading::Wide),
            ["//#if", "tile"] => keeps.push(conditions.reading == Reading::Tile),
            ["//#if", "int8"] => keeps.push(conditions.reading == Reading::Int8),
            ["//#else"] => {
                let last = keeps.last_mut().unwrap_or_else(|| panic!("shaders/{file}: //#else without //#if"));
                *last = !*last;
            }
            ["//#end"] => assert!(keeps.pop().is_some(), "shaders/{file}: //#end without //#if"),
            ["//#import", "formats/{format}.wgsl"] if kept => out.push_str(FORMAT_PLACE),
            ["//#import", path] if kept => append(root, path, conditions, imported, out),
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

/// The lines, with those that are to be repeated written out.
fn repeated(lines: &[&str], file: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let ["//#repeat", name, count] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            out.push((*line).to_owned());
            at += 1;
            continue;
        };
        let count: u32 = count.parse().unwrap_or_else(|_| panic!("shaders/{file}: {line}"));
        let mut open = 1;
        let length = lines[at + 1..].iter().position(|line| {
            let first = line.split_whitespace().next().unwrap_or_default();
            open += i32::from(["//#if", "//#repeat"].contains(&first)) - i32::from(first == "//#end");
            open == 0
        });
        let length = length.unwrap_or_else(|| panic!("shaders/{file}: {line} without //#end"));
        let body = repeated(&lines[at + 1..at + 1 + length], file);
        for nth in 0..count {
            out.extend(body.iter().map(|line| line.replace(&format!("{{{name}}}"), &nth.to_string())));
        }
        at += length + 2;
    }
    out
}

fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("shaders/{file}: {error}"))
}
