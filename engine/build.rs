//! Links the shaders of `shaders/`, validates every permutation with naga and reflects their parameters into Rust,
//! so that a broken shader is a compile error and a `Params` struct cannot drift from its shader.

#[path = "build/link.rs"]
mod link;
#[path = "build/reflect.rs"]
mod reflect;

use std::{env, fmt::Write as _, fs, path::PathBuf};

/// What `engine/src/tensor.rs` calls the formats, and the file in `shaders/formats/` that reads each.
const FORMATS: [(&str, &str); 5] =
    [("F32", "f32"), ("F16", "f16"), ("BF16", "bf16"), ("Q8_0", "q8_0"), ("Q4_0", "q4_0")];

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../shaders");
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build");
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
        for (format, format_file) in FORMATS.iter().take(if axes.format { FORMATS.len() } else { 1 }) {
            for subgroups in [false, true].iter().take(if axes.subgroups { 2 } else { 1 }) {
                let text = link::link(&root, name, format_file, *subgroups);
                let what = format!("shaders/{name}.wgsl ({format_file}, subgroups: {subgroups})");
                let kernel = reflect::reflect(&text, &what);
                let pattern = if axes.format { format!("Some(Format::{format})") } else { "None".to_owned() };
                let upper = camel(name);
                writeln!(sources, "        (Kernel::{upper}, {pattern}, {subgroups}) => {text:?},").expect("string");
                match &reflected {
                    None => reflected = Some(kernel),
                    Some(first) => assert_eq!(first, &kernel, "{what}: permutations differ in bindings or Params"),
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
    let out = format!(
        "/// The shaders.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum Kernel {{\n{kernels}}}\n\n\
         impl Kernel {{\n    /// How it uses each storage binding from 2 on.\n    pub const fn bindings(self) -> &'static [Access] {{\n        match self {{\n{layouts}        }}\n    }}\n\n\
         \x20   /// Its file's name.\n    pub const fn name(self) -> &'static str {{\n        match self {{\n{labels}        }}\n    }}\n}}\n\n\
         /// The linked text of a variant; None if the kernel has no such permutation.\n\
         pub const fn source(kernel: Kernel, format: Option<Format>, subgroups: bool) -> Option<&'static str> {{\n    Some(match (kernel, format, subgroups) {{\n{sources}        _ => return None,\n    }})\n}}\n\n{modules}"
    );
    let path = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("shaders.rs");
    fs::write(path, out).expect("OUT_DIR can be written");
}

/// `rms_norm` -> `RmsNorm`.
fn camel(name: &str) -> String {
    name.split('_').map(|part| part[..1].to_uppercase() + &part[1..]).collect()
}
