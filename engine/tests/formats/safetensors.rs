//! safetensors: what is accepted, what is refused, and in which words.

use std::collections::HashMap;

use hearth_engine::{Error, file::MemoryFolder, tensor::Format};
use proptest::prelude::*;
use safetensors::{SafeTensors, tensor::TensorView};

use crate::{
    allocation::peak_bytes,
    files::{check_promises, hugging_face, open, open_safetensors, refusal, safetensors},
};

/// A file of three tensors, written by the format's own crate.
fn written() -> Vec<u8> {
    let bytes: Vec<u8> = (0..48).collect();
    let view = |dtype, shape: &[usize], range: std::ops::Range<usize>| {
        TensorView::new(dtype, shape.to_vec(), &bytes[range]).unwrap()
    };
    let tensors = [
        ("a.weight", view(safetensors::Dtype::F32, &[2, 3], 0..24)),
        ("b.weight", view(safetensors::Dtype::BF16, &[2, 2], 24..32)),
        ("c.weight", view(safetensors::Dtype::F16, &[8], 32..48)),
    ];
    safetensors::serialize(tensors, Some(HashMap::from([("format".to_owned(), "pt".to_owned())]))).unwrap()
}

#[test]
fn a_file_of_the_formats_own_crate_is_read() {
    let catalog = open_safetensors(&written()).unwrap();
    check_promises(&catalog);
    let a = catalog.tensor("a.weight").unwrap();
    assert_eq!((a.format, &*a.shape, a.rows(), a.columns()), (Format::F32, &[2, 3][..], 2, 3));
    let row = pollster::block_on(catalog.read_rows(a, 1..2)).unwrap();
    assert_eq!(row, (12..24).collect::<Vec<u8>>());
    assert_eq!(catalog.tensor("b.weight").unwrap().format, Format::BF16);
    assert_eq!(catalog.tensor("c.weight").unwrap().format, Format::F16);
    assert_eq!((catalog.parameters(), catalog.weights_bytes()), (18, 48));
    assert_eq!(catalog.tensor("d").unwrap_err(), Error::MissingTensor { tensor: "d".to_owned() });
    assert!(pollster::block_on(catalog.read_rows(a, 1..3)).is_err());
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let whole = written();
    for length in 0..whole.len() {
        let error = refusal(open_safetensors(&whole[..length]));
        let Error::Truncated { needed_bytes, available_bytes, .. } = error else { panic!("{length}: {error}") };
        assert_eq!(available_bytes, length as u64);
        assert!(needed_bytes > length as u64 && needed_bytes <= whole.len() as u64, "{length}: {needed_bytes}");
    }
}

#[test]
fn each_rule_that_a_header_breaks_is_named() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {offsets}}}"#)
    };
    let one = |entry: String| format!(r#"{{"t": {entry}}}"#);
    let good = entry("F32", "[2]", "[0, 8]");
    for (header, data_bytes, reason) in [
        (one(good.clone()), 9, "its tensors end at byte"),
        (format!(r#"{{"t": {good}, "u": {}}}"#, entry("F32", "[2]", "[12, 20]")), 20, "\"u\" lies at 12..20"),
        (format!(r#"{{"t": {good}, "u": {}}}"#, entry("F32", "[2]", "[4, 12]")), 12, "\"u\" lies at 4..12"),
        (one(entry("F32", "[2]", "[8, 0]")), 8, "\"t\" lies at 8..0"),
        (one(entry("F32", "[3]", "[0, 8]")), 8, "\"t\" has 8 bytes, which is not what F32 of shape [3] takes"),
        (one(entry("F32", "[4294967296, 4294967296, 0]", "[0, 0]")), 0, "\"t\" has 0 bytes"),
        (one(entry("F32", "[0, 4294967296, 4294967296, 2]", "[0, 0]")), 0, "\"t\" has 0 bytes"),
        (one(entry("F32", "[4611686018427387905]", "[0, 4]")), 4, "\"t\" has 4 bytes"),
        (one(entry("F32", "[-1]", "[0, 8]")), 8, "the entry of the tensor \"t\""),
        (one(entry("F32", "[1e99]", "[0, 8]")), 8, "the entry of the tensor \"t\""),
        (one(r#"{"dtype": "F32"}"#.to_owned()), 8, "missing field `shape`"),
        (format!(r#"{{"t": {good}, "t": {}}}"#, entry("F32", "[2]", "[8, 16]")), 16, "\"t\" is there twice"),
        (format!(" {}", one(good.clone())), 8, "does not begin with an opening brace"),
        (format!(r#"{{"t": {good}"#), 8, "EOF"),
        (r#"{"__metadata__": {"a": 1}}"#.to_owned(), 0, "expected a string"),
        (format!("[{}]", "[".repeat(5000)), 0, "opening brace"),
        (format!(r#"{{"t": {}"#, "[".repeat(5000)), 0, "the entry of the tensor"),
    ] {
        let error = refusal(open_safetensors(&safetensors(&header, data_bytes)));
        assert!(matches!(error, Error::Malformed { .. }), "{header}: {error}");
        assert!(error.to_string().contains(reason), "{header}: {error}");
    }
    assert!(open_safetensors(&safetensors(&one(good), 8)).is_ok());
}

#[test]
fn an_unsupported_type_is_named_with_its_tensor() {
    let header = r#"{"t.ids": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}"#;
    let error = refusal(open_safetensors(&safetensors(header, 8)));
    assert_eq!(error, Error::UnsupportedFormat { tensor: "t.ids".to_owned(), format: "I64".to_owned() });
}

#[test]
fn a_name_that_is_not_utf_8_is_refused() {
    let mut bytes = safetensors(r#"{"t?": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#, 4);
    let place = bytes.iter().position(|byte| *byte == b'?').unwrap();
    bytes[place] = 0xFF;
    assert!(matches!(refusal(open_safetensors(&bytes)), Error::Malformed { .. }));
}

#[test]
fn a_header_that_promises_more_than_the_file_holds_takes_no_memory() {
    for promised in [9, 1 << 20, 100_000_000, 100_000_001, 1 << 40, u64::MAX] {
        let mut bytes = written();
        bytes[..8].copy_from_slice(&promised.to_le_bytes());
        let (result, peak) = peak_bytes(|| open_safetensors(&bytes));
        let error = refusal(result);
        match error {
            Error::Truncated { needed_bytes, .. } => assert_eq!(needed_bytes, 8 + promised),
            Error::Malformed { .. } => assert!(promised > 100_000_000 || promised == 9),
            other => panic!("{promised}: {other}"),
        }
        assert!(peak < 1 << 16, "{promised}: {peak} bytes");
    }
    let header = r#"{"t": {"dtype": "F32", "shape": [1000000000], "data_offsets": [0, 4000000000]}}"#;
    let error = refusal(open_safetensors(&safetensors(header, 4)));
    assert!(matches!(error, Error::Truncated { needed_bytes, .. } if needed_bytes > 4_000_000_000), "{error}");
}

#[test]
fn empty_tensors_and_padded_headers_are_allowed() {
    let header = r#"{"e": {"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]},
        "s": {"dtype": "F16", "shape": [], "data_offsets": [0, 2]}}        "#;
    let catalog = open_safetensors(&safetensors(header, 2)).unwrap();
    check_promises(&catalog);
    assert_eq!((catalog.tensors["e"].elements(), catalog.tensors["s"].elements()), (0, 1));
}

/// Two shards and their index.
fn sharded(weight_map: &str, first: &str, second: &str) -> MemoryFolder {
    let shard = |name: &str| format!(r#"{{"{name}": {{"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}}}"#);
    hugging_face()
        .with("model.safetensors.index.json", format!(r#"{{"metadata": {{}}, "weight_map": {weight_map}}}"#))
        .with("1.safetensors", safetensors(&shard(first), 8))
        .with("2.safetensors", safetensors(&shard(second), 8))
}

#[test]
fn shards_are_joined() {
    let folder = sharded(r#"{"a": "1.safetensors", "b": "2.safetensors"}"#, "a", "b");
    let catalog = open(&folder, None).unwrap().catalog;
    check_promises(&catalog);
    assert_eq!((catalog.sources.len(), catalog.tensors["a"].source, catalog.tensors["b"].source), (2, 0, 1));
}

#[test]
fn shards_that_do_not_fit_together_are_refused() {
    let both = r#"{"a": "1.safetensors", "b": "2.safetensors"}"#;
    let error = refusal(open(&sharded(both, "a", "b").without("2.safetensors"), None));
    assert_eq!(error, Error::MissingFile { file: "2.safetensors".to_owned() });
    for (folder, reason) in [
        (sharded(both, "a", "a"), "\"a\" is there twice"),
        (sharded(both, "a", "c"), "the index says that it holds \"b\""),
        (sharded(r#"{"a": "2.safetensors", "b": "1.safetensors"}"#, "a", "b"), "the index says that it holds"),
        (sharded(r#"{"a": "../1.safetensors"}"#, "a", "b"), "no name of a file beside it"),
        (sharded(r#"{"a": ".."}"#, "a", "b"), "no name of a file beside it"),
        (sharded(r#"{"a": "1.safetensors", "a": "2.safetensors"}"#, "a", "b"), "\"a\" is there twice"),
        (sharded("[]", "a", "b"), "names of shards by tensor"),
    ] {
        let error = refusal(open(&folder, None));
        assert!(matches!(error, Error::Malformed { .. }) && error.to_string().contains(reason), "{reason}: {error}");
    }
}

proptest! {
    #[test]
    fn flipped_bits_break_nothing(flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut bytes = written();
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let (result, peak) = peak_bytes(|| open_safetensors(&bytes));
        prop_assert!(peak < 1 << 16, "{peak} bytes");
        if let Ok(catalog) = result {
            check_promises(&catalog);
            prop_assert!(SafeTensors::deserialize(&bytes).is_ok(), "the format's own crate refuses it");
        }
    }
}
