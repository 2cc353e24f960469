//! Cooperative matrices in Chromium's words. Shaders are written in wgpu's, which naga validates; Chromium's experimental
//! extension has the same operations under other names, on a buffer and an index instead of an element's address. It does
//! not take such matrices as private variables: these become fields of one variable of `main`, which the functions that
//! use them get the address of. That offsets are the same for all threads of a subgroup is more than it can prove.

/// Each word, and what Chromium says for it. Loads and stores are more than words.
const WORDS: [(&str, &str); 5] = [
    (
        "enable wgpu_cooperative_matrix;",
        "enable subgroups;\nenable chromium_experimental_subgroup_matrix;\n\
         diagnostic(off, chromium.subgroup_matrix_uniformity);",
    ),
    ("coop_mat16x16<f16, A>", "subgroup_matrix_left<f16, 16, 16>"),
    ("coop_mat16x16<f16, B>", "subgroup_matrix_right<f16, 16, 16>"),
    ("coop_mat16x16<f32, C>", "subgroup_matrix_result<f32, 16, 16>"),
    ("coopMultiplyAdd(", "subgroupMatrixMultiplyAccumulate("),
];

/// Loads and stores, by rows (`T`) or by columns.
const TRANSFERS: [(&str, &str, &str); 4] = [
    ("coopLoadT<", "subgroupMatrixLoad<", "row_major"),
    ("coopLoad<", "subgroupMatrixLoad<", "col_major"),
    ("coopStoreT(", "subgroupMatrixStore<", "row_major"),
    ("coopStore(", "subgroupMatrixStore<", "col_major"),
];

/// A shader as Chromium wants it.
pub fn in_chromium(source: &str) -> String {
    let mut text = with_fields(source);
    for (word, order) in TRANSFERS.iter().map(|(word, name, order)| (*word, (*name, *order))) {
        while let Some(at) = text.find(word) {
            let Some((length, call)) = transfer(&text[at + word.len()..], order) else { break };
            text.replace_range(at..at + word.len() + length, &call);
        }
    }
    for (word, other) in WORDS {
        text = text.replace(word, other);
    }
    text
}

/// The shader with its private matrices as fields. It is written as the linker leaves it: without comments, and with each
/// function's end in a line of its own.
fn with_fields(source: &str) -> String {
    let field = |line: &str| {
        let (name, matrix) = line.trim().strip_prefix("var<private> ")?.split_once(": coop_mat")?;
        Some((name.to_owned(), format!("coop_mat{}", matrix.split(';').next()?)))
    };
    let fields: Vec<(String, String)> = source.lines().filter_map(field).collect();
    if fields.is_empty() {
        return source.to_owned();
    }
    let uses = |text: &str| fields.iter().any(|(name, _)| replace_word(text, name, "").is_some());
    // Functions, and what is between them.
    let kept: Vec<&str> = source.lines().filter(|line| field(line).is_none()).collect();
    let pieces: Vec<String> = kept
        .split_inclusive(|line| line.ends_with('}') && !line.starts_with(' '))
        .map(|lines| lines.join("\n"))
        .collect();
    let name_of = |piece: &String| {
        let start = piece.lines().find_map(|line| line.strip_prefix("fn "))?;
        Some(start.split_once('(')?.0.to_owned())
    };
    let users: Vec<String> = pieces.iter().filter(|piece| uses(piece)).filter_map(name_of).collect();
    let mut out = String::new();
    for mut piece in pieces {
        let name = name_of(&piece).unwrap_or_default();
        if name == "main" {
            for user in &users {
                piece = replace_word(&piece, &format!("{user}("), &format!("{user}(&matrices, ")).unwrap_or(piece);
            }
            piece = piece.replacen(") {\n", ") {\n    var matrices: Matrices;\n", 1);
        } else if users.contains(&name) {
            for (field, _) in &fields {
                piece = replace_word(&piece, field, &format!("(*matrices).{field}")).unwrap_or(piece);
            }
            let start = format!("fn {name}(");
            piece = piece.replacen(&start, &format!("{start}matrices: ptr<function, Matrices>, "), 1);
        }
        out += &piece;
        out += "\n";
    }
    let fields: String = fields.iter().map(|(name, matrix)| format!("    {name}: {matrix},\n")).collect();
    out + "struct Matrices {\n" + &fields + "}\n"
}

/// The text with another word wherever this one stands by itself; None if it stands nowhere. A word may end in a bracket.
fn replace_word(text: &str, word: &str, other: &str) -> Option<String> {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (mut out, mut rest_at) = (String::new(), 0);
    for (at, _) in text.match_indices(word) {
        let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
        let ends = word.ends_with('(') || !is_part(text.as_bytes().get(at + word.len()));
        if !is_part(before) && ends {
            out += &text[rest_at..at];
            out += other;
            rest_at = at + word.len();
        }
    }
    (rest_at > 0).then(|| out + &text[rest_at..])
}

/// What stands behind a transfer's first word up to its stride: its length, and the other call up to there. A load is
/// `MATRIX>(&buffer[index], `, a store `value, &buffer[index], `.
fn transfer(rest: &str, (name, order): (&str, &str)) -> Option<(usize, String)> {
    let (before, behind) = rest.split_once("&")?;
    let (buffer, behind) = behind.split_once('[')?;
    let (index, behind) = behind.split_once("], ")?;
    let length = rest.len() - behind.len();
    let call = match before.strip_suffix(">(") {
        Some(matrix) => format!("{name}{matrix}, {order}>(&{buffer}, {index}, "),
        None => format!("{name}{order}>(&{buffer}, {index}, {}, ", before.strip_suffix(", ")?),
    };
    Some((length, call))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{
        Reading, Variant,
        shader::{Kernel, pieces},
    };

    #[test]
    fn operations_on_matrices_have_other_words() {
        let wgpu = "enable f16;
enable wgpu_cooperative_matrix;
    var sum = coop_mat16x16<f32, C>();
    let tokens = coopLoadT<coop_mat16x16<f16, A>>(&x_tile[x_at + 2u * 16u * LINE], LINE);
    rows_1 = coopLoad<coop_mat16x16<f16, B>>(&weights_tile[at], 18u);
    sum = coopMultiplyAdd(tokens, rows_1, sum);
    coopStoreT(sum, &shown[at], 16u);
";
        let chromium = "enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
    var sum = subgroup_matrix_result<f32, 16, 16>();
    let tokens = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&x_tile, x_at + 2u * 16u * LINE, LINE);
    rows_1 = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&weights_tile, at, 18u);
    sum = subgroupMatrixMultiplyAccumulate(tokens, rows_1, sum);
    subgroupMatrixStore<row_major>(&shown, at, sum, 16u);
";
        assert_eq!(in_chromium(wgpu), chromium);
    }

    #[test]
    fn private_matrices_become_fields() {
        let wgpu = "var<private> sum_1: coop_mat16x16<f32, C>;
var<private> sum_10: coop_mat16x16<f32, C>;
var<private> other: u32;
fn begin() {
    sum_1 = sum_10;
}
fn beginning() {
    other = 1u;
}
fn main(
    thread: u32,
) {
    begin();
    beginning();
}
";
        let chromium = "var<private> other: u32;
fn begin(matrices: ptr<function, Matrices>, ) {
    (*matrices).sum_1 = (*matrices).sum_10;
}
fn beginning() {
    other = 1u;
}
fn main(
    thread: u32,
) {
    var matrices: Matrices;
    begin(&matrices, );
    beginning();
}
struct Matrices {
    sum_1: subgroup_matrix_result<f32, 16, 16>,
    sum_10: subgroup_matrix_result<f32, 16, 16>,
}
";
        assert_eq!(in_chromium(wgpu), chromium);
    }

    #[test]
    fn no_shader_keeps_a_word_that_chromium_does_not_know() {
        for (kernel, format) in [(Kernel::MatmulCoop, Some(crate::tensor::Format::Q4_0)), (Kernel::AttentionCoop, None)]
        {
            let reading = if format.is_some() { Reading::Tile } else { Reading::Narrow };
            assert!(pieces(kernel, false, reading).is_some());
            let source = Variant { kernel, format, subgroups: false, reading }.source().unwrap();
            assert!(source.contains("coop"), "{kernel:?}");
            let translated = in_chromium(&source);
            assert!(!translated.contains("coop"), "{kernel:?}:\n{translated}");
            assert!(!translated.contains("var<private> sum") && !translated.contains("var<private> mixed"));
            assert!(translated.contains("var matrices: Matrices;"), "{kernel:?}:\n{translated}");
            assert!(translated.contains("subgroupMatrixLoad<") && translated.contains("subgroupMatrixStore<"));
        }
    }
}
