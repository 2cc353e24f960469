//! GGUF: what is refused, in which words, and at what cost.

use hearth_engine::{
    Error,
    file::{GgufArray, GgufMetadata, GgufValue, write_gguf},
    tensor::Format,
};
use proptest::prelude::*;

use crate::{
    allocation::peak_bytes,
    files::{check_promises, open_gguf, refusal},
    gguf::{small, tensor},
};

/// The front of a file: magic, version, counts.
fn front(version: u32, tensors: u64, keys: u64) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(keys.to_le_bytes());
    bytes
}

/// A file of one key with this type and value.
fn one_key(type_id: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = front(3, 0, 1);
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(b"k");
    bytes.extend(type_id.to_le_bytes());
    bytes.extend(value);
    bytes
}

/// A file of one tensor with these sides as the file has them.
fn one_tensor(name: &[u8], sides: &[u64], type_id: u32, offset: u64, data_bytes: usize) -> Vec<u8> {
    let mut bytes = front(3, 1, 0);
    bytes.extend((name.len() as u64).to_le_bytes());
    bytes.extend(name);
    bytes.extend((sides.len() as u32).to_le_bytes());
    bytes.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
    bytes.extend(type_id.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32) + data_bytes, 0);
    bytes
}

/// An element's type and a count.
fn array(element_type: u32, count: u64) -> Vec<u8> {
    [&element_type.to_le_bytes()[..], &count.to_le_bytes()].concat()
}

#[test]
fn a_file_cut_at_any_byte_is_refused() {
    let whole = small();
    for length in 0..whole.len() {
        let error = refusal(open_gguf(&whole[..length]));
        let Error::Truncated { needed_bytes, available_bytes, .. } = error else { panic!("{length}: {error}") };
        assert_eq!(available_bytes, length as u64);
        assert!(needed_bytes > length as u64 && needed_bytes <= whole.len() as u64, "{length}: {needed_bytes}");
    }
}

#[test]
fn each_rule_that_a_header_breaks_is_named() {
    let deep = (0..6).flat_map(|_| array(9, 1)).collect::<Vec<_>>();
    for (bytes, reason) in [
        (b"GGML\x03\0\0\0".to_vec(), "does not begin with \"GGUF\""),
        (front(1, 0, 0), "GGUF version 1; versions 2 and 3"),
        (front(4, 0, 0), "GGUF version 4"),
        (front(3u32.swap_bytes(), 0, 0), "big-endian byte order"),
        (front(3, 1 << 40, 0), "claims 1099511627776 tensors"),
        (front(3, 0, 1 << 40), "claims 1099511627776 keys"),
        (one_key(13, &[0; 8]), "\"k\" has a value of the unknown type 13"),
        (one_key(7, &[2]), "\"k\" is 2, which is neither true nor false"),
        (one_key(9, &[array(7, 1), vec![2]].concat()), "\"k\" is 2, which is neither true nor false"),
        (one_key(9, &array(13, 0)), "unknown type 13"),
        (one_key(9, &deep), "arrays more than 4 deep"),
        (one_key(8, &[&2u64.to_le_bytes()[..], &[0xC3, 0x28]].concat()), "the value of \"k\" is not UTF-8"),
        (one_key(8, &(1u64 << 40).to_le_bytes()), "claims 1099511627776 bytes"),
        (one_tensor(b"\xFFx", &[1], 0, 0, 4), "a tensor's name is not UTF-8"),
        (one_tensor(b"t", &[1; 5], 0, 0, 4), "\"t\" has 5 sides"),
        (one_tensor(b"t", &[33, 2], 8, 0, 256), "\"t\" cannot be Q8_0 of shape [2, 33]"),
        (one_tensor(b"t", &[288, 2], 12, 0, 1024), "\"t\" cannot be Q4_K of shape [2, 288]"),
        (one_tensor(b"t", &[1 << 32, 1 << 32], 0, 0, 4), "cannot be F32 of shape [4294967296, 4294967296]"),
        (one_tensor(b"t", &[0, 1 << 32, 1 << 32], 0, 0, 4), "cannot be F32 of shape"),
        (one_tensor(b"t", &[1], 0, 4, 64), "begins at 4, which is no multiple of 32"),
    ] {
        let error = refusal(open_gguf(&bytes));
        assert!(matches!(error, Error::Malformed { .. }), "{reason}: {error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
}

#[test]
fn an_unsupported_type_is_named_with_its_tensor() {
    for (type_id, format) in [(19, "IQ1_S"), (9, "Q8_1"), (26, "I32"), (40, "NVFP4"), (4, "GGML type 4")] {
        let error = refusal(open_gguf(&one_tensor(b"blk.0.attn_q.weight", &[256], type_id, 0, 4096)));
        let expected = Error::UnsupportedFormat { tensor: "blk.0.attn_q.weight".to_owned(), format: format.to_owned() };
        assert_eq!(error, expected);
    }
}

#[test]
fn what_comes_twice_is_refused() {
    let once = tensor("t", &[8], Format::F32);
    let error = refusal(open_gguf(&write_gguf(&GgufMetadata::default(), &[once.clone(), once])));
    assert!(error.to_string().contains("\"t\" is there twice"), "{error}");
    let mut bytes = one_key(0, &[7]);
    let key = bytes[24..].to_vec();
    bytes.extend(key);
    bytes[16] = 2;
    let error = refusal(open_gguf(&bytes));
    assert!(error.to_string().contains("the key \"k\" is there twice"), "{error}");
}

#[test]
fn tensors_that_overlap_are_refused() {
    let tensors = [tensor("a", &[16], Format::F32), tensor("b", &[16], Format::F32)];
    let mut bytes = write_gguf(&GgufMetadata::default(), &tensors);
    let name = bytes.iter().rposition(|byte| *byte == b'b').unwrap();
    let offset = name + 1 + 4 + 8 + 4;
    assert_eq!(bytes[offset], 64);
    bytes[offset] = 32;
    let error = refusal(open_gguf(&bytes));
    assert!(error.to_string().contains("\"a\" and \"b\" overlap"), "{error}");
}

#[test]
fn keys_that_the_reader_itself_needs_are_checked() {
    for (key, value, reason) in [
        ("general.alignment", GgufValue::U32(0), "is 0, which is no power of two"),
        ("general.alignment", GgufValue::U32(48), "is 48"),
        ("general.alignment", GgufValue::U32(1 << 31), "is 2147483648"),
        ("general.alignment", GgufValue::String("x".to_owned()), "is not a whole number"),
        ("split.count", GgufValue::U32(1 << 20), "is 1048576; at most 4096 parts are read"),
    ] {
        let mut metadata = GgufMetadata::default();
        metadata.insert(key, value);
        let error = refusal(open_gguf(&write_gguf(&metadata, &[])));
        let Error::BadConfig { field, reason: found } = &error else { panic!("{error}") };
        assert!(field == key && found.contains(reason), "{error}");
    }
}

#[test]
fn another_alignment_is_honoured() {
    let mut metadata = GgufMetadata::default();
    metadata.insert("general.alignment", GgufValue::U32(8));
    let mut bytes = write_gguf(&metadata, &[]);
    bytes[8] = 1;
    bytes.truncate(8 + 16 + 8 + 17 + 4 + 4);
    bytes.extend(8u64.to_le_bytes());
    bytes.extend(b"a.tensor");
    bytes.extend(1u32.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(8u64.to_le_bytes());
    let data_start = bytes.len().next_multiple_of(8);
    assert_ne!(data_start % 32, 0);
    bytes.resize(data_start + 12, 0);
    let catalog = open_gguf(&bytes).unwrap().catalog;
    assert_eq!(catalog.tensors["a.tensor"].offset_bytes, data_start as u64 + 8);
}

#[test]
fn absurd_counts_take_no_memory() {
    let many = 1u64 << 60;
    for bytes in [
        front(3, u64::MAX, u64::MAX),
        front(3, 1 << 20, 0),
        front(3, 0, 1 << 16),
        one_key(8, &(16u64 << 20).to_le_bytes()),
        one_key(9, &array(0, many)),
        one_key(9, &array(4, u64::MAX)),
        one_key(9, &array(12, many)),
        one_key(9, &array(8, many)),
        one_key(9, &array(8, 1 << 20)),
        one_key(9, &array(9, many)),
        one_key(9, &(0..4).flat_map(|_| array(9, 1 << 30)).collect::<Vec<_>>()),
        one_tensor(b"t", &[1 << 40], 0, 0, 4),
        one_tensor(b"t", &[1], 0, u64::MAX - 31, 4),
    ] {
        let (result, peak) = peak_bytes(|| open_gguf(&bytes));
        let error = refusal(result);
        assert!(matches!(error, Error::Truncated { .. } | Error::Malformed { .. }), "{error}");
        assert!(peak < 1 << 12, "{peak} bytes: {error}");
    }
}

#[test]
fn small_values_are_not_blown_up_in_memory() {
    let mut metadata = GgufMetadata::default();
    metadata.insert("bytes", GgufValue::Array(GgufArray::U8(vec![1; 1 << 20])));
    metadata.insert("empty", GgufValue::Array(GgufArray::Array(vec![GgufArray::U8(Vec::new()); 1 << 16])));
    let bytes = write_gguf(&metadata, &[]);
    let (result, peak) = peak_bytes(|| open_gguf(&bytes));
    assert!(result.is_ok());
    assert!(peak < 10 * bytes.len() as u64, "{peak} bytes for a file of {}", bytes.len());
}

proptest! {
    #[test]
    fn flipped_bits_break_nothing(flips in prop::collection::vec(any::<prop::sample::Index>(), 1..4)) {
        let mut bytes = small();
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let (result, peak) = peak_bytes(|| open_gguf(&bytes));
        prop_assert!(peak < 1 << 16, "{peak} bytes");
        if let Ok(model) = result {
            check_promises(&model.catalog);
        }
    }

    #[test]
    fn noise_behind_the_front_breaks_nothing(
        counts in (0u64..4, 0u64..4),
        noise in prop::collection::vec(prop_oneof![Just(0u8), 0u8..16, any::<u8>()], 0..256),
    ) {
        let bytes = [front(3, counts.0, counts.1), noise].concat();
        if let Ok(model) = open_gguf(&bytes) {
            check_promises(&model.catalog);
        }
    }
}
