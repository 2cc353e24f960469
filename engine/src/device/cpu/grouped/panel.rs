//! Panels of whole numbers: sixteen rows and some columns, unpacked, through which tokens go.

use super::{
    XPart,
    activations::lots,
    formats::{Grouped, Kind, Panels, with_grouped},
};
use crate::{
    device::cpu::simd::{BLOCK, IntegerTask, Integers, QUAD, ROWS},
    tensor::Format,
};

/// Parts of a panel: 24 KiB.
pub const PANEL_PARTS: usize = 32;

/// 32 unpacked columns of sixteen rows.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct PanelPart {
    fours: [[u8; QUAD]; BLOCK / 4],
    scales: [[f32; ROWS]; 2],
    minima: [[f32; ROWS]; 2],
}

impl PanelPart {
    /// To be filled.
    pub const EMPTY: Self = Self { fours: [[0; QUAD]; BLOCK / 4], scales: [[0.0; ROWS]; 2], minima: [[0.0; ROWS]; 2] };
}

/// Unpacks as many parts as the panel has, from `first_part` on.
pub struct Fill<'a> {
    pub format: Format,
    pub group: &'a [u8],
    pub first_part: usize,
    pub panel: &'a mut [PanelPart],
}

impl IntegerTask for Fill<'_> {
    #[inline(always)]
    fn run<S: Integers>(self, simd: S) {
        with_grouped!(self.format, F => fill::<S, F>(simd, &F::blocks(self.group)[self.first_part / F::PARTS..], self.panel), ());
    }
}

#[inline(always)]
fn fill<S: Integers, F: Grouped>(simd: S, blocks: &[F::Block], panel: &mut [PanelPart]) {
    for (block, panel) in blocks.iter().zip(panel.chunks_mut(F::PARTS)) {
        let block = block.as_ref();
        for (part, panel) in panel.iter_mut().enumerate() {
            for (nth, fours) in panel.fours.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let columns = [F::four(simd, block, part, 2 * nth), F::four(simd, block, part, 2 * nth + 1)];
                simd.store_columns(columns, fours);
            }
            for half in 0..F::Kind::HALVES {
                simd.store_rows(F::scales(simd, block, part, half), &mut panel.scales[half]);
                if F::Kind::MINIMA {
                    simd.store_rows(F::minima(simd, block, part, half), &mut panel.minima[half]);
                }
            }
        }
    }
}

/// Shows a panel to all tokens.
pub struct Products<'a, 'b> {
    pub format: Format,
    pub panel: &'a [PanelPart],
    /// In lots: (parts, tokens).
    pub x: &'a [XPart],
    /// Of a token.
    pub row_parts: usize,
    /// The panel's.
    pub first_part: usize,
    /// For each token: (rows).
    pub out: &'a mut [&'b mut [f32]],
    /// The panel's.
    pub first_row: usize,
    /// Whether products are added to `out`.
    pub accumulate: bool,
}

impl IntegerTask for Products<'_, '_> {
    #[inline(always)]
    fn run<S: Integers>(mut self, simd: S) {
        // Many formats, but few kinds of panels.
        match with_grouped!(self.format, F => kind::<F>(), (1, false, false)) {
            (1, false, true) => self.multiply::<S, Panels<1, false, true>>(simd),
            (1, true, _) => self.multiply::<S, Panels<1, true, false>>(simd),
            (1, ..) => self.multiply::<S, Panels<1, false, false>>(simd),
            (_, true, _) => self.multiply::<S, Panels<2, true, false>>(simd),
            _ => self.multiply::<S, Panels<2, false, false>>(simd),
        }
    }
}

const fn kind<F: Grouped>() -> (usize, bool, bool) {
    (F::Kind::HALVES, F::Kind::MINIMA, F::Kind::SIGNED)
}

/// Does something for each token below `TOKENS`, which is at most 12. Written out, because what a loop indexes lies in
/// memory unless the compiler unrolls it.
macro_rules! for_tokens {
    ($TOKENS:ident, $token:ident => $work:expr) => {
        for_tokens!($TOKENS, $token => $work; 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    ($TOKENS:ident, $token:ident => $work:expr; $($index:literal)+) => {
        $(
            if $index < $TOKENS {
                let $token = $index;
                $work;
            }
        )+
    };
}

impl Products<'_, '_> {
    #[inline(always)]
    fn multiply<S: Integers, K: Kind>(&mut self, simd: S) {
        for (first, size) in lots(self.out.len()) {
            match size {
                12 => self.multiply_lot::<S, K, 12>(simd, first),
                4 => self.multiply_lot::<S, K, 4>(simd, first),
                _ => self.multiply_lot::<S, K, 1>(simd, first),
            }
        }
    }

    #[inline(always)]
    fn multiply_lot<S: Integers, K: Kind, const LOT: usize>(&mut self, simd: S, lot: usize) {
        let start = lot * self.row_parts + self.first_part * LOT;
        let x = &self.x[start..][..self.panel.len() * LOT].as_chunks::<LOT>().0[..self.panel.len()];
        if S::PAIRS {
            if LOT.is_multiple_of(4) {
                for first in (0..LOT).step_by(4) {
                    self.multiply_pairs::<S, K, LOT, 2>(simd, x, lot, first);
                }
            } else {
                for first in (0..LOT).step_by(2) {
                    self.multiply_pairs::<S, K, LOT, 1>(simd, x, lot, first);
                }
            }
        } else if S::SUMS_TOKENS >= LOT {
            self.multiply_tokens::<S, K, LOT, LOT>(simd, x, lot, 0);
        } else if S::SUMS_TOKENS >= 2 && LOT.is_multiple_of(2) {
            for first in (0..LOT).step_by(2) {
                self.multiply_tokens::<S, K, LOT, 2>(simd, x, lot, first);
            }
        } else {
            for first in 0..LOT {
                self.multiply_tokens::<S, K, LOT, 1>(simd, x, lot, first);
            }
        }
    }

    /// `TOKENS` of a lot, from the `first` on.
    #[inline(always)]
    fn multiply_tokens<S: Integers, K: Kind, const LOT: usize, const TOKENS: usize>(
        &mut self,
        simd: S,
        x: &[[XPart; LOT]],
        lot: usize,
        first: usize,
    ) {
        let mut totals = [simd.splat_rows(0.0); TOKENS];
        for (part, x) in self.panel.iter().zip(x) {
            let Some(x) = x[first..].first_chunk::<TOKENS>() else { return };
            if K::HALVES == 2 {
                totals = add_half::<S, K, TOKENS, 0, 4>(simd, part, x, 0, totals);
                totals = add_half::<S, K, TOKENS, 4, 8>(simd, part, x, 1, totals);
            } else {
                totals = add_half::<S, K, TOKENS, 0, 8>(simd, part, x, 0, totals);
            }
        }
        let mut products = [[0.0; ROWS]; TOKENS];
        for_tokens!(TOKENS, token => simd.store_rows(totals[token], &mut products[token]));
        self.finish(lot + first, &products);
    }

    /// `PAIRS` times two tokens of a lot, from the `first` on. A lot of one is its own neighbour.
    #[inline(always)]
    fn multiply_pairs<S: Integers, K: Kind, const LOT: usize, const PAIRS: usize>(
        &mut self,
        simd: S,
        x: &[[XPart; LOT]],
        lot: usize,
        first: usize,
    ) {
        let zero = simd.splat_rows(0.0);
        let mut totals = [[zero; 2]; PAIRS];
        for (part, x) in self.panel.iter().zip(x) {
            let x: [[&XPart; 2]; PAIRS] = std::array::from_fn(|pair| {
                let first = first + 2 * pair;
                [&x[first], &x[(first + 1).min(LOT - 1)]]
            });
            if K::HALVES == 2 {
                totals = add_half_of_pairs::<S, K, PAIRS, 0, 4>(simd, part, x, 0, totals);
                totals = add_half_of_pairs::<S, K, PAIRS, 4, 8>(simd, part, x, 1, totals);
            } else {
                totals = add_half_of_pairs::<S, K, PAIRS, 0, 8>(simd, part, x, 0, totals);
            }
        }
        let mut products = [[[0.0; ROWS]; 2]; PAIRS];
        for (totals, products) in totals.into_iter().flatten().zip(products.as_flattened_mut()) {
            simd.store_rows(totals, products);
        }
        self.finish(lot + first, &products.as_flattened()[..(2 * PAIRS).min(LOT)]);
    }

    /// Puts the products of some tokens, from `first` on, where they belong.
    #[inline(always)]
    fn finish(&mut self, first: usize, products: &[[f32; ROWS]]) {
        for (out, products) in self.out[first..].iter_mut().zip(products) {
            let out = &mut out[self.first_row..];
            match out.first_chunk_mut::<ROWS>() {
                Some(out) => add_or_store(out, products, self.accumulate),
                None => add_or_store(out, products, self.accumulate),
            }
        }
    }
}

/// [`add_half`] for tokens that go two by two.
#[inline(always)]
fn add_half_of_pairs<S: Integers, K: Kind, const PAIRS: usize, const START: usize, const END: usize>(
    simd: S,
    part: &PanelPart,
    x: [[&XPart; 2]; PAIRS],
    half: usize,
    mut totals: [[S::Rows; 2]; PAIRS],
) -> [[S::Rows; 2]; PAIRS] {
    let mut sums = x.map(|x| simd.start_pair(x.map(|x| x.starts[half])));
    for four in (START..END).step_by(2) {
        let weights = [simd.load_bytes(&part.fours[four]), simd.load_bytes(&part.fours[four + 1])];
        for (sums, x) in sums.iter_mut().zip(x) {
            *sums = simd.dot_pair(weights, x.map(|x| [x.fours[four], x.fours[four + 1]]), *sums);
        }
    }
    let scales = simd.load_rows(&part.scales[half]);
    let minima = simd.load_rows(&part.minima[half]);
    for ((totals, sums), x) in totals.iter_mut().zip(sums).zip(x) {
        for ((total, rows), x) in totals.iter_mut().zip(simd.rows_pair(sums)).zip(x) {
            *total = simd.mul_scale_add(rows, scales, x.scale, *total);
            if K::MINIMA {
                *total = simd.scale_add(minima, x.totals[half], *total);
            }
        }
    }
    totals
}

#[inline(always)]
fn add_or_store(out: &mut [f32], products: &[f32; ROWS], accumulate: bool) {
    for (out, product) in out.iter_mut().zip(products) {
        *out = if accumulate { *out + product } else { *product };
    }
}

/// Adds the products of some fours of columns of a part, which have a scale in common.
#[inline(always)]
fn add_half<S: Integers, K: Kind, const TOKENS: usize, const START: usize, const END: usize>(
    simd: S,
    part: &PanelPart,
    x: &[XPart; TOKENS],
    half: usize,
    mut totals: [S::Rows; TOKENS],
) -> [S::Rows; TOKENS] {
    let mut sums = [simd.start(0); TOKENS];
    for_tokens!(TOKENS, token => sums[token] = simd.start(x[token].starts[half]));
    for four in (START..END).step_by(2) {
        let weights = [simd.load_bytes(&part.fours[four]), simd.load_bytes(&part.fours[four + 1])];
        for_tokens!(TOKENS, token => {
            let x = [x[token].fours[four], x[token].fours[four + 1]];
            sums[token] = if K::SIGNED {
                simd.dot_signed(weights, x, sums[token])
            } else {
                simd.dot_unsigned(weights, x, sums[token])
            };
        });
    }
    let scales = simd.load_rows(&part.scales[half]);
    for_tokens!(TOKENS, token => {
        totals[token] = simd.mul_scale_add(simd.rows(sums[token]), scales, x[token].scale, totals[token]);
    });
    if K::MINIMA {
        let minima = simd.load_rows(&part.minima[half]);
        for_tokens!(TOKENS, token => totals[token] = simd.scale_add(minima, x[token].totals[half], totals[token]));
    }
    totals
}
