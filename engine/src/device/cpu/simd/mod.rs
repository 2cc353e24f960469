//! Instruction sets.

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SimdLevel {
    /// Plain Rust.
    Scalar,
}

impl SimdLevel {
    /// The best that this machine has.
    pub fn detect() -> Self {
        Self::Scalar
    }

    /// For a person.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
        }
    }
}
