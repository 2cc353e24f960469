//! Goes back over the tape: from the logits' gradient to that of the parameters.

use hearth_engine::{
    kernel::{Gated, RmsNorm},
    plan::Command,
    tensor::TensorId,
};

use super::{
    Number,
    attention::Heads,
    tape::{Saved, Tape, activated, add, inverse_root, spread, turn},
};

/// The gradients of what each tensor is at that point; None are zeros.
struct Gradients<N>(Vec<Option<Vec<N>>>);

impl<N: Number> Gradients<N> {
    /// Of a tensor that is written anew here: what it was before has none.
    fn take(&mut self, id: TensorId) -> Option<Vec<N>> {
        self.0[id.0 as usize].take()
    }

    fn add(&mut self, id: TensorId, values: Vec<N>) {
        match &mut self.0[id.0 as usize] {
            Some(sum) => add(sum, &values, N::one()),
            empty => *empty = Some(values),
        }
    }

    fn get(&mut self, id: TensorId) -> Option<&mut Vec<N>> {
        self.0[id.0 as usize].as_mut()
    }
}

impl<N: Number> Tape<'_, N> {
    /// The parameters' gradient, from that of the logits. The tape was run to remember.
    pub fn backward(mut self, logits: Vec<N>) -> Vec<N> {
        let student = self.student;
        let mut gradients = Gradients(student.last_uses.iter().map(|_| None).collect());
        let mut found = vec![N::zero(); self.values.len()];
        gradients.add(student.logits, logits);
        for command in student.commands.iter().rev() {
            if let Some(saved) = self.saved.pop() {
                self.undo(command, saved, &mut gradients, &mut found);
            }
        }
        found
    }

    fn undo(&self, command: &Command, saved: Saved<N>, gradients: &mut Gradients<N>, found: &mut [N]) -> Option<()> {
        let student = self.student;
        match (command, saved) {
            (Command::Embed(embed), Saved::One(out)) => {
                let dout = gradients.take(embed.out)?;
                student.matrices[&embed.table].add_look_up_gradient(self.values, self.ids, [&out, &dout], found);
            }
            (Command::Matmul(matmul), Saved::One(y)) => {
                let matrix = &student.matrices[&matmul.weights];
                let dy = gradients.take(matmul.out)?;
                matrix.add_scales_gradient(self.values, &y, &dy, found);
                gradients.add(matmul.x, matrix.backward(self.values, &dy));
                if matmul.accumulate {
                    gradients.add(matmul.out, dy);
                }
            }
            (Command::RmsNorm(norm), Saved::One(x)) => {
                let first = student.gains[&norm.weight];
                let dout = gradients.take(norm.out)?;
                let columns = norm.params.columns as usize;
                let dx = norm_backward(norm, &x, [&self.values[first..], &dout], &mut found[first..first + columns]);
                gradients.add(norm.x, dx);
            }
            (Command::Attention(attention), Saved::Three(of)) => {
                let dout = gradients.take(attention.out)?;
                let [queries, keys, values] = Heads::new(attention, [&of[0], &of[1], &of[2]]).backward(&dout);
                gradients.add(attention.queries, queries);
                gradients.add(attention.keys, keys);
                gradients.add(attention.values, values);
            }
            (Command::Gated(gated), Saved::Two([gate, up])) => {
                let dout = gradients.take(gated.out)?;
                let [dgate, dup] = gated_backward(gated, [&gate, &up, &dout]);
                gradients.add(gated.gate, dgate);
                gradients.add(gated.up, dup);
            }
            (Command::Scale(scale), saved) => {
                let (factor, cap) = (N::of(scale.params.factor), N::of(scale.params.softcap));
                let dx = gradients.get(scale.x)?;
                if let Saved::One(out) = saved {
                    let slope = |out: N| N::one() - (out / cap) * (out / cap);
                    dx.iter_mut().zip(&**out).for_each(|(dx, out)| *dx *= slope(*out));
                }
                dx.iter_mut().for_each(|dx| *dx *= factor);
            }
            (Command::Rope(rope), _) => turn(rope, &student.states[&rope.table], gradients.get(rope.x)?, true),
            (Command::KvWrite(write), _) => {
                let dx = gradients.take(write.cache)?;
                gradients.add(write.x, dx);
            }
            (Command::Rotate(rotate), _) => {
                let signs = &student.states[&rotate.signs];
                spread(rotate, signs, gradients.get(rotate.x)?, rotate.params.undo == 0);
            }
            (Command::AddScaled(scaled), _) => {
                let factor = N::of(scaled.params.factor);
                let dx = gradients.get(scaled.out)?.iter().map(|dout| factor * *dout).collect();
                gradients.add(scaled.x, dx);
            }
            // A bias passes gradients on as they are, and nothing else is run.
            _ => {}
        }
        Some(())
    }
}

/// With n = x / root mean square: `dgain = sum of dout n`, and `dx = (gain dout - n mean(gain dout n)) / root mean square`.
fn norm_backward<N: Number>(norm: &RmsNorm, x: &[N], [gains, dout]: [&[N]; 2], dgains: &mut [N]) -> Vec<N> {
    let columns = norm.params.columns as usize;
    let mut dx = Vec::with_capacity(x.len());
    for (x, dout) in x.chunks_exact(columns).zip(dout.chunks_exact(columns)) {
        let factor = inverse_root(x, norm.params.epsilon);
        let mut sum = N::zero();
        for (((x, dout), gain), dgain) in x.iter().zip(dout).zip(gains).zip(&mut *dgains) {
            *dgain += *dout * *x * factor;
            sum += *dout * *gain * *x;
        }
        let back = factor * factor * factor * sum / N::of(columns as f32);
        dx.extend(x.iter().zip(dout).zip(gains).map(|((x, dout), gain)| *dout * *gain * factor - *x * back));
    }
    dx
}

fn gated_backward<N: Number>(gated: &Gated, [gate, up, dout]: [&[N]; 3]) -> [Vec<N>; 2] {
    let (mut dgate, mut dup) = (Vec::with_capacity(gate.len()), Vec::with_capacity(gate.len()));
    for ((gate, up), dout) in gate.iter().zip(up).zip(dout) {
        let [value, slope] = activated(gated, *gate);
        dgate.push(*dout * *up * slope);
        dup.push(*dout * value);
    }
    [dgate, dup]
}
