//! GGUF: what is read.

use std::rc::Rc;

use hearth_engine::{
    Error,
    file::{Documents, GgufArray, GgufMetadata, GgufTensor, GgufValue, OpenedModel, write_gguf},
    quant::encode_row,
    tensor::Format,
};
use proptest::prelude::*;

use crate::files::{Watched, WatchedFolder, check_promises, open, open_gguf, repository};

/// The metadata of an opened model.
pub fn metadata(model: OpenedModel) -> GgufMetadata {
    match model.documents {
        Documents::Gguf { metadata, .. } => metadata,
        Documents::HuggingFace { .. } => panic!("this is a GGUF file"),
    }
}

/// A tensor whose numbers count upwards.
pub fn tensor(name: &str, shape: &[u64], format: Format) -> GgufTensor {
    let elements: Vec<f32> = (0..shape.iter().product::<u64>()).map(|element| element as f32).collect();
    GgufTensor { name: name.to_owned(), shape: shape.to_vec(), format, bytes: encode_row(format, &elements).unwrap() }
}

/// A small file with some of everything.
pub fn small() -> Vec<u8> {
    let mut metadata = GgufMetadata::default();
    metadata.insert("general.architecture", GgufValue::String("llama".to_owned()));
    metadata.insert("llama.block_count", GgufValue::U32(2));
    metadata.insert("tokenizer.ggml.tokens", GgufValue::Array(GgufArray::String(vec!["a".into(), "b".into()])));
    metadata.insert("nested", GgufValue::Array(GgufArray::Array(vec![GgufArray::Bool(vec![true, false])])));
    let tensors = [
        tensor("a.weight", &[3, 32], Format::Q8_0),
        tensor("b.weight", &[2, 32], Format::Q4_0),
        tensor("c.weight", &[5], Format::F16),
        tensor("d.weight", &[2, 3], Format::BF16),
        tensor("e.weight", &[2, 4], Format::F32),
    ];
    write_gguf(&metadata, &tensors)
}

#[test]
fn every_type_of_value_that_another_writer_writes_is_read() {
    let metadata = metadata(open_gguf(&repository("tests/golden/quant.gguf")).unwrap());
    assert_eq!(metadata.string("general.architecture").unwrap(), "quant");
    for (key, value) in [
        ("one.u8", GgufValue::U8(u8::MAX)),
        ("one.i8", GgufValue::I8(i8::MIN)),
        ("one.u16", GgufValue::U16(u16::MAX)),
        ("one.i16", GgufValue::I16(i16::MIN)),
        ("one.u32", GgufValue::U32(u32::MAX)),
        ("one.i32", GgufValue::I32(i32::MIN)),
        ("one.u64", GgufValue::U64(u64::MAX)),
        ("one.i64", GgufValue::I64(i64::MIN)),
        ("one.f32", GgufValue::F32(0.1)),
        ("one.f64", GgufValue::F64(0.1)),
        ("one.bool", GgufValue::Bool(true)),
        ("one.string", GgufValue::String("héarth".to_owned())),
        ("many.i32s", GgufValue::Array(GgufArray::I32(vec![-1, 0, 1]))),
        ("many.f32s", GgufValue::Array(GgufArray::F32(vec![0.5, -0.25]))),
        ("many.strings", GgufValue::Array(GgufArray::String(vec!["".into(), "a".into(), "héarth".into()]))),
        ("many.bools", GgufValue::Array(GgufArray::Bool(vec![true, false]))),
        ("many.nested", GgufValue::Array(GgufArray::Array(vec![GgufArray::I32(vec![1, 2]), GgufArray::I32(vec![3])]))),
    ] {
        assert_eq!(metadata.get(key), Some(&value), "{key}");
    }
}

#[test]
fn getters_name_the_key_that_is_absent_or_of_another_type() {
    let metadata = metadata(open_gguf(&small()).unwrap());
    assert_eq!(metadata.u32("llama.block_count").unwrap(), 2);
    assert_eq!(metadata.strings("tokenizer.ggml.tokens").unwrap(), ["a", "b"]);
    assert_eq!(metadata.find_f32("absent").unwrap(), None);
    let bad = |error: Error| match error {
        Error::BadConfig { field, reason } => (field, reason),
        other => panic!("{other}"),
    };
    assert_eq!(bad(metadata.u32("absent").unwrap_err()), ("absent".into(), "is missing".into()));
    let (field, reason) = bad(metadata.f32("llama.block_count").unwrap_err());
    assert_eq!((&*field, &*reason), ("llama.block_count", "is not a floating-point number"));
    assert_eq!(bad(metadata.strings("nested").unwrap_err()).1, "is not an array of texts");
    assert!(metadata.string("llama.block_count").is_err() && metadata.bool("nested").is_err());
    assert!(metadata.u64("general.architecture").is_err() && metadata.array("general.architecture").is_err());
}

#[test]
fn whole_numbers_of_any_width_are_taken_if_they_fit() {
    let mut metadata = GgufMetadata::default();
    for (value, as_u64, as_u32) in [
        (GgufValue::U8(7), Some(7), Some(7)),
        (GgufValue::I16(-7), None, None),
        (GgufValue::I64(7), Some(7), Some(7)),
        (GgufValue::U64(1 << 40), Some(1 << 40), None),
        (GgufValue::F32(7.0), None, None),
    ] {
        metadata.insert("k", value.clone());
        assert_eq!((metadata.u64("k").ok(), metadata.u32("k").ok()), (as_u64, as_u32), "{value:?}");
    }
}

#[test]
fn tensors_are_rows_first_and_where_they_should_be() {
    let catalog = open_gguf(&small()).unwrap().catalog;
    check_promises(&catalog);
    let a = catalog.tensor("a.weight").unwrap();
    assert_eq!((&*a.shape, a.rows(), a.columns(), a.row_bytes()), (&[3, 32][..], 3, 32, 34));
    let stored = tensor("a.weight", &[3, 32], Format::Q8_0).bytes;
    assert_eq!(pollster::block_on(catalog.read_rows(a, 1..3)).unwrap(), stored[34..]);
    let formats: Vec<_> = catalog.tensors.values().map(|tensor| tensor.format).collect();
    assert_eq!(formats, [Format::Q8_0, Format::Q4_0, Format::F16, Format::BF16, Format::F32]);
}

#[test]
fn version_2_is_read_like_version_3() {
    let (third, mut second) = (small(), small());
    second[4] = 2;
    let (second, third) = (open_gguf(&second).unwrap(), open_gguf(&third).unwrap());
    assert_eq!(second.catalog.tensors, third.catalog.tensors);
    assert_eq!(second.documents, third.documents);
}

#[test]
fn a_long_header_is_read_in_pieces_and_no_weight_with_it() {
    let mut metadata = GgufMetadata::default();
    let words: Vec<_> = (0..100_000).map(|word| format!("word {word}")).collect();
    metadata.insert("words", GgufValue::Array(GgufArray::String(words)));
    let bytes = write_gguf(&metadata, &[tensor("t", &[1024, 1024], Format::F32)]);
    let header_bytes = bytes.len() as u64 - (4 << 20);
    let watched = Rc::new(Watched { bytes, reads: Default::default() });
    let model = open(&WatchedFolder(Rc::clone(&watched)), Some("m.gguf")).unwrap();
    assert_eq!(self::metadata(model).strings("words").unwrap().len(), 100_000);
    let reads = watched.reads.borrow();
    assert!(reads.len() > 1 && reads.len() < 6, "{reads:?}");
    assert!(reads.windows(2).all(|pair| pair[0].end == pair[1].start), "{reads:?}");
    assert!(reads.last().unwrap().end < 2 * header_bytes, "{reads:?}");
}

fn any_array() -> impl Strategy<Value = GgufArray> {
    let leaf = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4).prop_map(GgufArray::U8),
        prop::collection::vec(any::<i16>(), 0..4).prop_map(GgufArray::I16),
        prop::collection::vec(any::<u32>(), 0..4).prop_map(GgufArray::U32),
        prop::collection::vec(-1e9f32..1e9, 0..4).prop_map(GgufArray::F32),
        prop::collection::vec(any::<i64>(), 0..4).prop_map(GgufArray::I64),
        prop::collection::vec(any::<bool>(), 0..4).prop_map(GgufArray::Bool),
        prop::collection::vec(".*", 0..4).prop_map(GgufArray::String),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(GgufArray::Array))
}

fn any_value() -> impl Strategy<Value = GgufValue> {
    prop_oneof![
        any::<u8>().prop_map(GgufValue::U8),
        any::<i8>().prop_map(GgufValue::I8),
        any::<u16>().prop_map(GgufValue::U16),
        any::<i16>().prop_map(GgufValue::I16),
        any::<u32>().prop_map(GgufValue::U32),
        any::<i32>().prop_map(GgufValue::I32),
        any::<u64>().prop_map(GgufValue::U64),
        any::<i64>().prop_map(GgufValue::I64),
        (-1e9f32..1e9).prop_map(GgufValue::F32),
        (-1e9f64..1e9).prop_map(GgufValue::F64),
        any::<bool>().prop_map(GgufValue::Bool),
        ".*".prop_map(GgufValue::String),
        any_array().prop_map(GgufValue::Array),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(values in prop::collection::btree_map("[a-z.]{1,12}", any_value(), 0..8)) {
        let mut written = GgufMetadata::default();
        for (key, value) in values {
            if !matches!(&*key, "general.alignment" | "split.count") {
                written.insert(key, value);
            }
        }
        let read = metadata(open_gguf(&write_gguf(&written, &[])).unwrap());
        prop_assert_eq!(read, written);
    }
}
