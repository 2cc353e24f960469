//! What a person may choose, and what is told while it is done.

use hearth_engine::{Error, Result, device::Workers, quant::trellis::Code, tensor::Format};
use serde::{Deserialize, Serialize};

use crate::{trellis::EncodesTiles, tune::Tuning};

/// Which tensors become what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Of matrices that no rule names.
    pub format: String,
    /// Of the table of embeddings and of the head.
    pub table_format: String,
    /// The first that fits a tensor's name decides.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Steps of tuning; 0 for none, and None for what is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tune: Option<u32>,
}

/// A format for some tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Their names; a star stands for any characters.
    pub tensors: String,
    /// The format's name; "plain" leaves them as they are.
    pub format: String,
}

/// Tables get so many bits more than the matrices between them. On the bundled model with matrices of 3 bits, a table of
/// 5 in place of 4 lowers the divergence by 6 %, and as many bits in the matrices lower it by 21 %.
const TABLE_BITS_MORE: u32 = 1;

impl Recipe {
    /// So many bits for each matrix.
    pub fn of_bits(bits: u32) -> Result<Self> {
        let name = |bits: u32| {
            let found = Format::TRELLIS.into_iter().find(|format| format.trellis_bits() == Some(bits));
            found.map(|format| format.name().to_owned())
        };
        let refused = || Error::invalid("bits", format_args!("{bits} is not from 2 to 6"));
        let format = name(bits).ok_or_else(refused)?;
        let table_format = name((bits + TABLE_BITS_MORE).min(6)).ok_or_else(refused)?;
        Ok(Self { format, table_format, rules: Vec::new(), tune: None })
    }

    /// Two bits that cost little to read. So does the table, which is a large product where it is the head too.
    pub fn of_levels() -> Self {
        let [format, table_format] = [Format::Levels2, Format::Q4_0].map(|format| format.name().to_owned());
        Self { format, table_format, rules: Vec::new(), tune: None }
    }

    /// Reads a recipe: a JSON object.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let recipe: Self = serde_json::from_str(text).map_err(|error| Error::malformed(file, error))?;
        for name in recipe.rules.iter().map(|rule| &rule.format).chain([&recipe.format, &recipe.table_format]) {
            written(name)?;
        }
        Ok(recipe)
    }

    /// Whether a rule names it.
    pub fn has_rule_for(&self, tensor: &str) -> bool {
        self.rules.iter().any(|rule| matches(&rule.tensors, tensor))
    }

    /// What a tensor becomes; None leaves it as it is.
    pub fn format_of(&self, tensor: &str, is_table: bool) -> Result<Option<Format>> {
        let rule = self.rules.iter().find(|rule| matches(&rule.tensors, tensor));
        let otherwise = if is_table { &self.table_format } else { &self.format };
        written(rule.map_or(otherwise, |rule| &rule.format))
    }
}

/// A format that is written here; None for "plain".
fn written(name: &str) -> Result<Option<Format>> {
    if name.eq_ignore_ascii_case("plain") {
        return Ok(None);
    }
    let format = Format::from_name(name).filter(|format| *format == Format::Q4_0 || format.strip_bits().is_some());
    let reason = || format!("{name:?} is none that is written: TRELLIS2 to TRELLIS6, LEVELS2, Q4_0, or plain");
    Ok(Some(format.ok_or_else(|| Error::invalid("format", reason()))?))
}

/// Whether a name fits a pattern of stars.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    let found = middle.iter().try_fold(rest, |rest, part| rest.find(part).map(|at| &rest[at + part.len()..]));
    found.is_some_and(|rest| rest.ends_with(last))
}

/// All that decides which bytes come out, beside the model and the text.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which tensors become what.
    pub recipe: Recipe,
    /// Windows and codebook.
    pub code: Code,
    /// Whether matrices are turned where the architecture allows it.
    pub rotates: bool,
    /// Of the rotation's signs.
    pub seed: u64,
    /// Added to the Hessian's diagonal, as a part of its mean.
    pub damping: f64,
    /// Whether scales are tried on some strips of each matrix.
    pub tries_scales: bool,
    /// How the finished model is tuned, if it is.
    pub tuning: Option<Tuning>,
}

impl Options {
    /// What is best, if it may take its time.
    pub fn new(recipe: Recipe) -> Self {
        let code = Code::default();
        Self { recipe, code, rotates: true, seed: 0, damping: 0.01, tries_scales: true, tuning: None }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// What is being done: a tensor's name, or what is measured.
    pub stage: String,
    /// Parts of the work that are done.
    pub done: u64,
    /// Parts of the work in all.
    pub total: u64,
}

/// Whoever runs it: threads, a folder for what is done, and a person who watches.
pub trait Host: Sync {
    /// The threads.
    fn workers(&self) -> &dyn Workers;
    /// Who encodes many tiles at once, if anybody does.
    fn encoder(&self) -> Option<&dyn EncodesTiles> {
        None
    }
    /// A file of the folder that was kept, whole; None if there is none of that name.
    fn kept(&self, name: &str) -> Result<Option<Vec<u8>>>;
    /// Keeps a file in the folder, whole or not at all.
    fn keep(&self, name: &str, bytes: &[u8]) -> Result<()>;
    /// Removes a file of the folder, if it is there.
    fn forget(&self, name: &str) -> Result<()>;
    /// Hears how far it is.
    fn progress(&self, progress: &Progress);
    /// Whether to stop. What was kept stays, and another run goes on from there.
    fn is_cancelled(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_characters() {
        let name = "model.layers.10.self_attn.v_proj.weight";
        for pattern in ["*", name, "*.v_proj.weight", "model.layers.10.*", "*layers.10.*v_proj*", "**v_proj**"] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in ["", "v_proj", "*.v_proj", "model.layers.1.*", "*q_proj*", "*.weight.weight"] {
            assert!(!matches(pattern, name), "{pattern}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let text = r#"{"format": "TRELLIS2", "table_format": "plain", "rules": [
            {"tensors": "*.v_proj.*", "format": "trellis4"}, {"tensors": "*_proj.*", "format": "TRELLIS3"}]}"#;
        let recipe = Recipe::parse("recipe.json", text).unwrap();
        assert_eq!(recipe.format_of("a.v_proj.weight", false).unwrap(), Some(Format::Trellis4));
        assert_eq!(recipe.format_of("a.q_proj.weight", false).unwrap(), Some(Format::Trellis3));
        assert_eq!(recipe.format_of("a.other.weight", false).unwrap(), Some(Format::Trellis2));
        assert_eq!(recipe.format_of("embed", true).unwrap(), None);
    }

    #[test]
    fn a_recipe_with_an_unknown_format_is_refused() {
        for format in ["TRELLIS1", "Q4_1", "", "TRELLIS", "LEVELS", "LEVELS4"] {
            let text = format!(r#"{{"format": "{format}", "table_format": "plain"}}"#);
            assert!(Recipe::parse("recipe.json", &text).is_err(), "{format}");
        }
        assert_eq!(Recipe::of_levels().format_of("a.q_proj.weight", false).unwrap(), Some(Format::Levels2));
        assert!(Recipe::of_bits(1).is_err() && Recipe::of_bits(7).is_err());
    }
}
