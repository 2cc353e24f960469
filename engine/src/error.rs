//! What can go wrong inside the engine, with the numbers a person needs to put it right.

use crate::protocol::{Failure, FailureCode, ModelTask};

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which the engine refuses or fails. Each carries the figures that explain it and becomes a
/// [`Failure`] with a code and a cure at the boundary.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A file ends before the bytes it promised.
    #[error("{file} is cut short: byte {needed_bytes} is needed, but it has {available_bytes} bytes")]
    Truncated {
        /// The file's name.
        file: String,
        /// Where the promised bytes end, in bytes from the file's start.
        needed_bytes: u64,
        /// How long the file is.
        available_bytes: u64,
    },
    /// A file breaks the rules of its own format.
    #[error("{file} is damaged or not what its name says: {reason}")]
    Malformed {
        /// The file's name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file that the model cannot do without is absent.
    #[error("{file} is missing")]
    MissingFile {
        /// The file's name.
        file: String,
    },
    /// No model of that name or path.
    #[error("there is no model {model:?}; there are: {available}")]
    UnknownModel {
        /// As the person named it.
        model: String,
        /// The names that would have been found.
        available: String,
    },
    /// A model whose block this engine does not know.
    #[error("the architecture {architecture:?} is not known; known are {known}")]
    UnknownArchitecture {
        /// As the model's file names it.
        architecture: String,
        /// What would have been understood.
        known: String,
    },
    /// A number in the model's configuration that cannot be right or is not supported.
    #[error("the model's configuration is not usable: {field} {reason}")]
    BadConfig {
        /// The configuration's field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor is stored in a way this engine cannot read.
    #[error("the tensor {tensor} is stored as {format}, which is not supported")]
    UnsupportedFormat {
        /// The tensor's name.
        tensor: String,
        /// Its format, as the file names it.
        format: String,
    },
    /// A tensor that the architecture needs is absent.
    #[error("the tensor {tensor} is missing")]
    MissingTensor {
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor's shape disagrees with the configuration.
    #[error("the tensor {tensor} has the shape {found:?}, but the configuration asks for {expected:?}")]
    WrongShape {
        /// The tensor's name.
        tensor: String,
        /// What the configuration implies.
        expected: Vec<u64>,
        /// What the file holds.
        found: Vec<u64>,
    },
    /// A tensor that the architecture, as this engine knows it, has no place for.
    #[error(
        "the tensor {tensor}{} belongs to no part of {architecture} that is known here, and an answer without it would be wrong",
        and_more(*.others)
    )]
    UnexpectedTensor {
        /// The tensor's name.
        tensor: String,
        /// How many more there are.
        others: usize,
        /// What the model was taken for.
        architecture: String,
    },
    /// The tokenizer cannot be built or refuses the text.
    #[error("the tokenizer failed: {reason}")]
    Tokenizer {
        /// What it said.
        reason: String,
    },
    /// The chat template cannot be rendered.
    #[error("the chat template failed: {reason}")]
    Template {
        /// What it said.
        reason: String,
    },
    /// The loaded model is made for another task.
    #[error("{model} {}", wrong_task(*.wanted))]
    WrongTask {
        /// The model's name.
        model: String,
        /// What was asked of it.
        wanted: ModelTask,
    },
    /// A request that contradicts itself or names an impossible value.
    #[error("{field} {reason}")]
    InvalidRequest {
        /// The request's field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A constraint on the answer that cannot be kept: malformed, not supported, too large, or impossible.
    #[error("the {kind} cannot be used: {reason}")]
    Constraint {
        /// What it is: "JSON Schema", "regular expression", ...
        kind: &'static str,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The prompt does not fit the context.
    #[error("the prompt has {prompt_tokens} tokens, but the context holds {context_tokens}")]
    PromptTooLong {
        /// Tokens in the prompt.
        prompt_tokens: usize,
        /// Tokens the context holds.
        context_tokens: usize,
    },
    /// Nothing is loaded.
    #[error("no model is loaded")]
    NotLoaded,
    /// Another generation is under way.
    #[error("another answer is being written")]
    Busy,
    /// The person or the program stopped it.
    #[error("stopped on request")]
    Cancelled,
    /// More memory is needed than there is.
    #[error("{what} {}", shortage(*.requested_bytes, *.available_bytes))]
    OutOfMemory {
        /// What the memory is for.
        what: String,
        /// How much was asked for; 0 if that is not known.
        requested_bytes: u64,
        /// How much there is; 0 if whoever refused does not say.
        available_bytes: u64,
    },
    /// Something that only the person at the machine may do.
    #[error("{what} is not allowed here")]
    NotAllowed {
        /// What was asked for.
        what: String,
    },
    /// A question about documents to an engine that has none to keep them in.
    #[error("this engine keeps no documents")]
    NoLibrary,
    /// No device of the wanted kind.
    #[error("no {wanted} can be used here: {reason}")]
    NoDevice {
        /// What was asked for: "GPU", ...
        wanted: String,
        /// Why there is none.
        reason: String,
    },
    /// The device went away in mid-work.
    #[error("the device was lost: {reason}")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The device refused a command that should have been valid: a fault of the engine or of the driver.
    #[error("the device refused the work: {reason}")]
    DeviceFault {
        /// What the driver said.
        reason: String,
    },
    /// Reading bytes failed outside the engine (disk, network).
    #[error("reading {file} failed: {reason}")]
    Io {
        /// The file's name.
        file: String,
        /// What the system said.
        reason: String,
    },
}

/// Bytes for a person: "2.1 GiB".
pub fn human_bytes(count: u64) -> String {
    let mut value = count as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// How memory falls short, as far as it is known.
fn shortage(requested_bytes: u64, available_bytes: u64) -> String {
    match (requested_bytes, available_bytes) {
        (0, 0) => "has no memory left".to_owned(),
        (requested, 0) => {
            format!("needs {}, which was refused: less is free, and it is not said how much", human_bytes(requested))
        }
        (requested, available) => {
            let (needed, free) = (human_bytes(requested), human_bytes(available));
            // Two figures that read the same would explain nothing.
            if needed == free {
                format!("needs {requested} bytes, but {available} are free")
            } else {
                format!("needs {needed}, but {free} are free")
            }
        }
    }
}

impl Error {
    /// A damaged file.
    pub fn malformed(file: impl Into<String>, reason: impl ToString) -> Self {
        Self::Malformed { file: file.into(), reason: reason.to_string() }
    }

    /// An impossible value in a request.
    pub fn invalid(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::InvalidRequest { field: field.into(), reason: reason.to_string() }
    }

    /// An impossible or unsupported value in a model's configuration.
    pub fn config(field: impl Into<String>, reason: impl ToString) -> Self {
        Self::BadConfig { field: field.into(), reason: reason.to_string() }
    }

    /// The code under which this crosses a boundary.
    pub fn code(&self) -> FailureCode {
        match self {
            Self::Truncated { .. } => FailureCode::Truncated,
            Self::Malformed { .. } => FailureCode::Malformed,
            Self::MissingFile { .. } => FailureCode::MissingFile,
            Self::UnknownModel { .. } => FailureCode::UnknownModel,
            Self::UnknownArchitecture { .. } => FailureCode::UnknownArchitecture,
            Self::BadConfig { .. } => FailureCode::BadConfig,
            Self::UnsupportedFormat { .. } => FailureCode::UnsupportedFormat,
            Self::MissingTensor { .. } => FailureCode::MissingTensor,
            Self::WrongShape { .. } => FailureCode::WrongShape,
            Self::UnexpectedTensor { .. } => FailureCode::UnexpectedTensor,
            Self::Tokenizer { .. } => FailureCode::Tokenizer,
            Self::Template { .. } => FailureCode::Template,
            Self::WrongTask { .. } => FailureCode::WrongTask,
            Self::InvalidRequest { .. } => FailureCode::InvalidRequest,
            Self::Constraint { .. } => FailureCode::Constraint,
            Self::PromptTooLong { .. } => FailureCode::PromptTooLong,
            Self::NotLoaded => FailureCode::NotLoaded,
            Self::Busy => FailureCode::Busy,
            Self::Cancelled => FailureCode::Cancelled,
            Self::OutOfMemory { .. } => FailureCode::OutOfMemory,
            Self::NotAllowed { .. } => FailureCode::NotAllowed,
            Self::NoLibrary => FailureCode::NoLibrary,
            Self::NoDevice { .. } => FailureCode::NoDevice,
            Self::DeviceLost { .. } => FailureCode::DeviceLost,
            Self::DeviceFault { .. } => FailureCode::DeviceFault,
            Self::Io { .. } => FailureCode::Io,
        }
    }

    /// What the person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "Download or copy the file again; it did not arrive whole.",
            Self::Malformed { .. } => "Check that this is the right file, and fetch it again if it is.",
            Self::MissingFile { .. } => "Put the file beside the others, as its publisher lists them.",
            Self::UnknownModel { .. } => {
                "Give a name from models/registry.json, or the path of a model folder or .gguf file."
            }
            Self::UnknownArchitecture { .. } => "Choose a model of a known architecture.",
            Self::BadConfig { .. } => {
                "Compare the model's configuration with its publisher's; it may be damaged or newer than this engine."
            }
            Self::UnsupportedFormat { .. } => "Choose the same model in F16, Q8_0 or Q4_K_M, for example.",
            Self::MissingTensor { .. } | Self::WrongShape { .. } => {
                "The weights and the configuration do not belong together; fetch both from one place."
            }
            Self::UnexpectedTensor { .. } => {
                "Choose another model, or look for a newer version: this one has a part that is not supported yet."
            }
            Self::Tokenizer { .. } => "Fetch tokenizer.json again from where the weights came from.",
            Self::Template { .. } => "Use `complete`, which needs no template, or another model.",
            Self::WrongTask { wanted: ModelTask::Generate, .. } => {
                "Load a language model to write text; this one serves `hearth embed` and document search."
            }
            Self::WrongTask { wanted: ModelTask::Embed, .. } => {
                "Load an embedding model of the BERT family: all-MiniLM-L6-v2, bge, e5 or gte."
            }
            Self::InvalidRequest { .. } => "Correct the value and send the request again.",
            Self::Constraint { .. } => {
                "Change or leave out what it names; docs/structured-output.md lists what can be used."
            }
            Self::PromptTooLong { .. } => {
                "Shorten the prompt, start a new chat, or load the model with a larger context."
            }
            Self::NotLoaded => "Load a model first.",
            Self::Busy => "Wait for the answer to end, or stop it.",
            Self::Cancelled => "Ask again when you like.",
            Self::OutOfMemory { .. } => {
                "Close other programs, choose a smaller context or a smaller model, or run on the CPU."
            }
            Self::NotAllowed { .. } => {
                "Models are chosen on the machine that runs the engine: in the app's window, or with `hearth models add`."
            }
            Self::NoLibrary => {
                "Documents are kept on a disk: search them in the app, in a page that `hearth serve` sends to its own \
                 machine, or with `hearth documents`."
            }
            Self::NoDevice { .. } => "Choose another route, or --device auto.",
            Self::DeviceLost { .. } => {
                "Try again; if it happens again, choose the CPU route or update the graphics driver."
            }
            Self::DeviceFault { .. } => "Choose the CPU route and report this with the output of `hearth probe`.",
            Self::Io { .. } => "Check the path, the connection and the permissions, then try again.",
        }
    }
}

/// Of how many tensors only the first is named.
fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(" and {others} more") }
}

/// What a model that is asked for this cannot do, in words.
fn wrong_task(wanted: ModelTask) -> &'static str {
    match wanted {
        ModelTask::Generate => "turns texts into vectors; it writes none",
        ModelTask::Embed => "writes text; it makes no vectors of texts",
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_told_in_units_and_only_as_far_as_it_is_known() {
        let text = |requested_bytes, available_bytes| {
            Error::OutOfMemory { what: "it".into(), requested_bytes, available_bytes }.to_string()
        };
        assert_eq!(text(9 << 28, 3 << 29), "it needs 2.2 GiB, but 1.5 GiB are free");
        assert_eq!(text(1 << 20, (1 << 20) - 1), "it needs 1.0 MiB, but 1024.0 KiB are free");
        assert_eq!(text((1 << 30) + 1, 1 << 30), "it needs 1073741825 bytes, but 1073741824 are free");
        assert_eq!(text(1 << 30, 0), "it needs 1.0 GiB, which was refused: less is free, and it is not said how much");
        assert_eq!(text(0, 0), "it has no memory left");
        assert_eq!(human_bytes(1023), "1023 B");
    }
}
