//! Fills shared memory before a kernel begins. Nothing clears it natively, and what lies there is mostly zeros or what the
//! last workgroup left: a kernel that reads a place before anyone wrote it is right for a thousand runs and wrong in the
//! next. With numbers in it that are none, it is wrong at once.

use std::fmt::Write;

/// So many threads fill; no workgroup has fewer.
const FILLERS: u32 = 16;

/// A shader whose entry point first fills its workgroup's memory with these bits, or with them and the lowest bit set:
/// what a compiler could compute by itself it might refuse, if it is not a number.
pub fn filled(source: &str, bits: u32) -> String {
    let mut places = String::new();
    for line in source.lines() {
        let declared = line.trim_start().strip_prefix("var<workgroup> ").and_then(|rest| rest.split(';').next());
        let Some((name, kind)) = declared.and_then(|declared| declared.split_once(':')) else { continue };
        let (name, kind) = (name.trim(), kind.trim());
        let array = kind.strip_prefix("array<").and_then(|inner| inner.strip_suffix('>')?.rsplit_once(','));
        // Text that no shader has shows as a validation error; it cannot be worse than that.
        let _ = match array {
            _ if kind.contains("atomic<u32>") => {
                let count = array.map_or("", |(_, count)| count.trim());
                let (loops, place) = match count {
                    "" => (String::new(), name.to_owned()),
                    _ => (format!("for (var i = thread; i < u32({count}); i += {FILLERS}u) "), format!("{name}[i]")),
                };
                writeln!(places, "{loops}{{ atomicStore(&{place}, fill); }}")
            }
            Some((element, count)) => writeln!(
                places,
                "for (var i = thread; i < u32({}); i += {FILLERS}u) {{ {name}[i] = {}; }}",
                count.trim(),
                value(element.trim())
            ),
            None => writeln!(places, "{name} = {};", value(kind)),
        };
    }
    let main = source.find("fn main(").map(|at| at + "fn main(".len());
    let body = main.and_then(|main| Some(main + source[main..].find(") {")? + ") {".len()));
    let (Some(main), Some(body)) = (main, body) else { return source.to_owned() };
    if places.is_empty() {
        return source.to_owned();
    }
    // A kernel may have the thread's number under a name of its own, and an input has one name only.
    const INDEX: &str = "@builtin(local_invocation_index)";
    let inputs = &source[main..body];
    let own = inputs.split_once(INDEX).and_then(|(_, rest)| rest.split(':').next()).map(str::trim);
    let (input, thread) = match own {
        Some(name) => (String::new(), name),
        None => (format!("{INDEX} filler: u32, "), "filler"),
    };
    format!(
        "{}{input}{inputs}\nfill_shared({thread});\n{}\nfn fill_shared(thread: u32) {{\nif (thread < {FILLERS}u) {{\n\
         let fill = {bits}u | (thread & 1u);\n{places}}}\nworkgroupBarrier();\n}}\n",
        &source[..main],
        &source[body..]
    )
}

/// The bits as a value of a type.
fn value(kind: &str) -> String {
    match kind.split_once('<') {
        None if kind == "u32" => "fill".into(),
        None => format!("bitcast<{kind}>(fill)"),
        Some((_, "u32>")) => format!("{kind}(fill)"),
        Some((vector, "f16>")) => format!("{kind}({vector}<f32>(bitcast<f32>(fill)))"),
        Some((_, element)) => format!("{kind}(bitcast<{element}(fill))"),
    }
}

#[cfg(test)]
mod tests {
    use super::filled;

    const NOT_A_NUMBER: u32 = 0x7fc0_0000;

    #[test]
    fn each_place_is_filled_before_the_kernel_begins() {
        let source = "override PLACES: u32 = 4u;\nvar<workgroup> sums: array<vec4<f32>, PLACES>;  // of rows\n\
                      var<workgroup> best: u32;\nvar<workgroup> floors: array<atomic<u32>, 2>;\n\
                      var<workgroup> first: atomic<u32>;\nvar<workgroup> halves: array<vec4<f16>, 8>;\n@compute @workgroup_size(64)\n\
                      fn main(@builtin(local_invocation_index) own: u32) {\n    best = own;\n}\n";
        let filled = filled(source, NOT_A_NUMBER);
        for part in [
            "for (var i = thread; i < u32(PLACES); i += 16u) { sums[i] = vec4<f32>(bitcast<f32>(fill)); }",
            "best = fill;",
            "for (var i = thread; i < u32(2); i += 16u) { atomicStore(&floors[i], fill); }",
            "\n{ atomicStore(&first, fill); }",
            "for (var i = thread; i < u32(8); i += 16u) { halves[i] = vec4<f16>(vec4<f32>(bitcast<f32>(fill))); }",
            "own: u32) {\nfill_shared(own);\n\n    best = own;\n}",
            "let fill = 2143289344u | (thread & 1u);",
        ] {
            assert!(filled.contains(part), "{part} in {filled}");
        }
    }

    #[test]
    fn a_kernel_without_the_number_of_its_thread_gets_it() {
        let source =
            "var<workgroup> all: array<f32, 2>;\nfn main(\n    @builtin(workgroup_id) group: vec3<u32>,\n) {\n}\n";
        let filled = filled(source, 0);
        assert!(filled.contains("fn main(@builtin(local_invocation_index) filler: u32, \n    @builtin(workgroup_id)"));
        assert!(filled.contains(") {\nfill_shared(filler);\n"));
    }

    #[test]
    fn a_kernel_without_shared_memory_stays_as_it_is() {
        let source = "fn main(@builtin(local_invocation_index) thread: u32) {\n}\n";
        assert_eq!(filled(source, NOT_A_NUMBER), source);
    }
}
