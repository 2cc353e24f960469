//! Schemas that no text can satisfy because each value would have to hold another like it.

use std::collections::HashSet;

use serde_json::Value;

/// Whether some value of the schema is finite. `places` are the root and all that is referred to, as JSON pointers.
pub(super) fn has_end(root: &Value, places: &HashSet<String>) -> bool {
    // Those whose end has been seen, and through them others, until nothing is added.
    let mut ended = HashSet::new();
    loop {
        let before = ended.len();
        for place in places {
            if root.pointer(place).is_some_and(|schema| ends(schema, &ended)) {
                ended.insert(place.as_str());
            }
        }
        if ended.contains("") || ended.len() == before {
            return ended.contains("");
        }
    }
}

/// Whether a schema has a finite value, if it may refer to these alone.
fn ends(schema: &Value, ended: &HashSet<&str>) -> bool {
    let list = |keyword: &str| schema[keyword].as_array().map_or(&[][..], Vec::as_slice);
    let each = |schemas: &[Value]| schemas.iter().all(|schema| ends(schema, ended));
    let target = schema["$ref"].as_str().and_then(|target| target.strip_prefix('#'));
    let refers = target.is_none_or(|target| ended.contains(target.strip_suffix('/').unwrap_or(target)));
    let chooses = ["anyOf", "oneOf"].iter().all(|keyword| {
        let branches = list(keyword);
        branches.is_empty() || branches.iter().any(|branch| ends(branch, ended))
    });
    let holds = match schema["type"].as_str() {
        Some("object") => {
            let mut names = list("required").iter().filter_map(Value::as_str);
            names.all(|name| ends(&schema["properties"][name], ended))
        }
        Some("array") => {
            let count = schema["minItems"].as_u64().unwrap_or(0) as usize;
            let first = list("prefixItems");
            each(&first[..count.min(first.len())]) && (count <= first.len() || ends(&schema["items"], ended))
        }
        _ => true,
    };
    refers && chooses && holds && each(list("allOf"))
}
