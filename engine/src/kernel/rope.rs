//! Rotary position embedding, in place.

use super::{Operands, Step, shader::rope::Params};
use crate::tensor::TensorId;

/// Turns each pair of a head's numbers by an angle that grows with the position (Su et al. 2021, equation 34).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// (context, rotary / 2, 2): cosine and sine; see [`rope_table`].
    pub table: TensorId,
    /// (tokens, heads, head_dim).
    pub x: TensorId,
    /// The shader's.
    pub params: Params,
}

impl Rope {
    /// In the order of the bindings.
    pub fn operands(&self) -> Operands {
        vec![self.table, self.x]
    }

    /// A workgroup a token.
    pub fn groups(&self, tokens_max: u32) -> [u32; 3] {
        [tokens_max, 1, 1]
    }

    /// The scalar twin.
    pub fn twin(&self, step: Step, table: &[f32], x: &mut [f32]) {
        let Params { heads, head_dim, rotary, interleaved } = self.params;
        let pairs = rotary / 2;
        for token in 0..step.tokens {
            for head in 0..heads {
                for pair in 0..pairs {
                    let turn = 2 * ((step.position + token) * pairs + pair) as usize;
                    let (cosine, sine) = (table[turn], table[turn + 1]);
                    let start = (token * heads + head) * head_dim;
                    let (first, second) = if interleaved == 1 {
                        (start + 2 * pair, start + 2 * pair + 1)
                    } else {
                        (start + pair, start + pair + pairs)
                    };
                    let (a, b) = (x[first as usize], x[second as usize]);
                    x[first as usize] = a * cosine - b * sine;
                    x[second as usize] = a * sine + b * cosine;
                }
            }
        }
    }
}

/// Cosines and sines for every position of the context: (context, rotary / 2, 2). `frequencies` are the angles by which
/// each pair turns from one position to the next, in radians; they are multiplied in float64. `growth` is what the length
/// of a pair is multiplied by as it turns.
pub fn rope_table(context: u32, frequencies: &[f64], growth: f64) -> Vec<f32> {
    (0..context)
        .flat_map(|position| {
            frequencies.iter().flat_map(move |frequency| {
                let angle = f64::from(position) * frequency;
                [(growth * angle.cos()) as f32, (growth * angle.sin()) as f32]
            })
        })
        .collect()
}
