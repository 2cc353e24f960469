//! GGUF in several files.

use hearth_engine::{
    Error,
    file::{Documents, GgufMetadata, GgufTensor, GgufValue, MemoryFolder, OpenedModel, survey_model, write_gguf},
    tensor::Format,
};

use crate::{
    files::{check_promises, open, open_gguf, refusal, repository},
    gguf::{metadata, tensor},
};

const PARTS: u16 = 3;

fn name(number: u16) -> String {
    format!("m-{number:05}-of-{PARTS:05}.gguf")
}

/// A part as it should be: tensors of its own, and what the model says in the first.
struct Part {
    metadata: GgufMetadata,
    tensors: Vec<GgufTensor>,
}

impl Part {
    fn new(number: u16) -> Self {
        let mut metadata = GgufMetadata::default();
        if number == 1 {
            metadata.insert("general.architecture", GgufValue::String("llama".to_owned()));
        }
        metadata.insert("split.no", GgufValue::U16(number - 1));
        metadata.insert("split.count", GgufValue::U16(PARTS));
        metadata.insert("split.tensors.count", GgufValue::I32(6));
        let tensors = (0..2).map(|nth| tensor(&format!("t.{number}.{nth}"), &[2, 32], Format::Q8_0)).collect();
        Self { metadata, tensors }
    }
}

/// All parts, after one of them was changed.
fn folder(number: u16, change: impl Fn(&mut Part)) -> MemoryFolder {
    (1..=PARTS).fold(MemoryFolder::new("model"), |folder, each| {
        let mut part = Part::new(each);
        if each == number {
            change(&mut part);
        }
        folder.with(&name(each), write_gguf(&part.metadata, &part.tensors))
    })
}

fn whole() -> MemoryFolder {
    folder(0, |_| {})
}

#[test]
fn any_part_stands_for_all() {
    let first = open(&whole(), Some(&name(1))).unwrap();
    assert_eq!(first.catalog.sources.len(), usize::from(PARTS));
    assert_eq!(first.catalog.tensors.len(), 6);
    assert_eq!(first.catalog.tensor("t.3.1").unwrap().source, 2);
    check_promises(&first.catalog);
    for number in 2..=PARTS {
        let other = open(&whole(), Some(&name(number))).unwrap();
        assert_eq!(other.catalog.tensors, first.catalog.tensors);
        assert_eq!(metadata(other).string("general.architecture").unwrap(), "llama");
    }
}

#[test]
fn a_missing_part_is_named() {
    for number in 1..=PARTS {
        let given = name(if number == 1 { 2 } else { 1 });
        let error = refusal(open(&whole().without(&name(number)), Some(&given)));
        assert_eq!(error, Error::MissingFile { file: name(number) });
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let insert = |key: &'static str, value: GgufValue| {
        move |part: &mut Part| {
            part.metadata.insert(key, value.clone());
        }
    };
    let refused = |folder: MemoryFolder, reason: &str| {
        let error = refusal(open(&folder, Some(&name(1))));
        let Error::Malformed { reason: found, .. } = &error else { panic!("{error}") };
        assert!(found.contains(reason), "{error}");
    };
    refused(folder(2, insert("split.no", GgufValue::U16(2))), "it is part 3, but its name says 2");
    refused(folder(3, insert("split.count", GgufValue::U16(4))), "has 4 parts, but its name says 3");
    refused(folder(2, insert("split.count", GgufValue::U16(1))), "has 1 parts");
    refused(folder(2, insert("split.tensors.count", GgufValue::I32(7))), "of 7 tensors in all parts");
    refused(folder(3, |part| drop(part.tensors.pop())), "promise 6 tensors, but hold 5");
    refused(folder(3, |part| part.tensors[0].name = "t.1.0".to_owned()), "\"t.1.0\" is there twice");
    refused(folder(1, insert("split.count", GgufValue::U16(4))), "its name is not NAME-00001-of-00004.gguf");
    let without_number = folder(2, |part| {
        part.metadata = GgufMetadata::default();
        part.metadata.insert("split.count", GgufValue::U16(PARTS));
    });
    assert!(
        matches!(refusal(open(&without_number, Some(&name(1)))), Error::BadConfig { field, .. } if field == "split.no")
    );
}

#[test]
fn a_part_under_another_name_says_what_its_name_should_be() {
    let part = Part::new(2);
    let error = refusal(open_gguf(&write_gguf(&part.metadata, &part.tensors)));
    let reason = "it is part 2 of 3, but its name is not NAME-00002-of-00003.gguf";
    assert!(error.to_string().contains(reason), "{error}");
}

#[test]
fn a_part_that_is_cut_short_is_named() {
    let whole_part = write_gguf(&Part::new(2).metadata, &Part::new(2).tensors);
    for length in [0, 30, whole_part.len() / 2, whole_part.len() - 32] {
        let folder = whole().with(&name(2), &whole_part[..length]);
        let error = refusal(open(&folder, Some(&name(1))));
        assert!(matches!(&error, Error::Truncated { file, .. } if *file == name(2)), "{length}: {error}");
    }
}

/// `tests/conformance/gguf_split.py` had gguf-py write the parts.
#[test]
fn the_parts_of_another_writer_are_the_whole_file() {
    let part = |number: u16| format!("tiny-llama-split-{number:05}-of-{PARTS:05}.gguf");
    let folder = (1..=PARTS).fold(MemoryFolder::new("fixtures"), |folder, number| {
        folder.with(&part(number), repository(&format!("tests/fixtures/{}", part(number))))
    });
    let whole = open_gguf(&repository("tests/fixtures/tiny-llama-q8_0.gguf")).unwrap();
    for number in 1..=PARTS {
        let split = open(&folder, Some(&part(number))).unwrap();
        assert_same_weights(&split, &whole);
        let (Documents::Gguf { metadata: split, .. }, Documents::Gguf { metadata: whole, .. }) =
            (&split.documents, &whole.documents)
        else {
            panic!("both are GGUF files")
        };
        for (key, value) in whole.iter() {
            assert_eq!(split.get(key), Some(value), "{key}");
        }
    }
}

fn assert_same_weights(split: &OpenedModel, whole: &OpenedModel) {
    assert!(split.catalog.tensors.keys().eq(whole.catalog.tensors.keys()));
    for (name, tensor) in &whole.catalog.tensors {
        let other = split.catalog.tensor(name).unwrap();
        assert_eq!((&other.shape, other.format), (&tensor.shape, tensor.format), "{name}");
        let read = |model: &OpenedModel| {
            let tensor = model.catalog.tensor(name).unwrap();
            pollster::block_on(model.catalog.read_rows(tensor, 0..tensor.rows())).unwrap()
        };
        assert_eq!(read(split), read(whole), "{name}");
    }
}

/// Q8_K is a format of intermediate sums that no file stores.
#[test]
fn formats_that_are_not_read_can_be_looked_at() {
    let mut bytes = write_gguf(
        &GgufMetadata::default(),
        &[tensor("a", &[2, 32], Format::F32), tensor("b", &[4, 32], Format::F32), tensor("c", &[8], Format::F32)],
    );
    let at = bytes.windows(9).position(|window| window == b"\x01\0\0\0\0\0\0\0b").unwrap();
    // Behind its name: the number of sides, two sides, then the type.
    bytes[at + 9 + 4 + 16] = 15;
    assert!(matches!(refusal(open_gguf(&bytes)), Error::UnsupportedFormat { tensor, .. } if tensor == "b"));
    let folder = MemoryFolder::new("model").with("model.gguf", bytes);
    let catalog = pollster::block_on(survey_model(&folder, Some("model.gguf"))).unwrap().catalog;
    assert_eq!(catalog.tensors.len(), 2);
    let unread = &catalog.unsupported[0];
    assert_eq!((unread.name.as_str(), unread.format.as_str()), ("b", "Q8_K"));
    assert_eq!((unread.shape.as_slice(), unread.elements(), unread.len_bytes), (&[4, 32][..], 128, 512));
}
