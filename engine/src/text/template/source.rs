//! A template's text, rewritten where Jinja2 and the engine that renders it here read the same text differently.

use std::ops::Range;

use super::kept;

/// The filter that a loop's sequence passes through; see [`super::python`].
pub(super) const EACH: &str = "each__";
/// The filter for texts that are joined with others after they were declared safe.
pub(super) const SAFE: &str = "safe__";

/// Where the next tag, comment or lone brace begins and ends. What is never closed is for the template engine to
/// complain about.
pub(super) fn next_tag(source: &str) -> Option<(usize, usize)> {
    let start = source.find('{')?;
    let end = match &source.as_bytes()[start + 1..] {
        [b'#', ..] => source[start..].find("#}").map(|end| start + end + 2),
        [b'%', ..] => tag_end(source, start, "%}"),
        [b'{', ..] => tag_end(source, start, "}}"),
        _ => Some(start + 1),
    };
    Some((start, end?))
}

/// Rewrites four things: `{% generation %}` becomes a block that does nothing but what any block does, which is to
/// trim the spaces around it and to keep what is set inside it; what a loop goes over passes through [`EACH`];
/// `safe` becomes [`SAFE`] where texts are joined; and what is [kept](super::kept) is looked at first.
pub(super) fn rewritten(source: &str) -> String {
    let mut result = String::with_capacity(source.len() + 64);
    let mut rest = source;
    while let Some((start, end)) = next_tag(rest) {
        let tag = &rest[start..end];
        result.push_str(&rest[..start]);
        rest = &rest[end..];
        if tag.starts_with("{%") {
            let word = tag_word(tag);
            result.push_str(&rewritten_block(tag, word));
            if word == "raw" {
                let end = rest.find("endraw").unwrap_or(rest.len());
                result.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        } else if tag.starts_with("{{") {
            result.push_str(&with_joined_safe(tag));
        } else {
            result.push_str(tag);
        }
    }
    result.push_str(rest);
    result
}

/// The first word of a block.
pub(super) fn tag_word(tag: &str) -> &str {
    let inside = tag.trim_start_matches("{%").trim_start_matches(['-', '+']).trim_start();
    let end = inside.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(inside.len());
    &inside[..end]
}

fn rewritten_block(tag: &str, word: &str) -> String {
    match word {
        "generation" => tag.replacen("generation", "with", 1),
        "endgeneration" => tag.replacen("endgeneration", "endwith", 1),
        "for" => with_checked_loop(tag) + &kept::after_loop(tag),
        "set" => kept::in_set(&with_joined_safe(tag)),
        "macro" | "call" => with_joined_safe(tag) + &kept::after_parameters(tag),
        _ => with_joined_safe(tag),
    }
}

/// Passes what the loop goes over through a filter.
fn with_checked_loop(tag: &str) -> String {
    let is_word = |(_, word): &(Range<usize>, &str), wanted: &[&str]| wanted.contains(word);
    let words: Vec<_> = outer_words(tag);
    let Some(from) = words.iter().position(|word| is_word(word, &["in"])) else { return tag.to_owned() };
    let start = words[from].0.end;
    let end = words[from + 1..].iter().find(|word| is_word(word, &["if", "recursive"])).map(|word| word.0.start);
    let end = end.unwrap_or_else(|| tag.trim_end_matches("%}").trim_end_matches(['-', '+']).len()).max(start);
    format!("{} ({})|{EACH} {}", &tag[..start], &tag[start..end], &tag[end..])
}

/// Names `safe` differently in a tag that joins texts.
fn with_joined_safe(tag: &str) -> String {
    let is_joined = outside_strings(tag).any(|(_, character)| character == '+');
    if !is_joined || !tag.contains("safe") {
        return tag.to_owned();
    }
    let mut result = String::with_capacity(tag.len() + 8);
    let mut done = 0;
    for (range, word) in words(tag, outside_strings(tag)) {
        let is_filter = tag[..range.start].trim_end().ends_with('|');
        if word == "safe" && is_filter {
            result.push_str(&tag[done..range.start]);
            result.push_str(SAFE);
            done = range.end;
        }
    }
    result.push_str(&tag[done..]);
    result
}

/// Where a tag ends: at the first end mark outside texts and brackets.
fn tag_end(source: &str, start: usize, mark: &str) -> Option<usize> {
    let inside = &source[start + 2..];
    let mut depth = 0usize;
    for (place, character) in outside_strings(inside) {
        if depth == 0 && inside[place..].starts_with(mark) {
            return Some(start + 2 + place + 2);
        }
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// The characters outside quoted texts.
pub(super) fn outside_strings(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    let mut is_escaped = false;
    text.char_indices().filter(move |(_, character)| {
        match (quote, *character) {
            (None, '"' | '\'') => quote = Some(*character),
            (None, _) => return true,
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
        false
    })
}

/// The words of a tag that stand outside texts and brackets.
pub(super) fn outer_words(tag: &str) -> Vec<(Range<usize>, &str)> {
    let mut depth = 0usize;
    let outer = outside_strings(&tag[1..]).map(|(place, character)| (place + 1, character)).filter(|(_, character)| {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    words(tag, outer)
}

fn words(tag: &str, characters: impl Iterator<Item = (usize, char)>) -> Vec<(Range<usize>, &str)> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (place, character) in characters.filter(|(_, character)| character.is_alphanumeric() || *character == '_') {
        let end = place + character.len_utf8();
        match ranges.last_mut() {
            Some(range) if range.end == place => range.end = end,
            _ => ranges.push(place..end),
        }
    }
    ranges.into_iter().map(|range| (range.clone(), &tag[range])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_rewritten() {
        for (source, expected) in [
            ("{% generation %}x{%- endgeneration -%}", "{% with %}x{%- endwith -%}"),
            ("{%- for m in messages -%}", "{%- for m in ( messages )|each__ -%}"),
            (
                "{% for k, v in x['in'].items() if (v if v else k) is string %}",
                "{% for k, v in ( x['in'].items() )|each__ if (v if v else k) is string %}",
            ),
            ("{{ 'a'|safe + b }}{{ c | safe }}", "{{ 'a'|safe__ + b }}{{ c | safe }}"),
            ("{{ ' + |safe' }} {# {% for a in b %} #}", "{{ ' + |safe' }} {# {% for a in b %} #}"),
            ("{% raw %}{% for a in b %}{% endraw %}", "{% raw %}{% for a in b %}{% endraw %}"),
            ("{{ {'a': {'b': '}}'}} }}{% set x = '%}' %}", "{{ {'a': {'b': '}}'}} }}{% set x = ( '%}' )|kept__ %}"),
            ("{ {% for", "{ {% for"),
            ("{{ \"\\\"|safe\" }} {", "{{ \"\\\"|safe\" }} {"),
        ] {
            assert_eq!(rewritten(source).replace("  ", " "), expected.replace("  ", " "), "{source}");
        }
    }
}
