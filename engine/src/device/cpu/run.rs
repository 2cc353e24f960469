//! Executes the commands of a plan.

use super::{CpuDevice, storage::Storage};
use crate::{kernel::Step, plan::Command};

impl CpuDevice {
    /// Runs one command of a checked plan.
    pub(super) fn execute(storage: &mut Storage, step: Step, command: &Command) {
        match command {
            Command::Embed(embed) => {
                storage.with_output(embed.out, |from, out| embed.twin(step, from.matrix(embed.table), &from.ids, out));
            }
            Command::RmsNorm(norm) => {
                storage.with_output(norm.out, |from, out| {
                    norm.twin(step, from.floats(norm.x), from.floats(norm.weight), out);
                });
            }
            Command::Matvec(matvec) => {
                storage.with_output(matvec.out, |from, out| {
                    matvec.twin(from.floats(matvec.x), from.matrix(matvec.weights), out);
                });
            }
            Command::Matmul(matmul) => {
                storage.with_output(matmul.out, |from, out| {
                    matmul.twin(step, from.floats(matmul.x), from.matrix(matmul.weights), out);
                });
            }
            Command::Rope(rope) => {
                storage.with_output(rope.x, |from, x| rope.twin(step, from.floats(rope.table), x));
            }
            Command::KvWrite(write) => {
                storage.with_output(write.cache, |from, cache| write.twin(step, from.floats(write.x), cache));
            }
            Command::Attention(attention) => {
                storage.with_output(attention.out, |from, out| {
                    let (keys, values) = (from.floats(attention.keys), from.floats(attention.values));
                    attention.twin(step, from.floats(attention.queries), keys, values, out);
                });
            }
            Command::Swiglu(swiglu) => {
                storage.with_output(swiglu.out, |from, out| {
                    swiglu.twin(step, from.floats(swiglu.gate), from.floats(swiglu.up), out);
                });
            }
            Command::LastRow(last) => {
                storage.with_output(last.out, |from, out| last.twin(step, from.floats(last.x), out));
            }
        }
    }
}
