//! Files that a person chose in the page. They are read in slices: no file is ever whole in memory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    rc::Rc,
};

use wasm_bindgen_futures::JsFuture;
use web_sys::Blob;

use super::http::describe;
use crate::{
    Error, Result,
    file::{BoxedFuture, ByteSource, Folder, choose_gguf, gguf_name},
    protocol::ListedModel,
    runtime::ModelLocation,
};

/// What files without a folder around them are called.
const LOOSE_NAME: &str = "chosen-files";

/// All that were handed in so far.
#[derive(Default)]
pub struct ChosenFiles(RefCell<BTreeMap<String, Chosen>>);

/// The files of one choice.
struct Chosen {
    /// The name under which they are listed, once they are.
    name: Option<String>,
    folder: Rc<BlobFolder>,
}

impl ChosenFiles {
    /// Takes files in under a key. `paths` say where each lies; a folder that all of them share is left out. With a
    /// name they are listed at once: the page had them listed before its engine was started anew.
    pub fn offer(&self, key: String, name: Option<String>, paths: &[String], files: Vec<Blob>) {
        let root = common_folder(paths);
        let inner = |path: &String| match &root {
            Some(root) => path[root.len() + 1..].to_owned(),
            None => path.clone(),
        };
        let files = paths.iter().map(inner).zip(files).collect();
        let folder = Rc::new(BlobFolder { name: root.unwrap_or_else(|| LOOSE_NAME.to_owned()), files });
        self.0.borrow_mut().insert(key, Chosen { name, folder });
    }

    /// Lists what was offered under a key, and gives the name under which it is found from now on. What is no model is
    /// let go of.
    pub fn add(&self, key: &str, taken: &[String]) -> Result<String> {
        let added = self.list_as(key, taken);
        if added.is_err() {
            self.0.borrow_mut().remove(key);
        }
        added
    }

    fn list_as(&self, key: &str, taken: &[String]) -> Result<String> {
        let mut all = self.0.borrow_mut();
        let used: BTreeSet<String> =
            all.values().filter_map(|chosen| chosen.name.clone()).chain(taken.iter().cloned()).collect();
        let Some(chosen) = all.get_mut(key) else {
            return Err(Error::UnknownModel {
                model: key.to_owned(),
                available: "files chosen in this page".to_owned(),
            });
        };
        if let Some(name) = &chosen.name {
            return Ok(name.clone());
        }
        let file = chosen.folder.gguf()?;
        if file.is_none() && !chosen.folder.files.contains_key("config.json") {
            return Err(Error::MissingFile { file: "a .gguf file, or a config.json with its weights,".to_owned() });
        }
        let plain = file.as_deref().map_or_else(|| chosen.folder.name.clone(), gguf_name);
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let name = std::iter::once(plain.clone()).chain(numbered).find(|name| !used.contains(name)).unwrap_or(plain);
        chosen.name = Some(name.clone());
        Ok(name)
    }

    /// Lets go of a model's files; whether there were any.
    pub fn remove(&self, name: &str) -> bool {
        let mut all = self.0.borrow_mut();
        let before = all.len();
        all.retain(|_, chosen| chosen.name.as_deref() != Some(name));
        all.len() < before
    }

    /// Finds a listed model.
    pub fn find(&self, name: &str) -> Result<Option<ModelLocation>> {
        let all = self.0.borrow();
        let Some(chosen) = all.values().find(|chosen| chosen.name.as_deref() == Some(name)) else { return Ok(None) };
        let file = chosen.folder.gguf()?;
        Ok(Some(ModelLocation { name: name.to_owned(), folder: chosen.folder.clone(), file }))
    }

    /// The listed models.
    pub fn list(&self) -> Vec<ListedModel> {
        let names = self.0.borrow();
        let names = names.values().filter_map(|chosen| chosen.name.clone());
        names.map(|name| ListedModel { name, is_added: true, ..ListedModel::default() }).collect()
    }
}

/// The folder in which all paths lie, if there is one.
fn common_folder(paths: &[String]) -> Option<String> {
    let first = |path: &String| path.split_once('/').map(|(folder, _)| folder.to_owned());
    let root = first(paths.first()?)?;
    paths.iter().all(|path| first(path).as_ref() == Some(&root)).then_some(root)
}

/// Chosen files as a folder.
struct BlobFolder {
    name: String,
    files: BTreeMap<String, Blob>,
}

impl BlobFolder {
    fn gguf(&self) -> Result<Option<String>> {
        choose_gguf(&self.name, self.files.keys())
    }
}

impl Folder for BlobFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn open<'a>(&'a self, name: &'a str) -> BoxedFuture<'a, Result<Option<Rc<dyn ByteSource>>>> {
        let found = self.files.get(name).map(|blob| BlobFile { name: name.to_owned(), blob: blob.clone() });
        Box::pin(std::future::ready(Ok(found.map(|file| Rc::new(file) as Rc<dyn ByteSource>))))
    }
}

/// A chosen file.
struct BlobFile {
    name: String,
    blob: Blob,
}

impl ByteSource for BlobFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len_bytes(&self) -> u64 {
        self.blob.size() as u64
    }

    fn read(&self, range: Range<u64>) -> BoxedFuture<'_, Result<Vec<u8>>> {
        Box::pin(async move {
            let available_bytes = self.len_bytes();
            if range.end > available_bytes || range.start > range.end {
                return Err(Error::Truncated { file: self.name.clone(), needed_bytes: range.end, available_bytes });
            }
            let describe = |error| describe(&self.name, &error);
            let slice = self.blob.slice_with_f64_and_f64(range.start as f64, range.end as f64).map_err(describe)?;
            // A file that was changed or moved since it was chosen is refused here.
            let buffer = JsFuture::from(slice.array_buffer()).await.map_err(describe)?;
            let bytes = js_sys::Uint8Array::new(&buffer).to_vec();
            if bytes.len() as u64 != range.end - range.start {
                let available_bytes = range.start + bytes.len() as u64;
                return Err(Error::Truncated { file: self.name.clone(), needed_bytes: range.end, available_bytes });
            }
            Ok(bytes)
        })
    }
}
