//! Which matrices take which rotation, so that the model computes the same.
//!
//! | | what turns | where it is folded in |
//! |---|---|---|
//! | R1 | the stream | into all that reads it (from the right) and all that adds to it (from the left) |
//! | R2 | each head's values | into the values' projection (left) and attention's output (right) |
//! | R3 | what `down` reads, in blocks | into `down` (right); the model turns its input while it runs |
//!
//! A norm's gains are multiplied into the matrices that read it, since a rotation and gains do not commute.

use hearth_engine::model::{Architecture, ModelConfig, Norms, Role};

use crate::rotation::{Rotation, power_of_two_in};

/// The longest block of R3: a GPU's workgroup turns it at once.
const DOWN_BLOCK_MAX: usize = 128;
/// The shortest that is worth the while.
const DOWN_BLOCK_MIN: usize = 32;

/// The rotations of a model.
#[derive(Clone, Debug, Default)]
pub struct Folding {
    /// R1, and whether norms' gains are folded.
    pub residual: Option<Rotation>,
    /// R2.
    pub values: Option<Rotation>,
    /// R3 and its block.
    pub down: Option<(Rotation, usize)>,
}

impl Folding {
    /// What the architecture allows. A norm behind a branch sees the branch before it is added: there nothing can turn.
    pub fn of(config: &ModelConfig, seed: u64) -> Self {
        let Architecture { norms, fused, .. } = config.architecture;
        if norms != Norms::Pre {
            return Self::default();
        }
        let (head_dim, width) = (config.head_dim as usize, config.feed_forward as usize);
        let down_block = power_of_two_in(width).min(DOWN_BLOCK_MAX);
        Self {
            residual: Some(Rotation::signed(config.hidden as usize, seed)),
            values: (head_dim.is_power_of_two() && !fused).then(|| Rotation::plain(head_dim)),
            down: (down_block >= DOWN_BLOCK_MIN).then(|| (Rotation::plain(down_block), down_block)),
        }
    }

    /// What turns a matrix's inputs.
    pub fn input(&self, role: Role) -> Option<&Rotation> {
        match role {
            Role::Query | Role::Key | Role::Value | Role::QueryKeyValue | Role::Gate | Role::Up | Role::GateUp => {
                self.residual.as_ref()
            }
            Role::AttentionOutput => self.values.as_ref(),
            Role::Down => self.down.as_ref().map(|(rotation, _)| rotation),
            _ => None,
        }
    }

    /// What turns a matrix's outputs.
    pub fn output(&self, role: Role) -> Option<&Rotation> {
        match role {
            Role::AttentionOutput | Role::Down => self.residual.as_ref(),
            Role::Value => self.values.as_ref(),
            _ => None,
        }
    }

    /// A matrix between turned inputs and outputs.
    pub fn fold(&self, role: Role, matrix: &mut [f32], columns: usize) {
        if let Some(rotation) = self.input(role) {
            rotation.apply(matrix);
        }
        if let Some(rotation) = self.output(role) {
            rotation.apply_to_columns(matrix, columns);
        }
    }

    /// The same matrix between what they were.
    pub fn unfold(&self, role: Role, matrix: &mut [f32], columns: usize) {
        if let Some(rotation) = self.output(role) {
            rotation.undo_columns(matrix, columns);
        }
        if let Some(rotation) = self.input(role) {
            rotation.undo(matrix);
        }
    }
}

/// What a layer's tensor is for, by its name in a Hugging Face folder.
pub fn role_of(config: &ModelConfig, layer: u32, name: &str) -> Option<Role> {
    const ROLES: [Role; 9] = [
        Role::Query,
        Role::Key,
        Role::Value,
        Role::QueryKeyValue,
        Role::AttentionOutput,
        Role::Gate,
        Role::Up,
        Role::GateUp,
        Role::Down,
    ];
    let norms = config.architecture.norms;
    ROLES.into_iter().find(|role| {
        let full = config.naming.weight(*role, norms, layer);
        // So transformers saves a decoder without its head.
        full == name || full.strip_prefix("model.") == Some(name)
    })
}
