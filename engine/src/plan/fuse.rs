//! Which neighbouring commands of a plan one dispatch can do. A pure function of the program: neither models nor a CPU
//! know of it, and the twin of a fused command is the sequence of the twins of the commands that it stands for.
//!
//! Only plans for one token are fused: their dispatches are so small that a GPU waits between them most of the time.

mod block;
mod hand;

use std::{collections::HashMap, ops::Range};

use super::{Command, Plan, Program, TensorKind};
use crate::{
    kernel::{Attend, FusedMatvec, FusedOut, NormAdd},
    tensor::TensorId,
};
use block::Matcher;

/// What one dispatch does, or a few if a matrix lies in several parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Fused {
    /// A command of the plan as it is.
    Single(usize),
    /// Products of one vector.
    Matvec(FusedMatvec),
    /// Attention of one token.
    Attend(Attend),
    /// A normed branch onto the stream.
    NormAdd(NormAdd),
}

/// Neighbouring commands that were fused together. They may leave memory unwritten that only they would read, and all of
/// their operands are needed at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The commands that it stands for.
    pub commands: Range<usize>,
    /// In order.
    pub fused: Vec<Fused>,
}

/// A fused program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fusion {
    /// For each plan.
    pub plans: Vec<Vec<Block>>,
    /// Matrices that lie one below the other in one buffer.
    pub stacks: Vec<Vec<TensorId>>,
    /// Elements of the memory between two fused commands.
    pub between_elements: u32,
    /// Elements of the memory for what is handed on.
    pub handed_elements: u32,
}

impl Fusion {
    /// Nothing is fused.
    pub fn none(program: &Program) -> Self {
        let single = |index: usize| Block { commands: index..index + 1, fused: vec![Fused::Single(index)] };
        let plans = program.plans.iter().map(|plan| (0..plan.commands.len()).map(single).collect());
        Self { plans: plans.collect(), ..Self::default() }
    }

    /// Whatever can be fused is; `fits` says whether matrices of so many bytes and elements can lie in
    /// one buffer.
    pub fn of(program: &Program, fits: &dyn Fn(u64, u64) -> bool) -> Self {
        let mut fusion = Self::none(program);
        let stackable = Stackable::of(program, fits);
        for (plan, blocks) in program.plans.iter().zip(&mut fusion.plans) {
            if plan.tokens_max == 1 {
                *blocks = fuse(program, plan, &stackable);
                hand::on(program, blocks, fits);
            }
        }
        for fused in fusion.plans.iter().flatten().flat_map(|block| &block.fused) {
            let Fused::Matvec(matvec) = fused else { continue };
            fusion.handed_elements = fusion.handed_elements.max(matvec.handed_elements());
            if let FusedOut::Between(first) = matvec.out {
                fusion.between_elements = fusion.between_elements.max(first + matvec.rows());
            }
            let stack: Vec<TensorId> = matvec.matrices.iter().map(|matrix| matrix.weights).collect();
            if stack.len() > 1 && !fusion.stacks.contains(&stack) {
                fusion.stacks.push(stack);
            }
        }
        fusion
    }

    /// The most elements that pieces of the context leave behind.
    pub fn partial_elements(&self, split_keys: u32, splits_max: u32) -> u64 {
        let fused = self.plans.iter().flatten().flat_map(|block| &block.fused);
        let attends = fused.filter_map(|fused| if let Fused::Attend(attend) = fused { Some(attend) } else { None });
        attends.map(|attend| attend.partial_elements(split_keys, splits_max)).max().unwrap_or(0)
    }
}

/// The blocks of a plan for one token, in order and without gaps.
fn fuse(program: &Program, plan: &Plan, stackable: &Stackable<'_>) -> Vec<Block> {
    let matcher = Matcher::new(program, plan, stackable);
    let mut blocks = Vec::new();
    let mut at = 0;
    while at < plan.commands.len() {
        let block = matcher.match_at(at).unwrap_or(Block { commands: at..at + 1, fused: vec![Fused::Single(at)] });
        at = block.commands.end;
        blocks.push(block);
    }
    blocks
}

/// When each command of a plan runs: those of a block all at once.
pub(super) fn times(program: &Program, plan: &Plan) -> Vec<usize> {
    if plan.tokens_max != 1 {
        return (0..plan.commands.len()).collect();
    }
    let blocks = fuse(program, plan, &Stackable::of(program, &|_, _| true));
    blocks.iter().enumerate().flat_map(|(time, block)| block.commands.clone().map(move |_| time)).collect()
}

/// Which matrices can lie in one buffer.
pub(super) struct Stackable<'a> {
    program: &'a Program,
    fits: &'a dyn Fn(u64, u64) -> bool,
    /// For each tensor, whether only products read it, and in how many commands for one token.
    uses: HashMap<TensorId, (bool, usize)>,
}

impl<'a> Stackable<'a> {
    fn of(program: &'a Program, fits: &'a dyn Fn(u64, u64) -> bool) -> Self {
        let mut uses = HashMap::new();
        for plan in &program.plans {
            for command in &plan.commands {
                let is_product = matches!(command, Command::Matvec(_) | Command::Matmul(_));
                for id in command.operands() {
                    let (only_products, count) = uses.entry(id).or_insert((true, 0));
                    *only_products &= is_product;
                    *count += usize::from(plan.tokens_max == 1);
                }
            }
        }
        Self { program, fits, uses }
    }

    /// Matrices of one format and width, whose rows end on a whole word, each used in products alone and in one place.
    pub(super) fn allows(&self, matrices: &[TensorId]) -> bool {
        let decls = || matrices.iter().map(|id| self.program.tensor(*id));
        let Some(first) = decls().next() else { return false };
        let same = |kind: TensorKind, columns| kind == first.kind && columns == first.columns;
        let bytes = decls().map(super::TensorDecl::bytes).sum();
        let elements = decls().map(super::TensorDecl::elements).sum();
        matches!(first.kind, TensorKind::Weight(_))
            && decls().all(|decl| same(decl.kind, decl.columns) && decl.rows.is_multiple_of(4))
            && matrices.iter().all(|id| self.uses.get(id) == Some(&(true, 1)))
            && (self.fits)(bytes, elements)
    }
}
