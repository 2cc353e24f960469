//! A GGUF model in several files, as llama.cpp's `gguf-split` writes them: `NAME-00001-of-00003.gguf` and so on.
//!
//! Each part is a whole GGUF file with tensors of its own and three keys: `split.no` (from 0), `split.count` and
//! `split.tensors.count` (of all parts together). What the model says about itself stands in the first part alone.

use std::rc::Rc;

use super::{Header, add_part, read_header};
use crate::{
    Error, Result,
    file::{ByteSource, Catalog, Folder, GgufMetadata},
};

/// How many parts a model may have.
const PARTS_MAX: u64 = 4096;

/// A part's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartName {
    /// What all parts have in common: "model" of `model-00002-of-00003.gguf`.
    pub stem: String,
    /// Which part it is, from 1.
    pub number: u64,
    /// How many there are.
    pub count: u64,
}

impl PartName {
    /// Takes a file's name apart; `None` if it is not that of a part.
    pub fn parse(file: &str) -> Option<Self> {
        let (rest, count) = file.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| {
            let is_plain = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            is_plain.then(|| text.parse().ok()).flatten()
        };
        let (number, count) = (digits(number)?, digits(count)?);
        (!stem.is_empty() && (1..=count).contains(&number)).then(|| Self { stem: stem.to_owned(), number, count })
    }

    /// The name of another part of the same model.
    pub fn of_part(&self, number: u64) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }
}

/// How many parts a file's model has; `None` if the file is a whole model.
fn count_of(metadata: &GgufMetadata) -> Result<Option<u64>> {
    match metadata.find_u64("split.count")? {
        None | Some(0 | 1) => Ok(None),
        Some(count) if count > PARTS_MAX => {
            Err(Error::config("split.count", format_args!("is {count}; at most {PARTS_MAX} parts are read")))
        }
        count => Ok(count),
    }
}

/// Reads the headers of all parts, if `file` is one of several; gives `header` back if it is not.
pub(super) async fn read_parts(
    folder: &dyn Folder,
    file: &str,
    header: Header,
) -> Result<std::result::Result<(Catalog, GgufMetadata), Header>> {
    let Some(count) = count_of(&header.metadata)? else { return Ok(Err(header)) };
    let name = PartName::parse(file).filter(|name| name.count == count).ok_or_else(|| {
        let number = header.metadata.find_u64("split.no").ok().flatten().unwrap_or(0) + 1;
        let form = format!("NAME-{number:05}-of-{count:05}.gguf");
        let reason = format!("it is part {number} of {count}, but its name is not {form}, as the others' names need");
        Error::malformed(file, reason)
    })?;
    drop(header);
    let mut catalog = Catalog::default();
    let mut first = None;
    let mut promised = None;
    for number in 1..=count {
        let part = name.of_part(number);
        let source = open_part(folder, &part).await?;
        let header = read_header(&*source).await?;
        check_part(&part, &header.metadata, number, count)?;
        let promise = header.metadata.find_u64("split.tensors.count")?;
        if let (Some(earlier), Some(promise)) = (promised, promise)
            && earlier != promise
        {
            let reason = format!("it speaks of {promise} tensors in all parts, the parts before it of {earlier}");
            return Err(Error::malformed(part, reason));
        }
        promised = promised.or(promise);
        let metadata = add_part(&mut catalog, source, header)?;
        first.get_or_insert(metadata);
    }
    let found = (catalog.tensors.len() + catalog.unsupported.len()) as u64;
    if let Some(promised) = promised
        && promised != found
    {
        let reason = format!("its parts promise {promised} tensors, but hold {found}");
        return Err(Error::malformed(name.of_part(1), reason));
    }
    Ok(Ok((catalog, first.unwrap_or_default())))
}

/// Opens a part, which must be there.
pub(super) async fn open_part(folder: &dyn Folder, file: &str) -> Result<Rc<dyn ByteSource>> {
    folder.open(file).await?.ok_or_else(|| Error::MissingFile { file: file.to_owned() })
}

/// Checks that a file is the part that its name says.
fn check_part(file: &str, metadata: &GgufMetadata, number: u64, count: u64) -> Result<()> {
    let found = metadata.find_u64("split.count")?.unwrap_or(1);
    if found != count {
        let reason = format!("it says that its model has {found} parts, but its name says {count}");
        return Err(Error::malformed(file, reason));
    }
    match metadata.u64("split.no")?.checked_add(1) {
        Some(found) if found == number => Ok(()),
        found => {
            let found = found.unwrap_or(u64::MAX);
            Err(Error::malformed(file, format_args!("it says that it is part {found}, but its name says {number}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_and_put_together() {
        let name = PartName::parse("a-b-00002-of-00013.gguf").unwrap();
        assert_eq!((name.stem.as_str(), name.number, name.count), ("a-b", 2, 13));
        assert_eq!(name.of_part(13), "a-b-00013-of-00013.gguf");
        for other in [
            "model.gguf",
            "model-00003-of-00002.gguf",
            "model-00000-of-00002.gguf",
            "model-1-of-2.gguf",
            "-00001-of-00002.gguf",
            "model-00001-of-00002.safetensors",
            "model-0000a-of-00002.gguf",
        ] {
            assert_eq!(PartName::parse(other), None, "{other}");
        }
    }
}
