//! Small files, written byte by byte.

use std::{cell::RefCell, ops::Range, rc::Rc};

use hearth_engine::{
    Error, Result,
    file::{BoxedFuture, ByteSource, Catalog, Folder, MemoryFolder, OpenedModel, open_model},
};

/// A file of the repository.
pub fn repository(path: &str) -> Vec<u8> {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of the repository, as text.
pub fn repository_text(path: &str) -> String {
    String::from_utf8(repository(path)).unwrap()
}

/// A safetensors file: a length, a header, and so many bytes that count upwards.
pub fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend((0..data_bytes).map(|byte| byte as u8));
    bytes
}

/// A folder in Hugging Face layout whose documents are empty objects.
pub fn hugging_face() -> MemoryFolder {
    MemoryFolder::new("model").with("config.json", "{}").with("tokenizer.json", "{}")
}

/// Opens a folder with this file as its weights.
pub fn open_safetensors(bytes: &[u8]) -> Result<Catalog> {
    open(&hugging_face().with("model.safetensors", bytes), None).map(|model| model.catalog)
}

/// Opens a GGUF file.
pub fn open_gguf(bytes: &[u8]) -> Result<OpenedModel> {
    open(&MemoryFolder::new("model").with("model.gguf", bytes), Some("model.gguf"))
}

/// Opens a model.
pub fn open(folder: &dyn Folder, file: Option<&str>) -> Result<OpenedModel> {
    pollster::block_on(open_model(folder, file))
}

/// Why opening failed.
pub fn refusal<T>(result: Result<T>) -> Error {
    result.err().expect("it should have been refused")
}

/// Checks what a [`Catalog`] promises: every tensor lies within its file, is as long as it must be, and its rows can be
/// read.
pub fn check_promises(catalog: &Catalog) {
    for (name, tensor) in &catalog.tensors {
        assert_eq!(name, &tensor.name);
        assert!(tensor.offset_bytes + tensor.len_bytes <= catalog.sources[tensor.source].len_bytes(), "{tensor:?}");
        assert_eq!(tensor.bytes_of_rows(&(0..tensor.rows())), Some(0..tensor.len_bytes), "{tensor:?}");
        let rows = pollster::block_on(catalog.read_rows(tensor, 0..tensor.rows())).unwrap();
        assert_eq!(rows.len() as u64, tensor.len_bytes);
    }
}

/// A source that remembers what was read from it.
pub struct Watched {
    pub bytes: Vec<u8>,
    pub reads: RefCell<Vec<Range<u64>>>,
}

impl ByteSource for Watched {
    fn name(&self) -> &str {
        "watched"
    }

    fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        self.reads.borrow_mut().push(range.clone());
        Box::pin(async move { Ok(self.bytes[range.start as usize..range.end as usize].to_vec()) })
    }
}

/// A folder of one watched file under any name.
pub struct WatchedFolder(pub Rc<Watched>);

impl Folder for WatchedFolder {
    fn name(&self) -> &str {
        "watched"
    }

    fn open<'a>(&'a self, name: &'a str) -> BoxedFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        let found = name.ends_with(".gguf").then(|| Rc::clone(&self.0) as Rc<dyn ByteSource>);
        Box::pin(async move { Ok(found) })
    }
}
