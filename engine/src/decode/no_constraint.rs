//! What stands for constraints in a build without them: a refusal.

use super::Session;
use crate::{Error, Result, protocol::Constraint, text::Tokenizer};

/// Would compile constraints for one model.
pub struct Grammars(());

impl Grammars {
    /// Refuses.
    pub fn new(_session: &Session, _tokenizer: &Tokenizer) -> Result<Self> {
        Err(Error::Constraint {
            kind: "constraint",
            reason: "this build of the engine is made without them".to_owned(),
        })
    }

    /// Refuses.
    pub fn compile(&self, _constraint: &Constraint) -> Result<TokenMask> {
        Err(Error::Constraint {
            kind: "constraint",
            reason: "this build of the engine is made without them".to_owned(),
        })
    }
}

/// Would say which tokens a constraint allows next.
pub struct TokenMask(());

impl TokenMask {
    /// Leaves the choice as it is.
    pub fn apply(&mut self, _logits: &mut [f32]) -> Result<()> {
        Ok(())
    }

    /// Notes nothing.
    pub fn push(&mut self, _id: u32) -> Result<()> {
        Ok(())
    }

    /// Never.
    pub fn is_complete(&mut self) -> bool {
        false
    }
}
