//! Values that templates are given: what would be a dictionary in Python behaves like one.

use std::sync::Arc;

use minijinja::{
    Value,
    value::{DynObject, Enumerator, Object, ObjectRepr},
};

use super::python::{Extreme, is_extreme};

/// A value that a template is given. What would be a dictionary in Python behaves like one.
pub(super) fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Object(fields) => {
            let map = Value::from_pairs(fields.iter().map(|(name, field)| (name.as_str(), value(field))));
            map.as_object().cloned().map_or(map, |map| Value::from_object(Dictionary(map)))
        }
        serde_json::Value::Array(values) => values.iter().map(value).collect(),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => match number.as_f64() {
                Some(number) if is_extreme(number) => Value::from_object(Extreme(number)),
                number => number.into(),
            },
        },
        serde_json::Value::Bool(flag) => (*flag).into(),
        serde_json::Value::Null => Value::from(()),
    }
}

/// A dictionary whose methods come before its entries: `schema.items` is a method, `schema['items']` an entry.
#[derive(Debug)]
pub(super) struct Dictionary(DynObject);

/// What Python's dictionaries have as attributes.
const METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

impl Object for Dictionary {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get_value(key)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        if METHODS.contains(&key) { Some(Value::from_object(Method)) } else { self.0.get_value_by_str(key) }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.try_iter().into_iter().flatten().collect())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.0.enumerator_len()
    }
}

/// A method that was named, not called.
#[derive(Debug)]
struct Method;

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}
