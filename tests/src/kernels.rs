//! One kernel at a time: a program of a single command, its inputs, and what must come out.

use hearth_engine::{
    device::{Device, UPLOAD_ROWS},
    kernel::{KvLayout, Matrix, Step},
    plan::{Command, Plan, Program, TensorKind},
    quant::trellis::Code,
    tensor::{Format, KvFormat, TensorId},
};

use crate::{blocks, devices::Candidate, numbers::Random};

/// A kernel's inputs and its reference.
pub struct KernelCase {
    /// What it is, for a failure's message.
    pub name: String,
    /// The tensors; [`Self::command`] adds the plan.
    pub program: Program,
    /// Where inputs come from.
    pub random: Random,
    /// The step that is run.
    pub step: Step,
    /// Its token numbers.
    pub ids: Vec<u32>,
    weights: Vec<(TensorId, Vec<u8>)>,
    states: Vec<(TensorId, Vec<f32>)>,
}

/// Keys or values.
pub struct Cache {
    /// Where they are.
    pub id: TensorId,
    /// As they lie there.
    pub stored: Vec<f32>,
    /// (kv_heads, context, head_dim).
    pub numbers: Vec<f32>,
}

/// All numbers of a cache.
pub fn unpacked(layout: KvLayout, stored: &[f32]) -> Vec<f32> {
    let words: Vec<u32> = stored.iter().map(|word| word.to_bits()).collect();
    let mut numbers = vec![0.0; words.len() / layout.head_words() as usize * layout.context * layout.head_dim];
    for (head, numbers) in
        words.chunks(layout.head_words() as usize).zip(numbers.chunks_mut(layout.context * layout.head_dim))
    {
        for (position, row) in numbers.chunks_mut(layout.head_dim).enumerate() {
            layout.read_row(head, position, row);
        }
    }
    numbers
}

/// What must come out of a case.
pub struct Expected {
    /// The tensor to look at.
    pub out: TensorId,
    /// Computed in float64, or copied.
    pub reference: Vec<f64>,
    /// How far each number may be from it.
    pub tolerance: Vec<f64>,
    /// What the scalar twin computes.
    pub twin: Vec<f32>,
}

impl KernelCase {
    /// With inputs that depend on the name alone.
    pub fn new(name: String, step: Step) -> Self {
        let seed = name.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
        let ids = vec![0; step.tokens as usize];
        let (weights, states) = (Vec::new(), Vec::new());
        Self { name, program: Program::default(), random: Random::new(seed), step, ids, weights, states }
    }

    /// A matrix of random weights, with its bytes as in a file.
    pub fn weight(&mut self, format: Format, rows: u32, columns: u32) -> (TensorId, Vec<u8>) {
        let id = self.program.declare("weights", TensorKind::Weight(format), rows.into(), columns.into());
        let numbers = self.random.numbers(u64::from(rows) * u64::from(columns));
        let bytes = match format.strip_bits() {
            Some(bits) => blocks::strips(bits, rows as usize, columns as usize, || self.random.bits()),
            None => blocks::rows(format, &numbers, 3.0, || self.random.bits()),
        };
        self.weights.push((id, bytes.clone()));
        (id, bytes)
    }

    /// A tensor of random numbers.
    pub fn numbers(&mut self, rows: u32, columns: u32) -> (TensorId, Vec<f32>) {
        let numbers = self.random.numbers(u64::from(rows) * u64::from(columns));
        (self.state(rows, columns, numbers.clone()), numbers)
    }

    /// A cache of random numbers, what lies in it, and the numbers as they were rounded: (kv_heads, context, head_dim).
    pub fn cache(&mut self, format: KvFormat, kv_heads: u32, head_dim: u32, context: u32) -> Cache {
        let layout = KvLayout::new(format, head_dim, context);
        let numbers = self.random.numbers(u64::from(kv_heads * context) * u64::from(head_dim));
        let mut words = vec![0; layout.head_words() as usize * kv_heads as usize];
        for (head, numbers) in
            words.chunks_mut(layout.head_words() as usize).zip(numbers.chunks(layout.context * layout.head_dim))
        {
            for (position, row) in numbers.chunks(layout.head_dim).enumerate() {
                layout.write_row(row, position, head);
            }
        }
        let stored: Vec<f32> = words.iter().map(|word| f32::from_bits(*word)).collect();
        let numbers = unpacked(layout, &stored);
        let id = self.state(kv_heads, layout.head_words() as u32, stored.clone());
        Cache { id, stored, numbers }
    }

    /// A tensor of these numbers.
    pub fn state(&mut self, rows: u32, columns: u32, numbers: Vec<f32>) -> TensorId {
        let id = self.program.declare("state", TensorKind::State, rows.into(), columns.into());
        self.states.push((id, numbers));
        id
    }

    /// Fills a tensor with other numbers than it was declared with.
    pub fn write(&mut self, id: TensorId, numbers: Vec<f32>) {
        self.states.retain(|(state, _)| *state != id);
        self.states.push((id, numbers));
    }

    /// A tensor that only lives between commands.
    pub fn scratch(&mut self, columns: u32) -> TensorId {
        self.program.declare("scratch", TensorKind::Scratch, 1, columns.into())
    }

    /// The tensor of the step's token numbers.
    pub fn tokens(&mut self, tokens_max: u32) -> TensorId {
        self.program.declare("token ids", TensorKind::Tokens, 1, tokens_max.into())
    }

    /// The one command.
    pub fn command(&mut self, tokens_max: u32, command: Command) {
        self.program.plans.push(Plan { name: self.name.clone(), tokens_max, commands: vec![command] });
    }

    /// Runs it, and reads all of a tensor.
    fn run(&self, device: &mut Device, out: TensorId) -> hearth_engine::Result<Vec<f32>> {
        Ok(self.run_all(device, &[out])?.swap_remove(0))
    }

    /// Runs it, and reads all of several tensors.
    pub fn run_all(&self, device: &mut Device, outs: &[TensorId]) -> hearth_engine::Result<Vec<Vec<f32>>> {
        pollster::block_on(async {
            device.prepare(&self.program).await?;
            for (id, bytes) in &self.weights {
                let rows = self.program.tensor(*id).rows;
                let TensorKind::Weight(format) = self.program.tensor(*id).kind else { continue };
                // In two pieces, of which the second is the larger: where they meet is no device's favourite place.
                let unit = UPLOAD_ROWS.max(format.strip_rows());
                let seam = rows / 3 / unit * unit;
                let row_bytes = format.row_bytes(self.program.tensor(*id).columns).unwrap_or(0);
                device.upload(*id, seam..rows, &bytes[(seam * row_bytes) as usize..])?;
                device.upload(*id, 0..seam, &bytes[..(seam * row_bytes) as usize])?;
            }
            for (id, numbers) in &self.states {
                device.write(*id, 0, numbers)?;
            }
            device.run(0, self.step, &self.ids)?;
            let mut all = Vec::new();
            for out in outs {
                all.push(device.read(*out, 0..self.program.tensor(*out).elements()).await?);
            }
            Ok(all)
        })
    }
}

impl Expected {
    /// Where a result is too far away, in words.
    fn complaint(&self, found: &[f32]) -> Option<String> {
        assert_eq!(found.len(), self.reference.len());
        assert_eq!(found.len(), self.tolerance.len());
        let far: Vec<usize> = (0..found.len())
            .filter(|&i| {
                let difference = (f64::from(found[i]) - self.reference[i]).abs();
                difference.is_nan() || difference > self.tolerance[i]
            })
            .collect();
        let first = *far.first()?;
        let (value, reference, tolerance) = (found[first], self.reference[first], self.tolerance[first]);
        Some(format!("{} of {}; at {first}: {value}, not {reference} +- {tolerance:e}", far.len(), found.len()))
    }
}

/// A matrix for the twins.
pub fn matrix(format: Format, columns: u32, bytes: &[u8]) -> Matrix<'_> {
    matrix_of(format, columns, bytes, Code::default())
}

/// The same with a trellis of this code. Rows that fill up a last strip count.
pub fn matrix_of(format: Format, columns: u32, bytes: &[u8], code: Code) -> Matrix<'_> {
    let rows = format.row_bytes(columns.into()).map_or(0, |row_bytes| bytes.len() / row_bytes as usize);
    Matrix { format, rows, columns: columns as usize, bytes, code }
}

/// All numbers of a matrix.
pub fn decode(format: Format, columns: u32, bytes: &[u8]) -> Vec<f32> {
    decode_of(matrix(format, columns, bytes))
}

/// The same of any matrix.
pub fn decode_of(matrix: Matrix<'_>) -> Vec<f32> {
    let mut numbers = vec![0.0; matrix.rows * matrix.columns];
    for (row, out) in numbers.chunks_exact_mut(matrix.columns).enumerate() {
        matrix.decode_row(row, out);
    }
    numbers
}

/// Runs every case on every device, and holds the twins against the reference too.
pub fn check_everywhere(cases: &[(KernelCase, Expected)]) {
    let mut complaints = Vec::new();
    for (case, expected) in cases {
        complaints.extend(expected.complaint(&expected.twin).map(|what| format!("{}, twin: {what}", case.name)));
    }
    for candidate in Candidate::all() {
        // Opened once, so that what it compiled serves the next case; but each case has its own binding limit.
        let mut shared = (!candidate.splits()).then(|| candidate.open_limited(None));
        for (case, expected) in cases {
            let mut own = shared.is_none().then(|| candidate.open(&case.program));
            let device = own.as_mut().or(shared.as_mut()).expect("one of them is open");
            let what = match case.run(device, expected.out) {
                Ok(found) => expected.complaint(&found),
                Err(error) => Some(error.to_string()),
            };
            complaints.extend(what.map(|what| format!("{}, {candidate}: {what}", case.name)));
        }
    }
    let shown = complaints.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(complaints.is_empty(), "{} complaints about {} cases:\n{shown}", complaints.len(), cases.len());
}
