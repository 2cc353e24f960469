//! What tells one architecture from another, as a table.

use crate::{Error, Result};

/// An architecture that the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// `model_type` in config.json and `general.architecture` in GGUF.
    pub name: &'static str,
    /// Whether a GGUF stores the rows of its query and key matrices so that the pairs which rope turns are neighbours.
    pub gguf_rope_interleaved: bool,
}

/// All known architectures. Adding one is a line here and a golden test.
const KNOWN: &[Architecture] = &[Architecture { name: "llama", gguf_rope_interleaved: true }];

impl Architecture {
    /// The architecture of that name.
    pub fn find(name: &str) -> Result<Self> {
        KNOWN.iter().find(|known| known.name == name).copied().ok_or_else(|| Error::UnknownArchitecture {
            architecture: name.to_owned(),
            known: KNOWN.iter().map(|known| known.name).collect::<Vec<_>>().join(", "),
        })
    }
}
