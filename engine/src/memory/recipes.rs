//! What a model's quantised forms take, from its shapes alone, and which of them suits the memory at hand.

use crate::{
    error::human_bytes,
    file::{Catalog, TensorInfo},
    protocol::{Fit, Frontier, FrontierPoint, LossReport, MemoryPlan, Quantizer, RecipeReport, RecipesReport},
    tensor::Format,
};

/// What is offered: bits a weight of the linear layers.
const OFFERED_BITS: [f64; 7] = [6.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.0];

/// The name of the model without a recipe.
const AS_IT_IS: &str = "as it is";

/// How far a measured model's linear layers may be from a recipe's bits to stand for it.
const NEAR_BITS: f64 = 0.1;

/// Recipes for a model.
pub struct Recipes<'a> {
    /// Its tensors.
    pub catalog: &'a Catalog,
    /// What the command line calls it.
    pub model: &'a str,
    /// What it needs as it is.
    pub plan: &'a MemoryPlan,
    /// What there is; none if nobody knows.
    pub memory_bytes: Option<u64>,
    /// What was measured of it.
    pub own: Option<Frontier>,
    /// What was measured of another model, which is better than nothing.
    pub other: Option<Frontier>,
}

impl Recipes<'_> {
    /// Every recipe, and the one that loses least of those that fit.
    pub fn report(self) -> RecipesReport {
        let weights_bytes = self.catalog.weights_bytes();
        let mut recipes = vec![RecipeReport {
            name: AS_IT_IS.to_owned(),
            command: String::new(),
            linear_bits_per_weight: self.catalog.linear_bits_per_weight(),
            bits_per_weight: self.catalog.bits_per_weight(),
            weights_bytes,
            needed_bytes: self.plan.total_bytes,
            fit: self.fit(self.plan.total_bytes),
            loss: None,
        }];
        let offered = OFFERED_BITS.into_iter().map(|bits| self.recipe(bits));
        recipes.extend(offered.filter(|recipe| recipe.weights_bytes < weights_bytes));
        let chosen = choose(&recipes);
        let advice = self.advice(&recipes, chosen);
        RecipesReport {
            absence: String::new(),
            recommended: chosen.map(|recipe| recipe.name.clone()),
            advice,
            memory_bytes: self.memory_bytes,
            context_tokens: self.plan.context_tokens,
            frontier: self.own,
            recipes,
        }
    }

    fn recipe(&self, bits: f64) -> RecipeReport {
        let predicted = Predicted::of(self.catalog, bits);
        let linear_bits = predicted.linear_bits();
        let own = self.own.as_ref().and_then(|frontier| nearest(frontier, linear_bits).map(|point| (frontier, point)));
        let other =
            || self.other.as_ref().and_then(|frontier| nearest(frontier, linear_bits).map(|point| (frontier, point)));
        let weights_bytes = own.map_or(predicted.bytes, |(_, point)| point.weights_bytes);
        let loss = own.or_else(other).map(|(frontier, point)| LossReport {
            model: frontier.reference.clone(),
            is_own: own.is_some(),
            kl_mean: point.kl_mean,
            perplexity_rise: point.perplexity_rise,
            accuracy_kept: point.accuracy_kept,
        });
        // All that is no weight stays as it is.
        let saved_bytes = self.catalog.weights_bytes().saturating_sub(weights_bytes);
        let needed_bytes = self.plan.total_bytes.saturating_sub(saved_bytes);
        let name = format!("{bits} bits");
        RecipeReport {
            command: command(self.model, bits),
            linear_bits_per_weight: own.map_or(linear_bits, |(_, point)| point.linear_bits_per_weight),
            bits_per_weight: weights_bytes as f64 * 8.0 / self.catalog.parameters().max(1) as f64,
            fit: self.fit(needed_bytes),
            name,
            weights_bytes,
            needed_bytes,
            loss,
        }
    }

    fn fit(&self, needed_bytes: u64) -> Fit {
        match self.memory_bytes {
            None => Fit::Unknown,
            Some(bytes) if needed_bytes <= bytes => Fit::Fits,
            Some(_) => Fit::TooLarge,
        }
    }

    fn advice(&self, recipes: &[RecipeReport], chosen: Option<&RecipeReport>) -> String {
        let context = self.plan.context_tokens;
        let Some(memory_bytes) = self.memory_bytes else {
            return "How much memory is free is not known here: say how much the model may take.".to_owned();
        };
        let there = human_bytes(memory_bytes);
        let needed = |recipe: &RecipeReport| human_bytes(recipe.needed_bytes);
        match chosen {
            Some(recipe) if recipe.command.is_empty() => {
                format!(
                    "As it is, it needs {} of {there} with {context} tokens of context, and loses nothing.",
                    needed(recipe)
                )
            }
            Some(recipe) => format!(
                "Of what fits into {there} with {context} tokens of context, {} lose least: {} are needed.",
                recipe.name,
                needed(recipe)
            ),
            None => {
                let least = recipes.iter().min_by_key(|recipe| recipe.needed_bytes);
                let least =
                    least.map_or_else(String::new, |recipe| format!(": {} needs {}", recipe.name, needed(recipe)));
                format!(
                    "Nothing fits into {there} with {context} tokens of context{least}. Choose less context or a smaller model."
                )
            }
        }
    }
}

/// The one that loses least of those that fit: as it is, or else by what was measured, or else with the most bits.
fn choose(recipes: &[RecipeReport]) -> Option<&RecipeReport> {
    let fitting: Vec<&RecipeReport> = recipes.iter().filter(|recipe| recipe.fit == Fit::Fits).collect();
    let first = *fitting.first()?;
    if first.command.is_empty() {
        return Some(first);
    }
    let losses: Option<Vec<f64>> = fitting.iter().map(|recipe| Some(recipe.loss.as_ref()?.kl_mean)).collect();
    let Some(losses) = losses else { return Some(first) };
    let least = fitting.iter().zip(&losses).min_by(|(_, one), (_, other)| one.total_cmp(other));
    least.map(|(recipe, _)| *recipe)
}

/// What was measured of a folder of ours with nearly so many bits.
fn nearest(frontier: &Frontier, linear_bits: f64) -> Option<&FrontierPoint> {
    let distance = |point: &FrontierPoint| (point.linear_bits_per_weight - linear_bits).abs();
    let ours = frontier.points.iter().filter(|point| point.quantizer == Quantizer::Hearth);
    let near = ours.filter(|point| distance(point) < NEAR_BITS && point.weights_bytes > 0);
    near.min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

/// What to type.
fn command(model: &str, bits: f64) -> String {
    let option = if is_allocated(bits) { format!("--target-bpw {bits}") } else { format!("--bits {bits}") };
    let last = model.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default();
    let out = format!("{last}-{bits}bit");
    format!("hearth quantize {} {option} --calibrate TEXT.txt -o {}", quoted(model), quoted(&out))
}

/// Whether matrices get different bits, as is measured. Below 2 bits and above 6 there is nothing to give and to take.
fn is_allocated(bits: f64) -> bool {
    bits > 2.0 && bits < 6.0
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "._-/~".contains(character);
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let path = if word.starts_with('-') { format!("./{word}") } else { word.to_owned() };
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// Bytes of a model's tensors under a recipe.
#[derive(Default)]
struct Predicted {
    bytes: u64,
    linear_bytes: f64,
    linear_weights: u64,
}

impl Predicted {
    /// The same choices as the quantizer's: matrices in strips, tables with a bit more, and the rest as it is.
    fn of(catalog: &Catalog, bits: f64) -> Self {
        let mut sum = Self::default();
        for tensor in catalog.tensors.values() {
            let is_linear = catalog.is_linear(tensor);
            let bytes = stored_bytes(tensor, bits, is_linear);
            sum.bytes = sum.bytes.saturating_add(bytes as u64);
            if is_linear {
                sum.linear_bytes += bytes;
                sum.linear_weights = sum.linear_weights.saturating_add(tensor.elements());
            }
        }
        sum
    }

    fn linear_bits(&self) -> f64 {
        self.linear_bytes * 8.0 / self.linear_weights.max(1) as f64
    }
}

/// Norms that rotation folds into the matrices behind them; what tuning then makes of their gains is kept in F32.
const FOLDED: [&str; 3] = ["input_layernorm.weight", "post_attention_layernorm.weight", "model.norm.weight"];

/// Bytes of one tensor. An allocation spends just so many bits, scales included.
fn stored_bytes(tensor: &TensorInfo, bits: f64, is_linear: bool) -> f64 {
    let whole = bits as usize;
    // Two bits come first of the formats.
    let of = |bits: usize| {
        let format = Format::TRELLIS.get(bits.clamp(2, 6) - 2)?;
        format.rows_bytes(tensor.rows(), tensor.columns())
    };
    let unchanged = tensor.len_bytes as f64;
    if tensor.shape.len() != 2 {
        let is_folded = FOLDED.iter().any(|end| tensor.name.ends_with(end));
        return if is_folded { tensor.elements() as f64 * 4.0 } else { unchanged };
    }
    match of(if is_linear { whole } else { whole + 1 }) {
        None => unchanged,
        Some(_) if is_linear && is_allocated(bits) => tensor.elements() as f64 * bits / 8.0,
        Some(bytes) => bytes as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_the_command_as_it_is() {
        assert_eq!(command("tiny", 2.0), "hearth quantize tiny --bits 2 --calibrate TEXT.txt -o tiny-2bit");
        let halves = command("/models/my model/", 2.5);
        assert_eq!(
            halves,
            "hearth quantize '/models/my model/' --target-bpw 2.5 --calibrate TEXT.txt -o 'my model-2.5bit'"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("-rf"), "'./-rf'");
    }
}
