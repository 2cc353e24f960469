//! How families of byte-level tokenizers cut text into words before they merge.
//!
//! The names are those of `tokenizer.ggml.pre` and a convention of llama.cpp (`llama-vocab.cpp`); the patterns are those
//! of each family's own `tokenizer.json`.

/// How a family cuts text into words: patterns, each applied to what the one before left together.
pub(super) struct Family {
    pub patterns: &'static [&'static str],
    /// Whether a word that is a token as a whole is taken without merging.
    pub ignore_merges: bool,
    /// Whether texts begin with BOS where the file does not say.
    pub add_bos: bool,
    /// Whether texts end with the separator where the file does not say.
    pub add_separator: bool,
}

const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN_2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Marks belong to the letters that they stand on.
const QWEN_3_5: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT_4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const BLOOM: &str = r" ?[^(\s|.,!?…。，、।۔،)]+";
const DIGIT: &str = r"\p{N}";
const THREE_DIGITS: &str = r"[0-9][0-9][0-9]";
const UP_TO_THREE_DIGITS: &str = r"\p{N}{1,3}";
const NEWLINE: &str = r"[\r\n]";
const CHINESE_AND_KOREAN: &str = r"[一-龥ࠀ-一가-퟿]+";
/// Letters with cases, as DeepSeek LLM lists them.
const CASED_WORD: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const WIDE_PUNCTUATION: &str = r"\s?[!-/:-~！-／：-～‘-‟　-。]+";
const DEEPSEEK_3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// The family behind a name.
pub(super) fn family(pre: &str) -> Option<Family> {
    let plain = |patterns| Family { patterns, ignore_merges: false, add_bos: false, add_separator: false };
    Some(match pre {
        "default" => plain(&[r"[\p{P}\$\+<=>\^~\|]+", GPT_2, r"\p{N}+", THREE_DIGITS]),
        "gpt-2" | "phi-2" | "mpt" | "olmo" | "jais" | "exaone4" | "jina-es" | "jina-de" | "jina-v2-es"
        | "jina-v2-de" | "gigachat" | "a.x-4.0" | "mellum" | "modern-bert" => plain(&[GPT_2]),
        "roberta-bpe" | "jina-v1-en" | "jina-v2-code" => {
            Family { add_bos: true, add_separator: true, ..plain(&[GPT_2]) }
        }
        "starcoder" | "refact" | "command-r" | "smollm" | "codeshell" | "exaone" | "minerva-7b" => {
            plain(&[DIGIT, GPT_2])
        }
        "falcon" => plain(&[r"[\p{P}\$\+<=>\^~\|`]+", GPT_2, THREE_DIGITS]),
        "qwen2" | "deepseek-r1-qwen" | "stablelm2" | "megrez" | "kormo" | "f2llmv2" | "hunyuan" | "solar-open" => {
            plain(&[QWEN_2])
        }
        "qwen35" => plain(&[QWEN_3_5]),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2"
        | "jina-v5-nano" => Family { ignore_merges: true, add_bos: true, ..plain(&[LLAMA_3]) },
        "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" => plain(&[LLAMA_3]),
        "gpt-4o" | "llama4" | "kanana2" => plain(&[GPT_4O]),
        "tekken" => Family { ignore_merges: true, add_bos: true, ..plain(&[TEKKEN]) },
        "poro-chat" | "bloom" | "gpt3-finnish" => plain(&[BLOOM]),
        "viking" => plain(&[BLOOM, DIGIT]),
        "deepseek-llm" => plain(&[NEWLINE, CASED_WORD, WIDE_PUNCTUATION, r"\s+$", CHINESE_AND_KOREAN, r"\p{N}+"]),
        "deepseek-coder" => plain(&[NEWLINE, r"\s?\p{L}+", r"\s?\p{P}+", CHINESE_AND_KOREAN, DIGIT]),
        "deepseek-v3" | "hunyuan-dense" | "joyai-llm" => plain(&[UP_TO_THREE_DIGITS, r"[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_3]),
        _ => return None,
    })
}
