//! Executes the commands of a plan.

use super::{
    SimdLevel, Workers,
    attention::attention,
    centred, elementwise,
    grouped::{self, Groups, XPart, strips},
    matmul::matmul,
    matvec::matvec,
    storage::Storage,
};
use crate::{
    kernel::{ExpertMatvec, Step},
    plan::Command,
};

/// Runs one command of a checked plan. What copies a few numbers is left to the twins.
pub fn execute(workers: &dyn Workers, level: SimdLevel, storage: &mut Storage, step: Step, command: &Command) {
    match command {
        Command::Embed(embed) => {
            storage.with_output(embed.out, |from, out| match from.groups(embed.table) {
                Some(table) => lift_rows(table, embed.columns as usize, &from.ids, out),
                None => embed.twin(step, from.matrix(embed.table), &from.ids, out),
            });
        }
        Command::RmsNorm(norm) => {
            storage.with_output(norm.out, |from, out| {
                elementwise::rms_norm(workers, level, norm, step, from.floats(norm.x), from.floats(norm.weight), out);
            });
        }
        Command::Matvec(_) | Command::Matmul(_) => product(workers, level, storage, step, command),
        Command::Rope(rope) => {
            storage.with_output(rope.x, |from, x| {
                elementwise::rope(workers, level, rope, step, from.floats(rope.table), x);
            });
        }
        Command::KvWrite(write) => {
            storage.with_output(write.cache, |from, cache| write.twin(step, from.floats(write.x), cache));
        }
        Command::Attention(command) => {
            storage.with_output(command.out, |from, out| {
                let inputs = [command.queries, command.keys, command.values].map(|id| from.floats(id));
                attention(workers, level, command, step, inputs, out);
            });
        }
        Command::Gated(gated) => {
            storage.with_output(gated.out, |from, out| {
                elementwise::gated(workers, level, gated, step, from.floats(gated.gate), from.floats(gated.up), out);
            });
        }
        Command::AddBias(add) => storage.with_output(add.x, |from, x| add.twin(step, from.floats(add.bias), x)),
        Command::AddScaled(add) => storage.with_output(add.out, |from, out| add.twin(step, from.floats(add.x), out)),
        Command::Route(route) => {
            storage.with_output(route.out, |from, out| route.twin(step, from.floats(route.scores), out));
        }
        Command::ExpertMatvec(command) => storage.with_output_and_bytes(command.out, |from, out, x_parts| {
            expert_matvec((workers, level), command, step, from, out, x_parts);
        }),
        Command::Mix(mix) => {
            storage.with_output(mix.out, |from, out| mix.twin(step, from.floats(mix.x), from.floats(mix.routing), out));
        }
        Command::Rotate(rotate) => {
            storage.with_output(rotate.x, |from, x| rotate.twin(step, from.floats(rotate.signs), x));
        }
        Command::Scale(scale) => storage.with_output(scale.x, |_, x| scale.twin(step, x)),
        Command::LastRow(last) => {
            storage.with_output(last.out, |from, out| last.twin(step, from.floats(last.x), out));
        }
        Command::LayerNorm(_) | Command::Gelu(_) => of_encoders(workers, level, storage, step, command),
        Command::AddRows(add) => {
            storage.with_output(add.x, |from, x| add.twin(step, from.floats(add.table), x));
        }
        Command::Peaks(_) | Command::Choose(_) | Command::Shortlist(_) => of_choices(storage, command),
    }
}

/// A matrix times a vector or a batch.
fn product(workers: &dyn Workers, level: SimdLevel, storage: &mut Storage, step: Step, command: &Command) {
    match command {
        Command::Matvec(command) => {
            storage.with_output_and_bytes(command.out, |from, out, x_parts| {
                let (x, accumulate) = (from.floats(command.x), command.accumulate);
                match (from.groups(command.weights), from.strips(command.weights)) {
                    (Some(weights), _) => grouped::matvec(workers, level, x, weights, (out, accumulate), x_parts),
                    (_, Some(strips)) => strips::matvec(workers, level, x, strips, (out, accumulate), x_parts),
                    _ => matvec(workers, level, x, from.matrix(command.weights), out, accumulate),
                }
            });
        }
        Command::Matmul(command) => {
            storage.with_output_and_bytes(command.out, |from, out, x_parts| {
                let x = &from.floats(command.x)[..step.tokens as usize * command.columns as usize];
                match from.groups(command.weights) {
                    Some(weights) => grouped::matmul(workers, level, x, weights, (out, command.accumulate), x_parts),
                    None => matmul(workers, level, x, from.matrix(command.weights), out, command.accumulate),
                }
            });
        }
        _ => {}
    }
}

/// [`crate::kernel::Embed::twin`] for a table whose rows are interleaved.
fn lift_rows(table: Groups<'_>, columns: usize, ids: &[u32], out: &mut [f32]) {
    for (id, row) in ids.iter().zip(out.chunks_exact_mut(columns)) {
        if (*id as usize) < table.rows {
            table.decode_row(*id as usize, row);
        } else {
            row.fill(0.0);
        }
    }
}

/// [`ExpertMatvec::twin`]: a product for each token and expert.
fn expert_matvec(
    (workers, level): (&dyn Workers, SimdLevel),
    command: &ExpertMatvec,
    step: Step,
    from: &Storage,
    out: &mut [f32],
    x_parts: &mut Vec<XPart>,
) {
    let (x, columns, rows) = (from.floats(command.x), command.columns as usize, command.rows as usize);
    let outs = out.chunks_exact_mut(rows);
    for ((pair, expert), out) in command.experts(step, from.floats(command.routing)).enumerate().zip(outs) {
        let Some(expert) = expert else { continue };
        let x = &x[command.x_row(pair) * columns..][..columns];
        match (from.groups(command.weights), from.strips(command.weights)) {
            (Some(weights), _) => {
                let weights = weights.part(expert * rows, rows);
                grouped::matvec(workers, level, x, weights, (out, false), x_parts);
            }
            (_, Some(strips)) => {
                strips::matvec(workers, level, x, command.matrix(strips, expert), (out, false), x_parts);
            }
            _ => matvec(workers, level, x, command.matrix(from.matrix(command.weights), expert), out, false),
        }
    }
}

/// The encoders' norm and activation.
fn of_encoders(workers: &dyn Workers, level: SimdLevel, storage: &mut Storage, step: Step, command: &Command) {
    match command {
        Command::LayerNorm(norm) => {
            storage.with_output(norm.out, |from, out| {
                let inputs = [norm.x, norm.weight, norm.bias].map(|id| from.floats(id));
                centred::normalise(workers, level, norm, step, inputs, out);
            });
        }
        Command::Gelu(gelu) => {
            storage.with_output(gelu.out, |from, out| {
                centred::gelu(workers, level, gelu, step, from.floats(gelu.x), out);
            });
        }
        _ => {}
    }
}

/// What chooses among the numbers of a row.
fn of_choices(storage: &mut Storage, command: &Command) {
    match command {
        Command::Peaks(peaks) => {
            storage.with_output(peaks.peaks, |from, out| peaks.twin(from.floats(peaks.x), out));
        }
        Command::Choose(choose) => {
            let mut id = 0;
            storage.with_output(choose.choice, |from, out| id = choose.twin(from.floats(choose.peaks), out));
            storage.ids = vec![id];
        }
        Command::Shortlist(list) => storage.with_output(list.list, |from, out| {
            list.twin(from.floats(list.x), from.floats(list.peaks), out);
        }),
        _ => {}
    }
}
