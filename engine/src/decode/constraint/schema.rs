//! Checks of a JSON Schema before it is compiled.
//!
//! What comes out is a schema of bounded size, depth and numbers, with the types that its keywords ask for and none of
//! the keywords that would be ignored: then whatever the grammar lets through validates.

use std::collections::{HashSet, VecDeque};

use serde_json::{Map, Value, json};

use super::{endless, formats};
use crate::{Error, Result};

/// Bytes of the schema's text.
const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Schemas within schemas, definitions apart.
const DEPTH_MAX: usize = 32;
/// The depths of all definitions together: as deep as a reference to a reference can lead.
const DEPTH_SUM_MAX: usize = 160;
/// Schemas in all.
const SCHEMAS_MAX: usize = 4_000;
/// Properties of one object, and values of one `enum`.
const PROPERTIES_MAX: usize = 256;
const ENUM_MAX: usize = 1_000;
/// Characters, items and properties that can be counted.
const COUNT_MAX: u64 = 10_000;
/// Bytes of a `pattern`.
const PATTERN_BYTES_MAX: usize = 2_000;
/// Bounds of numbers.
const BOUND_MAX: f64 = 1e19;
/// Greater integers are not exact as f64, which is what a `const` is compared as.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

const TYPES: [&str; 7] = ["null", "boolean", "number", "integer", "string", "array", "object"];

/// Keywords that restrict what validates, but that no grammar here keeps.
const UNSUPPORTED: [&str; 21] = [
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "extends",
    "disallow",
    "divisibleBy",
    "$dynamicRef",
    "$dynamicAnchor",
    "$recursiveRef",
    "$recursiveAnchor",
];

/// A change that makes the grammar keep what the schema means.
enum Change {
    Remove(&'static str),
    /// A string must match this as well.
    Pattern(&'static str),
}

struct Check<'a> {
    /// Places of schemas still to be looked at, as JSON pointers: the root and what is referred to.
    pending: VecDeque<String>,
    seen: HashSet<String>,
    root: &'a Value,
    schemas: usize,
    deepest: usize,
    changes: Vec<(String, Change)>,
    multiples: HashSet<String>,
    is_merged: bool,
}

/// The schema as it can be compiled, or why it cannot.
pub(super) fn prepare(schema: &Value) -> Result<Value> {
    let mut schema = match schema {
        Value::Bool(true) => json!({}),
        Value::Object(_) => schema.clone(),
        _ => return refuse("", "allows nothing or is no schema: it must be an object"),
    };
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES_MAX {
        return refuse("", format!("has {bytes} bytes; at most {SCHEMA_BYTES_MAX} are possible"));
    }
    let changes = Check::run(&schema)?;
    for (place, change) in changes {
        let Some(fields) = schema.pointer_mut(&place).and_then(Value::as_object_mut) else { continue };
        match change {
            Change::Remove(keyword) => {
                fields.shift_remove(keyword);
            }
            Change::Pattern(pattern) => {
                let all = fields.entry("allOf").or_insert_with(|| json!([]));
                if let Some(all) = all.as_array_mut() {
                    all.push(json!({"type": "string", "pattern": pattern}));
                }
            }
        }
    }
    if let Some(fields) = schema.as_object_mut() {
        // Space is allowed where people and models put it, but not without end. `\u0041` for `A` would let a property
        // come twice under two spellings.
        let options =
            json!({"whitespace_pattern": r"[ ]|\r?\n[ ]{0,40}|\r?\n\t{0,20}", "json_allowed_escapes": "nrbtf\\\""});
        fields.insert("x-guidance".to_owned(), options);
    }
    Ok(schema)
}

fn refuse<T>(place: &str, reason: impl Into<String>) -> Result<T> {
    let reason = format!("#{place} {}", reason.into());
    Err(Error::Constraint { kind: "JSON Schema", reason })
}

impl<'a> Check<'a> {
    fn run(root: &'a Value) -> Result<Vec<(String, Change)>> {
        let mut check = Check {
            pending: VecDeque::from([String::new()]),
            seen: HashSet::from([String::new()]),
            root,
            schemas: 0,
            deepest: 0,
            changes: Vec::new(),
            multiples: HashSet::new(),
            is_merged: false,
        };
        let mut depth_sum = 0;
        while let Some(mut place) = check.pending.pop_front() {
            let Some(schema) = root.pointer(&place) else { return refuse(&place, "is referred to, but missing") };
            check.deepest = 0;
            check.schema(schema, &mut place, 1)?;
            depth_sum += check.deepest;
            if depth_sum > DEPTH_SUM_MAX {
                return refuse(&place, format!("leads deeper than {DEPTH_SUM_MAX} schemas, references included"));
            }
        }
        if !endless::has_end(root, &check.seen) {
            return refuse("", "has no end: each value would have to hold another of its kind");
        }
        // llguidance's least common multiple may overflow.
        if check.is_merged && check.multiples.len() > 1 {
            return refuse("", "uses multipleOf with several values beside allOf or $ref, which is not supported");
        }
        Ok(check.changes)
    }

    /// One schema and all within it.
    fn schema(&mut self, schema: &Value, place: &mut String, depth: usize) -> Result<()> {
        self.schemas += 1;
        self.deepest = self.deepest.max(depth);
        if depth > DEPTH_MAX || self.schemas > SCHEMAS_MAX {
            let reason = format!("is too deep or too much: at most {DEPTH_MAX} levels and {SCHEMAS_MAX} schemas");
            return refuse(place, reason);
        }
        let fields = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(fields) => fields,
            _ => return refuse(place, "must be a schema: an object, true or false"),
        };
        for (keyword, value) in fields {
            let length = place.len();
            push_segment(place, keyword);
            self.keyword(keyword, value, place, depth)?;
            place.truncate(length);
        }
        self.together(fields, place)
    }

    fn keyword(&mut self, keyword: &str, value: &Value, place: &mut String, depth: usize) -> Result<()> {
        match keyword {
            "additionalProperties" | "additionalItems" => self.schema(value, place, depth + 1),
            "items" if !value.is_array() => self.schema(value, place, depth + 1),
            "anyOf" | "oneOf" | "allOf" | "prefixItems" | "items" => self.list(keyword, value, place, depth),
            "properties" | "patternProperties" => self.map(value, place, depth),
            // Looked at where they are referred to.
            "$defs" | "definitions" => {
                if value.is_object() {
                    Ok(())
                } else {
                    refuse(place, "must be an object of schemas")
                }
            }
            "$ref" => self.reference(value, place),
            "$schema" if !value.is_string() => refuse(place, "must be a string"),
            "$id" | "id" if value.is_string() && place.matches('/').count() > 1 => {
                refuse(place, "is not supported below the root: it would change what $ref means")
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => number(keyword, value, place),
            "multipleOf" => self.multiple(value, place),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                count(keyword, value, place)
            }
            "pattern" => pattern(value, place),
            "format" => self.format(value, place),
            "type" => types(value, place),
            "required" => required(value, place),
            "enum" | "const" => {
                let values = if keyword == "enum" {
                    value.as_array().map(Vec::as_slice)
                } else {
                    Some(std::slice::from_ref(value))
                };
                match values {
                    Some(values) if (1..=ENUM_MAX).contains(&values.len()) => {
                        values.iter().try_for_each(|value| constant(value, place, 1))
                    }
                    _ => refuse(place, format!("must be a list of 1 to {ENUM_MAX} values")),
                }
            }
            "uniqueItems" if *value == Value::Bool(false) => self.remove("uniqueItems", place),
            "deprecated" => self.remove("deprecated", place),
            "x-guidance" => refuse(place, "is not supported"),
            _ if UNSUPPORTED.contains(&keyword) => refuse(place, "is not supported"),
            _ => Ok(()),
        }
    }

    /// What keywords mean beside each other.
    fn together(&mut self, fields: &Map<String, Value>, place: &str) -> Result<()> {
        let has = |keyword: &str| fields.contains_key(keyword);
        self.is_merged |= has("allOf") || (has("$ref") && fields.len() > 1);
        let required = fields.get("required").and_then(Value::as_array).map_or(0, Vec::len) as u64;
        let wanted = fields.get("minProperties").and_then(Value::as_u64).unwrap_or(0);
        if wanted > required + 1 {
            let reason = "asks for properties by number alone, which is not supported: list them in `required`";
            return refuse(&format!("{place}/minProperties"), reason);
        }
        Ok(())
    }

    fn list(&mut self, keyword: &str, value: &Value, place: &mut String, depth: usize) -> Result<()> {
        let Some(schemas) = value.as_array().filter(|schemas| !schemas.is_empty() || keyword.ends_with("tems")) else {
            return refuse(place, "must be a list of schemas");
        };
        for (index, schema) in schemas.iter().enumerate() {
            let length = place.len();
            push_segment(place, &index.to_string());
            self.schema(schema, place, depth + 1)?;
            place.truncate(length);
        }
        Ok(())
    }

    fn map(&mut self, value: &Value, place: &mut String, depth: usize) -> Result<()> {
        let Some(schemas) = value.as_object().filter(|schemas| schemas.len() <= PROPERTIES_MAX) else {
            return refuse(place, format!("must be an object of at most {PROPERTIES_MAX} schemas"));
        };
        for (name, schema) in schemas {
            let length = place.len();
            push_segment(place, name);
            if place.contains("/patternProperties/") {
                pattern(&Value::String(name.clone()), place)?;
            }
            self.schema(schema, place, depth + 1)?;
            place.truncate(length);
        }
        Ok(())
    }

    fn reference(&mut self, value: &Value, place: &str) -> Result<()> {
        let plain = |target: &&str| (target.is_empty() || target.starts_with('/')) && !target.contains(['~', '%']);
        let Some(target) = value.as_str().and_then(|target| target.strip_prefix('#')).filter(plain) else {
            return refuse(
                place,
                "is not supported: only references into the same document, such as #/$defs/name, are",
            );
        };
        let target = target.strip_suffix('/').unwrap_or(target);
        if self.root.pointer(target).is_none() {
            return refuse(place, format!("refers to #{target}, which is missing"));
        }
        if self.seen.insert(target.to_owned()) {
            self.pending.push_back(target.to_owned());
        }
        Ok(())
    }

    fn multiple(&mut self, value: &Value, place: &str) -> Result<()> {
        let Some(step) = value.as_f64().filter(|step| (0.0001..=100_000.0).contains(step)) else {
            return refuse(place, "must be a number from 0.0001 to 100000");
        };
        if (step * 1e4).fract() != 0.0 {
            return refuse(place, "is not supported with more than four decimals");
        }
        self.multiples.insert(step.to_string());
        Ok(())
    }

    fn format(&mut self, value: &Value, place: &str) -> Result<()> {
        let Some(name) = value.as_str() else { return refuse(place, "must be a string") };
        match formats::meaning(name) {
            formats::Meaning::Pattern(pattern) => {
                self.remove("format", place)?;
                self.change(Change::Pattern(pattern), place);
                Ok(())
            }
            formats::Meaning::Nothing => self.remove("format", place),
            formats::Meaning::Unsupported => refuse(place, format!("{name:?} is not supported")),
        }
    }

    fn remove(&mut self, keyword: &'static str, place: &str) -> Result<()> {
        self.change(Change::Remove(keyword), place);
        Ok(())
    }

    /// Notes a change of the schema that the keyword at this place belongs to.
    fn change(&mut self, change: Change, place: &str) {
        let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.changes.push((parent.to_owned(), change));
    }
}

fn push_segment(place: &mut String, name: &str) {
    place.push('/');
    place.push_str(&name.replace('~', "~0").replace('/', "~1"));
}

fn number(keyword: &str, value: &Value, place: &str) -> Result<()> {
    match value {
        // Draft 4 says with `true` that the bound itself is excluded.
        Value::Bool(_) if keyword.starts_with("exclusive") => Ok(()),
        Value::Number(number) if number.as_f64().is_some_and(|number| number.abs() <= BOUND_MAX) => Ok(()),
        _ => refuse(place, format!("must be a number from {:e} to {BOUND_MAX:e}", -BOUND_MAX)),
    }
}

fn count(keyword: &str, value: &Value, place: &str) -> Result<()> {
    match value.as_u64() {
        Some(count) if count <= COUNT_MAX || keyword == "maxLength" && count <= u64::from(u32::MAX) => Ok(()),
        _ => refuse(place, format!("must be a whole number from 0 to {COUNT_MAX}")),
    }
}

fn pattern(value: &Value, place: &str) -> Result<()> {
    match value.as_str() {
        Some(pattern) if pattern.len() <= PATTERN_BYTES_MAX => Ok(()),
        _ => refuse(place, format!("must be a regular expression of at most {PATTERN_BYTES_MAX} bytes")),
    }
}

fn types(value: &Value, place: &str) -> Result<()> {
    let is_type = |value: &Value| value.as_str().is_some_and(|name| TYPES.contains(&name));
    let is_right = match value {
        Value::Array(names) => !names.is_empty() && names.len() <= TYPES.len() && names.iter().all(is_type),
        name => is_type(name),
    };
    if is_right { Ok(()) } else { refuse(place, format!("must be one or several of {}", TYPES.join(", "))) }
}

fn required(value: &Value, place: &str) -> Result<()> {
    match value.as_array() {
        Some(names) if names.len() <= PROPERTIES_MAX && names.iter().all(Value::is_string) => Ok(()),
        _ => refuse(place, format!("must be a list of at most {PROPERTIES_MAX} names")),
    }
}

/// A value of `const` or `enum`.
fn constant(value: &Value, place: &str, depth: usize) -> Result<()> {
    if depth > DEPTH_MAX {
        return refuse(place, format!("has values nested more than {DEPTH_MAX} deep"));
    }
    match value {
        Value::Number(number) if !number.as_f64().is_some_and(|number| number.abs() <= EXACT_MAX) => {
            refuse(place, format!("has a number beyond {EXACT_MAX}"))
        }
        Value::Array(values) => values.iter().try_for_each(|value| constant(value, place, depth + 1)),
        Value::Object(fields) if fields.len() > PROPERTIES_MAX => {
            refuse(place, format!("has an object of more than {PROPERTIES_MAX} properties"))
        }
        Value::Object(fields) => fields.values().try_for_each(|value| constant(value, place, depth + 1)),
        _ => Ok(()),
    }
}
