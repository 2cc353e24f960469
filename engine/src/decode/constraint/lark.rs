//! Checks of what a person writes as a grammar or a regular expression.

use serde_json::Value;

use super::schema;
use crate::{Error, Result};

/// Bytes of a grammar's text.
const GRAMMAR_BYTES_MAX: usize = 64 << 10;

/// Bytes of a regular expression.
const PATTERN_BYTES_MAX: usize = 16 << 10;

/// Brackets within brackets.
const DEPTH_MAX: usize = 48;

/// A regular expression without the anchors at its ends: it matches as a whole anyway.
pub(super) fn pattern(pattern: &str) -> Result<&str> {
    let refuse = |reason: String| Err(Error::Constraint { kind: "regular expression", reason });
    if pattern.len() > PATTERN_BYTES_MAX {
        return refuse(format!("it has {} bytes; at most {PATTERN_BYTES_MAX} are possible", pattern.len()));
    }
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = match inner.strip_suffix('$') {
        // `\$` is a dollar, `\\$` a backslash before the end.
        Some(rest) if rest.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0 => rest,
        _ => inner,
    };
    if inner.is_empty() {
        return refuse("it is empty".to_owned());
    }
    if depth(inner) > DEPTH_MAX {
        return refuse(format!("its brackets are nested more than {DEPTH_MAX} deep"));
    }
    Ok(inner)
}

/// A grammar whose text is of a usual size, and whose JSON Schemas are sound.
pub(super) fn prepare(grammar: &str) -> Result<String> {
    let refuse = |reason: String| Err(Error::Constraint { kind: "grammar", reason });
    if grammar.len() > GRAMMAR_BYTES_MAX {
        return refuse(format!("it has {} bytes; at most {GRAMMAR_BYTES_MAX} are possible", grammar.len()));
    }
    if grammar.trim().is_empty() {
        return refuse("it is empty".to_owned());
    }
    let mut prepared = String::with_capacity(grammar.len());
    let mut plain_depth = 0;
    let mut parts = grammar.split("%json");
    if let Some(first) = parts.next() {
        plain_depth = plain_depth.max(depth(first));
        prepared.push_str(first);
    }
    for part in parts {
        let mut values = serde_json::Deserializer::from_str(part).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else { return refuse("no JSON Schema follows %json".to_owned()) };
        let rest = &part[values.byte_offset()..];
        plain_depth = plain_depth.max(depth(rest));
        prepared.push_str(&format!("%json {}{rest}", schema::prepare(&value)?));
    }
    if plain_depth > DEPTH_MAX {
        return refuse(format!("its brackets are nested more than {DEPTH_MAX} deep"));
    }
    Ok(prepared)
}

/// How deep brackets are nested, at most: too many counts as too deep, so quotes and classes need no parser.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
