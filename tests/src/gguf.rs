//! A GGUF fixture taken apart, to be put together another way.

use hearth_engine::{
    file::{
        Catalog, Documents, GgufMetadata, GgufTensor, GgufValue, MemoryFolder, OpenedModel, open_model, write_gguf,
    },
    tensor::Format,
};

use crate::sessions::open;

/// What a GGUF is made of.
pub struct Gguf {
    /// What it says about itself.
    pub metadata: GgufMetadata,
    /// Its tensors, with their bytes.
    pub tensors: Vec<GgufTensor>,
}

impl Gguf {
    /// The tiny model of an architecture.
    pub fn of(name: &str) -> Self {
        Self::read(&format!("tests/fixtures/architectures/{name}.gguf"))
    }

    /// A file of the repository.
    pub fn read(path: &str) -> Self {
        let OpenedModel { catalog, documents, .. } = open(path);
        let Documents::Gguf { metadata, .. } = documents else { panic!("{path} is a GGUF") };
        Self { metadata, tensors: tensors_of(&catalog) }
    }

    /// With one more tensor, of zeros.
    pub fn with(self, name: &str, shape: &[u64]) -> Self {
        let bytes = vec![0; 4 * shape.iter().product::<u64>() as usize];
        self.with_tensor(GgufTensor { name: name.into(), shape: shape.to_vec(), format: Format::F32, bytes })
    }

    /// With one more tensor.
    pub fn with_tensor(mut self, tensor: GgufTensor) -> Self {
        self.tensors.push(tensor);
        self
    }

    /// Without a tensor that is there.
    pub fn without(mut self, name: &str) -> Self {
        self.take(name);
        self
    }

    /// Takes a tensor out.
    pub fn take(&mut self, name: &str) -> GgufTensor {
        let at = self.tensors.iter().position(|tensor| tensor.name == name);
        self.tensors.remove(at.unwrap_or_else(|| panic!("{name} is there")))
    }

    /// With another value of the metadata.
    pub fn set(mut self, key: &str, value: GgufValue) -> Self {
        self.metadata.insert(key, value);
        self
    }

    /// Opens the file that it makes.
    pub fn open(&self) -> OpenedModel {
        let folder = MemoryFolder::new("gguf").with("m.gguf", write_gguf(&self.metadata, &self.tensors));
        pollster::block_on(open_model(&folder, Some("m.gguf"))).expect("its headers are sound")
    }
}

/// A catalog's tensors, with their bytes.
pub fn tensors_of(catalog: &Catalog) -> Vec<GgufTensor> {
    let read = |tensor| pollster::block_on(catalog.read_rows(tensor, 0..tensor.rows())).expect("the bytes are there");
    let tensors = catalog.tensors.values();
    let copy = tensors.map(|tensor| GgufTensor {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        format: tensor.format,
        bytes: read(tensor),
    });
    copy.collect()
}
