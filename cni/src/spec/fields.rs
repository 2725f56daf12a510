//! Reads JSON objects the way Go callers write them: keys in any case, null as absent; every error names the field by
//! its path. What nobody took stays, so that unknown fields can be passed on.

use serde_json::{Map, Value};

/// A field that is not what the spec says (code 7).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} must be {expected}, and is {found}")]
pub struct FieldError {
    /// The field's path, such as `runtimeConfig.portMappings[0].hostPort`.
    pub path: String,
    /// What may stand there.
    pub expected: &'static str,
    /// What stands there, shortened.
    pub found: String,
}

impl FieldError {
    /// An error at `path`, showing `found` in at most eighty characters.
    #[must_use]
    pub fn new(path: impl Into<String>, expected: &'static str, found: &Value) -> Self {
        let mut text: String = found.to_string();
        if text.chars().count() > 80 {
            text = text.chars().take(79).chain(['…']).collect();
        }
        Self { path: path.into(), expected, found: text }
    }
}

/// An object whose fields are taken one by one.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The object at `path`; null is an empty one.
    ///
    /// # Errors
    /// It is something else.
    pub fn new(path: impl Into<String>, value: Value) -> Result<Self, FieldError> {
        let path = path.into();
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            Value::Null => Ok(Self { path, map: Map::new() }),
            other => Err(FieldError::new(path, "an object", &other)),
        }
    }

    /// The path of one of its fields.
    #[must_use]
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether the key is there in any case, even as null.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.map.keys().any(|name| name.eq_ignore_ascii_case(key))
    }

    /// Takes a field: the exact key before one of another case; null is absent.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let mut exact = None;
        let mut folded = None;
        let names: Vec<String> = self.map.keys().filter(|name| name.eq_ignore_ascii_case(key)).cloned().collect();
        for name in names {
            let value = self.map.remove(&name).filter(|value| !value.is_null());
            if name == key { exact = value } else { folded = folded.or(value) }
        }
        exact.or(folded)
    }

    /// Takes a field and reads it.
    ///
    /// # Errors
    /// `read` finds nothing in it.
    pub fn read<T>(
        &mut self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        match self.take(key) {
            None => Ok(None),
            Some(value) => match read(&value) {
                Some(read) => Ok(Some(read)),
                None => Err(FieldError::new(self.path(key), expected, &value)),
            },
        }
    }

    /// Takes a string.
    ///
    /// # Errors
    /// It is something else.
    pub fn string(&mut self, key: &str) -> Result<Option<String>, FieldError> {
        self.read(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    /// Takes a number of 32 bits without sign.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&mut self, key: &str) -> Result<Option<u32>, FieldError> {
        self.read(key, "a number from 0 to 4294967295", |value| {
            value.as_u64().and_then(|number| number.try_into().ok())
        })
    }

    /// Takes a list of strings; absent is empty.
    ///
    /// # Errors
    /// It is something else.
    pub fn strings(&mut self, key: &str) -> Result<Vec<String>, FieldError> {
        let strings = self.read(key, "a list of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        })?;
        Ok(strings.unwrap_or_default())
    }

    /// Takes an object; absent is empty.
    ///
    /// # Errors
    /// It is something else.
    pub fn object(&mut self, key: &str) -> Result<Self, FieldError> {
        Self::new(self.path(key), self.take(key).unwrap_or(Value::Null))
    }

    /// Takes a list of objects; absent is empty.
    ///
    /// # Errors
    /// It is something else, or one of its items is.
    pub fn objects(&mut self, key: &str) -> Result<Vec<Self>, FieldError> {
        let path = self.path(key);
        match self.take(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                items.into_iter().enumerate().map(|(index, item)| Self::new(format!("{path}[{index}]"), item)).collect()
            }
            Some(other) => Err(FieldError::new(path, "a list of objects", &other)),
        }
    }

    /// What nobody took.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.map
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(object: Value, expected: Result<Option<u32>, &str>) {
        let found = Fields::new("at", object).unwrap().number("hostPort");
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn keys_are_found_in_any_case_and_the_exact_one_wins() {
        check(json!({"hostPort": 1}), Ok(Some(1)));
        check(json!({"HostPort": 1}), Ok(Some(1)));
        check(json!({"HOSTPORT": 2, "hostPort": 1, "hostport": 3}), Ok(Some(1)));
        check(json!({"HostPort": 2, "hostPort": null}), Ok(Some(2)));
    }

    #[test]
    fn null_and_absent_are_unset() {
        check(json!({"hostPort": null}), Ok(None));
        check(json!({}), Ok(None));
        check(Value::Null, Ok(None));
    }

    #[test]
    fn an_error_names_the_path_and_what_stands_there() {
        check(json!({"hostPort": "x"}), Err("at.hostPort must be a number from 0 to 4294967295, and is \"x\""));
        check(json!({"hostPort": -1}), Err("at.hostPort must be a number from 0 to 4294967295, and is -1"));
        let long = FieldError::new("at", "short", &Value::from("x".repeat(1000)));
        assert_eq!(long.found.chars().count(), 80);
    }

    #[test]
    fn what_nobody_takes_stays() {
        let mut fields = Fields::new("", json!({"a": 1, "B": 2})).unwrap();
        assert_eq!(fields.number("b"), Ok(Some(2)));
        assert_eq!(Value::from(fields.rest()), json!({"a": 1}));
    }
}
