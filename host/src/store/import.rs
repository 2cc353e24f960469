//! Models that lie on the disk already, taken into the store; and the index made anew from what lies there.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use hearth_engine::file::{POOLING_FILE, TEMPLATE_FILES};

use super::{
    BlobId, BlobStore, CHUNK_BYTES, INDEX_FILE, Manifest, ModelFile, NewModel, Result, Staged, StoreError, StoredModel,
    blob::hash_stream,
    folder::{MANIFEST_FILE, link},
    models::insert,
    place::remove_file,
    room::entries,
};
use crate::model_path::{belongs_to_model, find_path};

/// How a file comes into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportMode {
    /// As a second name for the person's own file, which takes no room but must not be changed any more.
    Link,
    /// As a copy.
    Copy,
}

impl BlobStore {
    /// Takes the model at a path in. `watch` hears how many bytes were read, and may end it: then nothing is on the
    /// list, and what was taken in is used when the same command comes again.
    pub fn import(
        &self,
        path: &Path,
        mode: ImportMode,
        name: Option<&str>,
        watch: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<StoredModel> {
        self.require_writable()?;
        let unreadable = |error: hearth_engine::Error| StoreError::Io {
            file: path.display().to_string(),
            reason: error.to_string(),
        };
        let found = find_path(path).map_err(unreadable)?.ok_or_else(|| StoreError::Io {
            file: path.display().to_string(),
            reason: "no model is there".to_owned(),
        })?;
        let mut files = Vec::new();
        let mut total_bytes = 0;
        let below = [POOLING_FILE].into_iter().chain(TEMPLATE_FILES).map(|file| found.folder.join(file));
        for file in entries(&found.folder)?.into_iter().chain(below).filter(|file| file.is_file()) {
            let inside = file.strip_prefix(&found.folder).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            if belongs_to_model(&found, &inside) {
                total_bytes += fs::metadata(&file).map_err(|error| StoreError::io(&file, &error))?.len();
                files.push((inside, file));
            }
        }
        if files.is_empty() {
            return Err(StoreError::MissingBlob { file: path.join("config.json").display().to_string() });
        }
        if mode == ImportMode::Copy {
            self.require_room(total_bytes)?;
        }
        let mut taken = Vec::new();
        for (path, file) in files {
            let staged = self.stage(&file, mode, watch)?;
            self.place(&staged)?;
            taken.push(ModelFile { path, bytes: staged.bytes, sha256: staged.blob, urls: Vec::new() });
        }
        let place = found.file.as_ref().map_or_else(|| found.folder.clone(), |file| found.folder.join(file));
        let source = format!("file:{}", place.display());
        let (is_named, name) = (name.is_some(), name.unwrap_or(&found.name).to_owned());
        self.commit(&NewModel { name, is_named, source, revision: String::new(), files: taken })
    }

    /// Hashes a file, and lays it or a link to it beside the blobs.
    fn stage(&self, from: &Path, mode: ImportMode, watch: &mut dyn FnMut(u64) -> Result<()>) -> Result<Staged> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let failed = |error: io::Error| StoreError::io(from, &error);
        let from = fs::canonicalize(from).map_err(failed)?;
        let folder = self.partial_folder();
        fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, &error))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("import-{}-{number}", std::process::id()));
        remove_file(&path)?;
        let input = File::open(&from).map_err(|error| StoreError::io(&from, &error))?;
        let mut copy = match mode {
            ImportMode::Link => None,
            ImportMode::Copy => Some(File::create(&path).map_err(|error| StoreError::io(&path, &error))?),
        };
        let staged = (|| {
            let mut take = |chunk: &[u8]| -> Result<()> {
                if let Some(copy) = &mut copy {
                    copy.write_all(chunk).map_err(|error| StoreError::io(&path, &error))?;
                }
                watch(chunk.len() as u64)
            };
            let (blob, bytes, table) = hash_stream(input, CHUNK_BYTES, &mut take)?;
            match &copy {
                Some(copy) => copy.sync_all().map_err(|error| StoreError::io(&path, &error))?,
                None => link(&from, &path)?,
            }
            Ok(Staged { path: path.clone(), blob, bytes, table, is_linked: copy.is_none() })
        })();
        if staged.is_err() {
            // What was wrong is said already.
            let _ = remove_file(&path);
        }
        staged
    }

    /// Makes the index anew from the manifests in the models' folders, and gives the names of the models. The old
    /// index stays beside it, under another name. Pins and the quota are forgotten.
    pub fn rebuild(root: &Path, watch: &mut dyn FnMut(u64) -> Result<()>) -> Result<(Self, Vec<String>)> {
        for ending in ["", "-wal", "-shm"] {
            let old = root.join(format!("{INDEX_FILE}{ending}"));
            let aside = root.join(format!("damaged-{INDEX_FILE}{ending}"));
            match fs::rename(&old, &aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(&old, &error)),
                _ => {}
            }
        }
        let store = Self::open(root)?;
        store.require_writable()?;
        let mut manifests: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
        for model in entries(&root.join("models"))? {
            for folder in entries(&model)? {
                let file = folder.join(MANIFEST_FILE);
                if let Ok(made) = fs::metadata(&file).and_then(|metadata| metadata.modified()) {
                    manifests.push((made, file));
                }
            }
        }
        // Of two states of a model the later one counts.
        manifests.sort();
        let mut names = Vec::new();
        for (_, file) in manifests {
            if let Some(name) = store.readmit(&file, watch)? {
                names.retain(|known| *known != name);
                names.push(name);
            }
        }
        Ok((store, names))
    }

    /// Puts the model of a manifest on the list, if all its blobs are there and right.
    fn readmit(&self, file: &Path, watch: &mut dyn FnMut(u64) -> Result<()>) -> Result<Option<String>> {
        let text = fs::read_to_string(file).map_err(|error| StoreError::io(file, &error))?;
        let Ok(manifest) = serde_json::from_str::<Manifest>(&text) else { return Ok(None) };
        let is_its_own = file.parent() == Some(&*self.root.join(Self::folder_of(&manifest)));
        if !is_its_own || !crate::is_plain_name(&manifest.name) {
            return Ok(None);
        }
        for file in &manifest.files {
            if self.blob_row(&file.sha256)?.is_none() && !self.readmit_blob(&file.sha256, watch)? {
                return Ok(None);
            }
        }
        let transaction = self.change()?;
        self.make_folder(&manifest)?;
        insert(&transaction, &manifest).map_err(self.fault())?;
        transaction.commit().map_err(self.fault())?;
        Ok(Some(manifest.name))
    }

    fn readmit_blob(&self, blob: &BlobId, watch: &mut dyn FnMut(u64) -> Result<()>) -> Result<bool> {
        watch(0)?;
        Ok(self.holds(blob)? == super::Held::Whole)
    }
}
