//! What a fused command hands on to the next.

use super::{Block, Fused};
use crate::{
    kernel::{FusedMatvec, FusedOut},
    plan::Program,
};

/// Lets products whose sums the next commands read through a norm hand them on. `fits` says whether a matrix of so many
/// bytes and elements lies in one buffer: parts of one would each have to know where their sums of squares go.
pub(super) fn on(program: &Program, blocks: &mut [Block], fits: &dyn Fn(u64, u64) -> bool) {
    let mut fused: Vec<&mut Fused> = blocks.iter_mut().flat_map(|block| &mut block.fused).collect();
    for from in 0..fused.len() {
        let (before, after) = fused.split_at_mut(from + 1);
        let Some(Fused::Matvec(giver)) = before.last_mut().map(|fused| &mut **fused) else { continue };
        // What it was handed itself lies in the same memory.
        let is_taker = giver.norm.is_some_and(|norm| norm.is_handed);
        if is_taker || !giver.can_hand_on() || !lies_whole(program, giver, fits) {
            continue;
        }
        // Several products may read it, where the matrices do not lie in one buffer.
        for taker in after {
            let Fused::Matvec(taker) = &mut **taker else { break };
            let Some(norm) = &mut taker.norm else { break };
            let is_new = giver.hands_on.is_none_or(|weight| weight == norm.weight);
            if giver.out != FusedOut::Tensor(taker.x)
                || taker.columns != giver.rows()
                || !is_new
                || taker.out == giver.out
            {
                break;
            }
            giver.hands_on = Some(norm.weight);
            norm.is_handed = true;
        }
    }
}

fn lies_whole(program: &Program, giver: &FusedMatvec, fits: &dyn Fn(u64, u64) -> bool) -> bool {
    let decls = giver.matrices.iter().map(|matrix| program.tensor(matrix.weights));
    decls.into_iter().all(|decl| fits(decl.bytes(), decl.elements()))
}
