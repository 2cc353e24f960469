//! What a template keeps from one step to the next.
//!
//! The template engine adds and cuts lists without making them: what comes of it refers to what it was made of. It makes
//! them once there are many levels of that, and prints and drops values a level at a time. So a template that adds a list
//! to itself in a loop would fill all memory in a few dozen steps, and one that puts a value into another ten thousand
//! times would fill the stack. Neither can happen within one tag, since [tags are short](super::limits). So whatever is
//! kept beyond one (variables, attributes of namespaces, arguments of macros) is made whole there and paid for, and may
//! only be nested so deep.

use std::fmt::Write;

use minijinja::{
    Environment, Error, ErrorKind, State, Value, functions,
    value::{DynObject, ObjectRepr, Rest, Tuple, ValueOrKwargs},
};
use minijinja_contrib::globals;

use super::{
    dictionary::Dictionary,
    python::{Extreme, Generator},
    source::{outer_words, outside_strings},
};

/// The filter for variables.
const KEPT: &str = "kept__";
/// The filter for attributes of namespaces, which hold no namespaces: one could come to hold itself.
const HELD: &str = "held__";
/// Lists and dictionaries in each other. What a template is given may have 128 levels, as JSON is read.
const DEPTH_MAX: usize = 192;
/// How deep macros may call themselves, in the engine's measure: 4 a macro.
const RECURSION_MAX: usize = 200;
/// A step of the template's budget pays for looking at so many values.
const LOOKS_A_STEP: u64 = 16;
/// A step of the template's budget pays for a list of so many values.
const COPIES_A_STEP: u64 = 2;

/// Brings what looks at values into an environment.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.set_recursion_limit(RECURSION_MAX);
    environment.add_function("cycler", |items: Rest<Value>| {
        if let Some(item) = items.iter().find(|item| item.as_object().is_some()) {
            return Err(refused(format!("a cycler cannot hold a {}", item.kind())));
        }
        globals::cycler(items.0)
    });
    environment.add_function("joiner", |text: Option<String>| globals::joiner(text.map(Value::from)));
    // Not Jinja's, and it adds lists as `+` does.
    environment.remove_filter("chain");
    environment.add_filter(KEPT, |state: &State, value: Value| keep(state, value, false));
    environment.add_filter(HELD, |state: &State, value: Value| keep(state, value, true));
    environment.add_function("namespace", |state: &State, attributes: Option<ValueOrKwargs>| {
        let attributes = attributes.map(Value::from).map(|value| keep(state, value, true)).transpose()?;
        functions::namespace(attributes.map(ValueOrKwargs::from))
    });
}

/// A `set` whose value is looked at.
pub(super) fn in_set(tag: &str) -> String {
    let mut depth = 0usize;
    let equals = outside_strings(tag).skip(2).find(|(_, character)| {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *character == '='
    });
    // Without one it is a block, which makes a text.
    let Some((equals, _)) = equals else { return tag.to_owned() };
    let filter = if tag[..equals].contains('.') { HELD } else { KEPT };
    let end = end_of(tag);
    let value = &tag[equals + 1..tag.len() - end.len()];
    format!("{} ({value})|{filter} {end}", &tag[..=equals])
}

/// What looks at a macro's arguments, or at those of a block that calls one.
pub(super) fn after_parameters(tag: &str) -> String {
    let words = outer_words(tag);
    let Some((open, _)) = outside_strings(tag).find(|(_, character)| *character == '(') else { return String::new() };
    // A block that calls has parameters only if they follow at once; a macro's follow its name.
    let is_call = words.first().is_some_and(|(_, word)| *word == "call");
    if is_call && words.get(1).is_some_and(|(range, _)| range.start < open) {
        return String::new();
    }
    let inside = &tag[open + 1..];
    let (mut depth, mut names, mut start) = (0usize, Vec::new(), 0);
    for (place, character) in outside_strings(inside) {
        match character {
            ',' | ')' if depth == 0 => {
                names.push(&inside[start..place]);
                start = place + 1;
                if character == ')' {
                    break;
                }
            }
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    sets(tag, names.into_iter().map(|name| name.split('=').next().unwrap_or(name)))
}

/// What looks at the values of a loop that calls itself.
pub(super) fn after_loop(tag: &str) -> String {
    let words = outer_words(tag);
    let place = |wanted: &str| words.iter().find(|(_, word)| *word == wanted).map(|(range, _)| range.clone());
    let (Some(first), Some(last), Some(_)) = (place("for"), place("in"), place("recursive")) else {
        return String::new();
    };
    let names = tag.get(first.end..last.start).unwrap_or_default();
    sets(tag, names.split(',').map(|name| name.trim_matches([' ', '(', ')'])))
}

/// Blocks that look at variables, with the tag's way to treat the space behind it.
fn sets<'a>(tag: &str, names: impl Iterator<Item = &'a str>) -> String {
    let end = end_of(tag);
    let mut blocks = String::new();
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        let _ = write!(blocks, "{{% set {name} = {name}|{KEPT} {end}");
    }
    blocks
}

/// The mark with which a block ends.
fn end_of(tag: &str) -> &'static str {
    ["-%}", "+%}", "%}"].into_iter().find(|end| tag.ends_with(end)).unwrap_or_default()
}

fn refused(reason: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason)
}

/// A value that is whole: no list in it is yet to be made. With `is_strict` it may neither be nor hold a namespace or
/// a macro.
fn keep(state: &State, value: Value, is_strict: bool) -> Result<Value, Error> {
    let Some(object) = value.as_object() else { return Ok(value) };
    if !is_strict {
        if is_namespace(object) {
            return Ok(value);
        }
        if object.repr() == ObjectRepr::Plain {
            return Ok(value);
        }
    }
    let whole = whole(state, &value, 0, is_strict)?;
    Ok(whole.unwrap_or(value))
}

fn is_namespace(object: &DynObject) -> bool {
    object.type_name().ends_with("::Namespace")
}

/// The value made whole; `None` if it is so already.
fn whole(state: &State, value: &Value, depth: usize, is_strict: bool) -> Result<Option<Value>, Error> {
    let Some(object) = value.as_object() else { return Ok(None) };
    if object.downcast_ref::<Dictionary>().is_some() {
        return Ok(None);
    }
    if depth > DEPTH_MAX {
        return Err(refused(format!("it nests lists or dictionaries more than {DEPTH_MAX} deep")));
    }
    if is_namespace(object) {
        return Err(refused("it puts a namespace into another value".to_owned()));
    }
    // A macro holds the variables around it, another macro among them.
    if is_strict && object.type_name().ends_with("::Macro") {
        return Err(refused("a namespace cannot hold a macro".to_owned()));
    }
    if let Some(Generator(values)) = object.downcast_ref() {
        pay(state, values.len(), LOOKS_A_STEP)?;
        return values.iter().try_for_each(|value| whole(state, value, depth + 1, is_strict).map(drop)).map(|()| None);
    }
    match object.repr() {
        ObjectRepr::Plain if is_strict && object.downcast_ref::<Extreme>().is_none() => {
            Err(refused(format!("a namespace cannot hold a {}", value.kind())))
        }
        ObjectRepr::Plain => Ok(None),
        ObjectRepr::Map => whole_map(state, object, depth, is_strict),
        ObjectRepr::Iterable => listed(state, value, depth, is_strict).map(Some),
        _ => {
            let mut is_whole = true;
            for (index, item) in value.try_iter()?.enumerate() {
                if index % LOOKS_A_STEP as usize == 0 {
                    pay(state, 1, 1)?;
                }
                is_whole &= whole(state, &item, depth + 1, is_strict)?.is_none();
            }
            if is_whole { Ok(None) } else { listed(state, value, depth, is_strict).map(Some) }
        }
    }
}

/// A list of the same values.
fn listed(state: &State, value: &Value, depth: usize, is_strict: bool) -> Result<Value, Error> {
    let mut items = Vec::new();
    for (index, item) in value.try_iter()?.enumerate() {
        if index % COPIES_A_STEP as usize == 0 {
            pay(state, 1, 1)?;
        }
        items.push(whole(state, &item, depth + 1, is_strict)?.unwrap_or(item));
    }
    Ok(if value.is_tuple() { Tuple::from(items).into() } else { items.into() })
}

fn whole_map(state: &State, object: &DynObject, depth: usize, is_strict: bool) -> Result<Option<Value>, Error> {
    let mut pairs = Vec::new();
    let mut is_whole = true;
    for (key, value) in object.try_iter_pairs().into_iter().flatten() {
        pay(state, 1, COPIES_A_STEP)?;
        let made = whole(state, &value, depth + 1, is_strict)?;
        is_whole &= made.is_none();
        pairs.push((key, made.unwrap_or(value)));
    }
    Ok(if is_whole { None } else { Some(pairs.into_iter().collect()) })
}

/// Takes from the template's budget: a step for so many values, and at least one.
fn pay(state: &State, values: usize, values_a_step: u64) -> Result<(), Error> {
    state.consume_fuel((values as u64 / values_a_step).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_looked_at() {
        for (tag, expected) in [
            ("{%- set a = b + c -%}", "{%- set a = ( b + c )|kept__ -%}"),
            ("{% set a.b = 'x=y' if c == d %}", "{% set a.b = ( 'x=y' if c == d )|held__ %}"),
            ("{% set a, b = 1, 2 +%}", "{% set a, b = ( 1, 2 )|kept__ +%}"),
            ("{% set a %}", "{% set a %}"),
            ("{% set a | f(b=1) %}", "{% set a | f(b=1) %}"),
        ] {
            assert_eq!(in_set(tag), expected);
        }
        let set = |name: &str, end: &str| format!("{{% set {name} = {name}|kept__ {end}");
        assert_eq!(
            after_parameters("{%- macro m(a, b=[1, (2)], c='(') -%}"),
            ["a", "b", "c"].map(|n| set(n, "-%}")).concat()
        );
        assert_eq!(after_parameters("{% macro m() %}"), "");
        assert_eq!(after_parameters("{% call(a) m(b) %}"), set("a", "%}"));
        assert_eq!(after_parameters("{% call m(b) %}"), "");
        assert_eq!(after_loop("{% for a, b in c recursive %}"), set("a", "%}") + &set("b", "%}"));
        assert_eq!(after_loop("{% for a in recursive_list %}"), "");
    }
}
