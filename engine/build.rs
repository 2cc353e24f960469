//! Links the shaders of `shaders/`, validates every permutation with naga and reflects their parameters into Rust,
//! so that a broken shader is a compile error and a `Params` struct cannot drift from its shader.

#[path = "build/link.rs"]
mod link;
#[path = "build/reflect.rs"]
mod reflect;

use link::Reading;
use std::{env, fmt::Write as _, fs, path::PathBuf};

/// The formats as `engine/src/tensor.rs` calls them; `shaders/formats/` has a file for each, in small letters.
const FORMATS: [&str; 29] = [
    "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
    "IQ4_XS", "IQ3_XXS", "IQ3_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "TQ1_0", "TQ2_0", "MXFP4", "Trellis2", "Trellis3",
    "Trellis4", "Trellis5", "Trellis6", "Levels2",
];

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../shaders");
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build");
    let texts = [Reading::Narrow, Reading::Wide, Reading::Int8, Reading::Tile]
        .map(|reading| (reading, FORMATS.map(|format| link::link_format(&root, &format.to_lowercase(), reading))));
    let mut sources = String::new();
    let mut modules = String::new();
    let mut names: Vec<String> = fs::read_dir(&root)
        .expect("shaders/ is there")
        .map(|entry| entry.expect("shaders/ can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wgsl"))
        .map(|path| path.file_stem().expect("it has a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in &names {
        let axes = link::axes(&root, name);
        let mut reflected = None;
        for (reading, texts_of_reading) in texts.iter().filter(|(reading, _)| axes.have(*reading)) {
            // What reads strips is one way of reading, and how their products are computed another.
            let texts = match axes {
                link::Axes { strips: true, .. } => &texts[Reading::Wide as usize].1,
                link::Axes { sums: true, .. } => &texts[Reading::Narrow as usize].1,
                _ => texts_of_reading,
            };
            for subgroups in [false, true].into_iter().take(if axes.subgroups { 2 } else { 1 }) {
                let pieces = link::link(&root, name, link::Conditions { subgroups, reading: *reading });
                let arm = format!("(Kernel::{}, {subgroups}, Reading::{reading:?})", camel(name));
                writeln!(sources, "        {arm} => &{pieces:?},").expect("string");
                for (format, text) in FORMATS.iter().zip(texts).take(if axes.format { FORMATS.len() } else { 1 }) {
                    let Some(text) = text.as_ref().filter(|_| axes.take(format)) else { continue };
                    let what = format!("shaders/{name}.wgsl ({format}, subgroups: {subgroups}, {reading:?})");
                    let kernel = reflect::reflect(&pieces.join(text), &what);
                    match &reflected {
                        None => reflected = Some(kernel),
                        Some(first) => assert_eq!(first, &kernel, "{what}: permutations differ in bindings or Params"),
                    }
                }
            }
        }
        let kernel = reflected.expect("each shader has at least one permutation");
        writeln!(modules, "{}", kernel.to_rust(name)).expect("string");
    }
    let kernels: String =
        names.iter().map(|name| format!("    /// `shaders/{name}.wgsl`.\n    {},\n", camel(name))).collect();
    let layouts: String =
        names.iter().map(|name| format!("            Self::{} => {name}::BINDINGS,\n", camel(name))).collect();
    let labels: String = names.iter().map(|name| format!("            Self::{} => {name:?},\n", camel(name))).collect();
    let mut formats = String::new();
    for (reading, texts) in &texts {
        for (format, text) in FORMATS.iter().zip(texts) {
            writeln!(formats, "        (Format::{format}, Reading::{reading:?}) => {text:?},").expect("string");
        }
    }
    let out = format!(
        "/// The shaders.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum Kernel {{\n{kernels}}}\n\n\
         impl Kernel {{\n    /// How it uses each storage binding from 2 on.\n    pub const fn bindings(self) -> &'static [Access] {{\n        match self {{\n{layouts}        }}\n    }}\n\n\
         \x20   /// Its file's name.\n    pub const fn name(self) -> &'static str {{\n        match self {{\n{labels}        }}\n    }}\n}}\n\n\
         /// The linked text of a kernel, in two pieces if that of a format goes between them; None if the kernel has no\n\
         /// such permutation.\n\
         pub const fn pieces(kernel: Kernel, subgroups: bool, reading: Reading) -> Option<&'static [&'static str]> {{\n    Some(match (kernel, subgroups, reading) {{\n{sources}        _ => return None,\n    }})\n}}\n\n\
         /// The text that reads a format; None if it has no such reading.\n\
         pub const fn format_text(format: Format, reading: Reading) -> Option<&'static str> {{\n    match (format, reading) {{\n{formats}    }}\n}}\n\n{modules}"
    );
    let path = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("shaders.rs");
    fs::write(path, out).expect("OUT_DIR can be written");
}

/// `rms_norm` -> `RmsNorm`.
fn camel(name: &str) -> String {
    name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}
