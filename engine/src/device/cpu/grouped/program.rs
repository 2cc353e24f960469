//! What of a program is multiplied in eight bits, and the memory that its activations take.

use super::{XPart, layout};
use crate::{
    device::cpu::simd::{BLOCK, ROWS},
    plan::{Command, Program, TensorKind},
    tensor::{Format, TensorId},
};

/// Whether sixteen rows at a time can be interleaved: an expert's rows must be whole groups, so that it can be read
/// alone.
pub fn can_interleave(program: &Program, id: TensorId, format: Format) -> bool {
    let commands = program.plans.iter().flat_map(|plan| &plan.commands);
    let mut experts = commands.filter_map(|command| match command {
        Command::ExpertMatvec(matvec) if matvec.weights == id => Some(matvec.rows as usize),
        _ => None,
    });
    layout::exists(format) && experts.all(|rows| rows.is_multiple_of(ROWS))
}

/// How many parts the activations of the program's largest product are: one product's take the place of another's.
pub fn activation_parts(program: &Program) -> u64 {
    let commands = program.plans.iter().flat_map(|plan| plan.commands.iter().map(|command| (plan.tokens_max, command)));
    let products = commands.filter_map(|(tokens_max, command)| match command {
        Command::Matvec(matvec) => Some((matvec.weights, matvec.columns, 1)),
        Command::Matmul(matmul) => Some((matmul.weights, matmul.columns, tokens_max)),
        // One token and expert after the other.
        Command::ExpertMatvec(matvec) => Some((matvec.weights, matvec.columns, 1)),
        _ => None,
    });
    let parts = products.filter_map(|(weights, columns, tokens)| match program.tensor(weights).kind {
        TensorKind::Weight(format)
            if can_interleave(program, weights, format) || format.strip_bits().is_some() && tokens == 1 =>
        {
            Some(u64::from(columns) / BLOCK as u64 * u64::from(tokens))
        }
        _ => None,
    });
    parts.max().unwrap_or(0)
}

/// What the activations of the program's largest product take beside its tensors.
pub fn activation_bytes(program: &Program) -> u64 {
    activation_parts(program) * size_of::<XPart>() as u64
}
