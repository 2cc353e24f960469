//! Runs the plan and remembers what its gradients need.

use std::rc::Rc;

use hearth_engine::{
    kernel::{Activation, GELU_CUBIC, GELU_LINEAR, Gated, RmsNorm, Rope, Rotate, Scale},
    plan::Command,
    tensor::TensorId,
};

use super::{Number, attention::Heads, student::Student};

/// What a command left for its gradients.
pub(super) enum Saved<N> {
    /// It needs nothing.
    Nothing,
    /// One tensor: what a norm read, or what a product or a bend gave.
    One(Rc<Vec<N>>),
    /// Gate and up.
    Two([Rc<Vec<N>>; 2]),
    /// Queries, keys and values.
    Three([Rc<Vec<N>>; 3]),
}

/// A text on its way through a model.
pub(super) struct Tape<'a, N> {
    pub student: &'a Student,
    pub values: &'a [N],
    pub ids: &'a [u32],
    /// What each tensor is now.
    buffers: Vec<Rc<Vec<N>>>,
    pub saved: Vec<Saved<N>>,
}

impl<'a, N: Number> Tape<'a, N> {
    pub fn new(student: &'a Student, values: &'a [N], ids: &'a [u32]) -> Self {
        let buffers = student.last_uses.iter().map(|_| Rc::default()).collect();
        Self { student, values, ids, buffers, saved: Vec::new() }
    }

    /// Logits of each token; `remembers` what gradients need.
    pub fn forward(&mut self, remembers: bool) -> Vec<N> {
        let student = self.student;
        for (at, command) in student.commands.iter().enumerate() {
            let saved = self.execute(command);
            if remembers {
                self.saved.push(saved);
            }
            for id in command.operands() {
                if student.last_uses[id.0 as usize] == at && id != student.logits {
                    self.buffers[id.0 as usize] = Rc::default();
                }
            }
        }
        Rc::unwrap_or_clone(std::mem::take(&mut self.buffers[student.logits.0 as usize]))
    }

    fn of(&self, id: TensorId) -> Rc<Vec<N>> {
        Rc::clone(&self.buffers[id.0 as usize])
    }

    fn put(&mut self, id: TensorId, values: Vec<N>) -> Rc<Vec<N>> {
        let values = Rc::new(values);
        self.buffers[id.0 as usize] = Rc::clone(&values);
        values
    }

    fn in_place(&mut self, id: TensorId) -> &mut [N] {
        Rc::make_mut(&mut self.buffers[id.0 as usize]).as_mut_slice()
    }

    fn execute(&mut self, command: &Command) -> Saved<N> {
        let student = self.student;
        match command {
            Command::Embed(embed) => {
                let rows = student.matrices[&embed.table].look_up(self.values, self.ids);
                return Saved::One(self.put(embed.out, rows));
            }
            Command::Matmul(matmul) => {
                let y = student.matrices[&matmul.weights].forward(self.values, &self.of(matmul.x));
                if !matmul.accumulate {
                    return Saved::One(self.put(matmul.out, y));
                }
                add(self.in_place(matmul.out), &y, N::one());
                return Saved::One(Rc::new(y));
            }
            Command::RmsNorm(norm) => {
                let x = self.of(norm.x);
                let gains = &self.values[student.gains[&norm.weight]..];
                self.put(norm.out, normed(norm, &x, gains));
                return Saved::One(x);
            }
            Command::Attention(attention) => {
                let of = [self.of(attention.queries), self.of(attention.keys), self.of(attention.values)];
                let out = Heads::new(attention, [&of[0], &of[1], &of[2]]).forward();
                self.put(attention.out, out);
                return Saved::Three(of);
            }
            Command::Gated(gated) => {
                let of = [self.of(gated.gate), self.of(gated.up)];
                let out = of[0].iter().zip(&**of[1]).map(|(gate, up)| activated(gated, *gate)[0] * *up).collect();
                self.put(gated.out, out);
                return Saved::Two(of);
            }
            Command::Scale(scale) => {
                bend(scale, self.in_place(scale.x));
                return if scale.params.softcap > 0.0 { Saved::One(self.of(scale.x)) } else { Saved::Nothing };
            }
            Command::Rope(rope) => turn(rope, &student.states[&rope.table], self.in_place(rope.x), false),
            Command::KvWrite(write) => self.buffers[write.cache.0 as usize] = self.of(write.x),
            Command::Rotate(rotate) => {
                spread(rotate, &student.states[&rotate.signs], self.in_place(rotate.x), rotate.params.undo == 1);
            }
            Command::AddBias(bias) => {
                let vector = &student.states[&bias.bias];
                for x in self.in_place(bias.x).chunks_exact_mut(vector.len()) {
                    x.iter_mut().zip(vector).for_each(|(x, bias)| *x += N::of(*bias));
                }
            }
            Command::AddScaled(scaled) => {
                let x = self.of(scaled.x);
                add(self.in_place(scaled.out), &x, N::of(scaled.params.factor));
            }
            // A student with any other command is refused.
            _ => {}
        }
        Saved::Nothing
    }
}

/// `out += factor * x`.
pub(super) fn add<N: Number>(out: &mut [N], x: &[N], factor: N) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out += factor * *x);
}

/// What a norm divides by the root mean square, `1 / sqrt(mean x^2 + epsilon)`.
pub(super) fn inverse_root<N: Number>(x: &[N], epsilon: f32) -> N {
    let square: N = x.iter().map(|x| *x * *x).sum();
    N::one() / (square / N::of(x.len() as f32) + N::of(epsilon)).sqrt()
}

fn normed<N: Number>(norm: &RmsNorm, x: &[N], gains: &[N]) -> Vec<N> {
    let mut out = Vec::with_capacity(x.len());
    for x in x.chunks_exact(norm.params.columns as usize) {
        let factor = inverse_root(x, norm.params.epsilon);
        out.extend(x.iter().zip(gains).map(|(x, gain)| *x * factor * *gain));
    }
    out
}

/// What the gate's activation makes of a number, and its slope there.
pub(super) fn activated<N: Number>(gated: &Gated, x: N) -> [N; 2] {
    let (one, is_gelu) = (N::one(), gated.params.activation == Activation::GeluTanh as u32);
    let (linear, cubic) = (N::of(GELU_LINEAR), N::of(GELU_CUBIC));
    // The sigmoid's argument, and its slope.
    let (inner, inner_slope) = match is_gelu {
        true => (x * (linear + cubic * x * x), linear + N::of(3.0) * cubic * x * x),
        false => (x, one),
    };
    let share = one / (one + (-inner).exp());
    [x * share, share + x * share * (one - share) * inner_slope]
}

fn bend<N: Number>(scale: &Scale, x: &mut [N]) {
    let (factor, cap) = (N::of(scale.params.factor), N::of(scale.params.softcap));
    for x in x {
        *x *= factor;
        if cap > N::zero() {
            *x = cap * (*x / cap).tanh();
        }
    }
}

/// Turns queries or keys of a text from position 0 on, or multiplies with that matrix's transpose.
pub(super) fn turn<N: Number>(rope: &Rope, table: &[f32], x: &mut [N], transposed: bool) {
    let [heads, head_dim, rotary] = [rope.params.heads, rope.params.head_dim, rope.params.rotary].map(|n| n as usize);
    let angles = table.chunks_exact(rotary.max(1));
    for (token, angles) in x.chunks_exact_mut(heads * head_dim).zip(angles) {
        for head in token.chunks_exact_mut(head_dim) {
            for (pair, angle) in angles.as_chunks::<2>().0.iter().enumerate() {
                let [cosine, sine] = angle.map(N::of);
                let sine = if transposed { -sine } else { sine };
                let (first, second) =
                    if rope.params.interleaved == 1 { (2 * pair, 2 * pair + 1) } else { (pair, pair + rotary / 2) };
                let (a, b) = (head[first], head[second]);
                head[first] = a * cosine - b * sine;
                head[second] = a * sine + b * cosine;
            }
        }
    }
}

/// [`hearth_engine::quant::rotation::rotate`] on each token, or what undoes it, which is its transpose too.
pub(super) fn spread<N: Number>(rotate: &Rotate, signs: &[f32], x: &mut [N], undo: bool) {
    let flip = |x: &mut [N]| x.iter_mut().zip(signs).for_each(|(x, sign)| *x *= N::of(*sign));
    for x in x.chunks_exact_mut(rotate.params.columns as usize) {
        if !undo {
            flip(x);
        }
        x.chunks_exact_mut(rotate.params.block as usize).for_each(hadamard);
        if undo {
            flip(x);
        }
    }
}

fn hadamard<N: Number>(x: &mut [N]) {
    let mut half = 1;
    while half < x.len() {
        for pair in x.chunks_exact_mut(2 * half) {
            let (first, second) = pair.split_at_mut(half);
            for (a, b) in first.iter_mut().zip(second) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = N::one() / N::of(x.len() as f32).sqrt();
    x.iter_mut().for_each(|value| *value *= scale);
}
