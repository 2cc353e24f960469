//! Matrices times one vector, with what comes before and after in the same dispatch. Its twin is the sequence of the
//! twins of the commands that it stands for.

use super::flat_groups;
use crate::tensor::TensorId;

/// The most matrices that one dispatch takes: queries, keys and values.
pub const FUSED_MATRICES_MAX: usize = 3;

/// A norm of what the matrices multiply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusedNorm {
    /// (columns), F32.
    pub weight: TensorId,
    /// Added to the mean of squares.
    pub epsilon: f32,
    /// Whether the command before it has handed x on, times the weight and with its squares.
    pub is_handed: bool,
}

/// One of the matrices, and what is added to its product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FusedMatrix {
    /// (rows, columns).
    pub weights: TensorId,
    /// Rows of the whole matrix.
    pub rows: u32,
    /// (rows), F32.
    pub bias: Option<TensorId>,
}

/// Where the products go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FusedOut {
    /// From the tensor's start on.
    Tensor(TensorId),
    /// Into memory between two fused commands that no tensor of the program stands for, from this element on.
    Between(u32),
}

/// What happens to a product, with its bias, on its way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// Nothing.
    Store,
    /// It is multiplied, and added to what is there.
    Add {
        /// By what.
        factor: f32,
    },
    /// The first matrix's product, through an [`Activation`](super::Activation), times the second one's.
    Gated {
        /// Which.
        activation: u32,
    },
    /// It is multiplied, and bent below a cap.
    Scale {
        /// By what.
        factor: f32,
        /// 0: none.
        softcap: f32,
    },
}

impl Epilogue {
    /// As the shader counts them.
    pub fn number(self) -> u32 {
        match self {
            Self::Store => 0,
            Self::Add { .. } => 1,
            Self::Gated { .. } => 2,
            Self::Scale { .. } => 3,
        }
    }
}

/// Up to [`FUSED_MATRICES_MAX`] matrices of one format and width, which lie one below the other if there are several.
#[derive(Clone, Debug, PartialEq)]
pub struct FusedMatvec {
    /// (columns).
    pub x: TensorId,
    /// Of x, before the product.
    pub norm: Option<FusedNorm>,
    /// The matrices.
    pub matrices: Vec<FusedMatrix>,
    /// Length of a row; a multiple of 4.
    pub columns: u32,
    /// Where the products go, one behind the other.
    pub out: FusedOut,
    /// What happens on the way.
    pub epilogue: Epilogue,
    /// The weight of the norm through which the next command reads what this one adds to, if that is handed on: the sums
    /// times the weight, and their squares, for memory between commands. Each workgroup of the next command would have to
    /// multiply and to square all of it otherwise.
    pub hands_on: Option<TensorId>,
}

impl FusedMatvec {
    /// A bit for each matrix that has a bias.
    pub fn biases(&self) -> u32 {
        self.matrices.iter().enumerate().map(|(nth, matrix)| u32::from(matrix.bias.is_some()) << nth).sum()
    }

    /// Whether what it writes can be handed on: sums of one matrix, four of which share a sum of squares, and four of
    /// those a load.
    pub fn can_hand_on(&self) -> bool {
        matches!(self.epilogue, Epilogue::Add { .. })
            && self.matrices.len() == 1
            && self.rows().is_multiple_of(16)
            && matches!(self.out, FusedOut::Tensor(_))
    }

    /// Elements that it hands on: the sums, and those of their squares.
    pub fn handed_elements(&self) -> u32 {
        if self.hands_on.is_some() { self.rows() + self.rows() / 4 } else { 0 }
    }

    /// Rows in all.
    pub fn rows(&self) -> u32 {
        self.matrices.iter().map(|matrix| matrix.rows).sum()
    }

    /// For a part with so many rows, of which a workgroup computes four.
    pub fn groups(&self, rows: u32) -> [u32; 3] {
        flat_groups(match self.epilogue {
            Epilogue::Gated { .. } => (rows / 2).div_ceil(2),
            _ => rows.div_ceil(4),
        })
    }
}
