//! Causal attention, head by head, and its gradients.

use hearth_engine::kernel::Attention;

use super::Number;
use crate::linear::{Strides, columns_of, rows_of};

/// Heads, and what each of them sees.
#[derive(Clone, Copy)]
pub struct Heads<'a, N> {
    command: &'a Attention,
    /// (tokens, heads, head_dim).
    pub queries: &'a [N],
    /// (tokens, kv_heads, head_dim).
    pub keys: &'a [N],
    /// (tokens, kv_heads, head_dim).
    pub values: &'a [N],
}

impl<'a, N: Number> Heads<'a, N> {
    /// Of a text that begins at position 0.
    pub fn new(command: &'a Attention, [queries, keys, values]: [&'a [N]; 3]) -> Self {
        Self { command, queries, keys, values }
    }

    fn sizes(&self) -> [usize; 3] {
        let params = &self.command.params;
        [params.heads, params.kv_heads, params.head_dim].map(|size| size as usize)
    }

    /// Where a head's vectors begin, and how far it is from token to token: of queries, and of keys and values.
    fn strides(&self, head: usize) -> [(usize, Strides); 2] {
        let [heads, kv_heads, head_dim] = self.sizes();
        let kv_head = head / (heads / kv_heads.max(1)).max(1);
        [(head * head_dim, rows_of(heads * head_dim)), (kv_head * head_dim, rows_of(kv_heads * head_dim))]
    }

    fn tokens(&self) -> usize {
        let [heads, _, head_dim] = self.sizes();
        self.queries.len() / (heads * head_dim).max(1)
    }

    /// How much each token takes of each, (tokens, tokens), and the slopes of the cap if there is one.
    fn shares(&self, head: usize) -> (Vec<N>, Option<Vec<N>>) {
        let ([(query_at, queries), (key_at, keys)], tokens) = (self.strides(head), self.tokens());
        let [_, _, head_dim] = self.sizes();
        let params = &self.command.params;
        let mut scores = vec![N::zero(); tokens * tokens];
        // (head_dim, tokens).
        let keys = Strides { row: keys.column, column: keys.row };
        let (left, right) = ((&self.queries[query_at..], queries), (&self.keys[key_at..], keys));
        let out = (scores.as_mut_slice(), rows_of(tokens));
        N::product([tokens, head_dim, tokens], N::of(params.scale), left, right, N::zero(), out);
        let mut slopes = None;
        if params.softcap > 0.0 {
            let cap = N::of(params.softcap);
            let bent = |score: &mut N| {
                *score = cap * (*score / cap).tanh();
                N::one() - (*score / cap) * (*score / cap)
            };
            slopes = Some(scores.iter_mut().map(bent).collect());
        }
        for (token, scores) in scores.chunks_exact_mut(tokens).enumerate() {
            let first = if params.window > 0 { (token + 1).saturating_sub(params.window as usize) } else { 0 };
            let (unseen, rest) = scores.split_at_mut(first);
            let (seen, later) = rest.split_at_mut(token + 1 - first);
            unseen.fill(N::zero());
            later.fill(N::zero());
            let highest = seen.iter().copied().fold(N::neg_infinity(), N::max);
            seen.iter_mut().for_each(|score| *score = (*score - highest).exp());
            let total: N = seen.iter().copied().sum();
            seen.iter_mut().for_each(|score| *score /= total);
        }
        (scores, slopes)
    }

    /// (tokens, heads, head_dim).
    pub fn forward(&self) -> Vec<N> {
        let ([heads, _, head_dim], tokens) = (self.sizes(), self.tokens());
        let mut out = vec![N::zero(); self.queries.len()];
        for head in 0..heads {
            let [(query_at, queries), (key_at, keys)] = self.strides(head);
            let (shares, _) = self.shares(head);
            let (left, right) = ((shares.as_slice(), rows_of(tokens)), (&self.values[key_at..], keys));
            let out = (&mut out[query_at..], queries);
            N::product([tokens, tokens, head_dim], N::one(), left, right, N::zero(), out);
        }
        out
    }

    /// Of queries, keys and values, from that of what came out.
    pub fn backward(&self, dout: &[N]) -> [Vec<N>; 3] {
        let ([heads, _, head_dim], tokens) = (self.sizes(), self.tokens());
        let scale = N::of(self.command.params.scale);
        let mut found = [self.queries, self.keys, self.values].map(|of| vec![N::zero(); of.len()]);
        let [dqueries, dkeys, dvalues] = &mut found;
        let (square, turned) = (rows_of(tokens), columns_of(tokens));
        for head in 0..heads {
            let [(query_at, queries), (key_at, keys)] = self.strides(head);
            let (shares, slopes) = self.shares(head);
            let dout = (&dout[query_at..], queries);
            let shape = [tokens, tokens, head_dim];
            N::product(shape, N::one(), (&shares, turned), dout, N::one(), (&mut dvalues[key_at..], keys));
            let mut dscores = vec![N::zero(); tokens * tokens];
            let values = (&self.values[key_at..], Strides { row: keys.column, column: keys.row });
            N::product([tokens, head_dim, tokens], N::one(), dout, values, N::zero(), (&mut dscores, square));
            for (dscores, shares) in dscores.chunks_exact_mut(tokens).zip(shares.chunks_exact(tokens)) {
                let mean: N = dscores.iter().zip(shares).map(|(d, share)| *d * *share).sum();
                dscores.iter_mut().zip(shares).for_each(|(d, share)| *d = *share * (*d - mean));
            }
            if let Some(slopes) = slopes {
                dscores.iter_mut().zip(slopes).for_each(|(d, slope)| *d *= slope);
            }
            let (key, query) = ((&self.keys[key_at..], keys), (&self.queries[query_at..], queries));
            N::product(shape, scale, (&dscores, square), key, N::one(), (&mut dqueries[query_at..], queries));
            N::product(shape, scale, (&dscores, turned), query, N::one(), (&mut dkeys[key_at..], keys));
        }
        found
    }
}
