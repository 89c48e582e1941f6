//! Reading the fields of a `prism_run_manifest.v1`, with all that is wrong with them.

use serde_json::Value;

/// A manifest and the reasons collected so far. Every reader returns a neutral value after a fault, so that one pass
/// finds all of them; a score is given out by [`Fields::finish`] only when there were none.
pub struct Fields<'a> {
    manifest: &'a Value,
    reasons: Vec<String>,
}

/// `/metrics/loss` as `metrics.loss`.
pub fn dotted(path: &str) -> String {
    path.trim_start_matches('/').replace('/', ".")
}

impl<'a> Fields<'a> {
    pub fn of(manifest: &'a Value) -> Self {
        Self {
            manifest,
            reasons: Vec::new(),
        }
    }

    /// `value`, unless something was wrong.
    pub fn finish<T>(mut self, value: T) -> Result<T, Vec<String>> {
        // a field that two rules read is one fault
        self.reasons.sort();
        self.reasons.dedup();
        if self.reasons.is_empty() {
            Ok(value)
        } else {
            Err(self.reasons)
        }
    }

    /// Records a reason unless `holds`.
    pub fn require(&mut self, holds: bool, reason: impl FnOnce() -> String) {
        if !holds {
            self.reasons.push(reason());
        }
    }

    fn read<T>(
        &mut self,
        path: &str,
        expected: &str,
        pick: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let found = self.manifest.pointer(path);
        let value = found.and_then(pick);
        self.require(value.is_some(), || {
            let got: String = found
                .map_or("missing".to_owned(), Value::to_string)
                .chars()
                .take(60)
                .collect();
            format!("{}: {got}, expected {expected}", dotted(path))
        });
        value
    }

    pub fn text(&mut self, path: &str) -> String {
        self.read(path, "a text", |value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    pub fn flag(&mut self, path: &str) -> bool {
        self.read(path, "true or false", Value::as_bool)
            .unwrap_or_default()
    }

    pub fn number(&mut self, path: &str) -> f64 {
        self.read(path, "a finite number", finite)
            .unwrap_or_default()
    }

    /// A number that is not negative.
    pub fn count(&mut self, path: &str) -> f64 {
        self.read(path, "a number from 0", |value| {
            finite(value).filter(|number| *number >= 0.0)
        })
        .unwrap_or_default()
    }

    /// Length of a list.
    pub fn list(&mut self, path: &str) -> usize {
        self.read(path, "a list", |value| value.as_array().map(Vec::len))
            .unwrap_or_default()
    }

    /// Whether there is a text with something in it.
    pub fn is_text(&self, path: &str) -> bool {
        let text = self.manifest.pointer(path).and_then(Value::as_str);
        text.is_some_and(|text| !text.is_empty())
    }

    /// An object of numbers; absent and null are empty.
    pub fn numbers(&mut self, path: &str) -> Vec<(String, f64)> {
        if self.manifest.pointer(path).is_none_or(Value::is_null) {
            return Vec::new();
        }
        self.read(path, "an object of finite numbers", |value| {
            value
                .as_object()?
                .iter()
                .map(|(key, value)| Some((key.clone(), finite(value)?)))
                .collect()
        })
        .unwrap_or_default()
    }

    /// A list of at least one `{"x": ..., "loss": ...}`, neither negative.
    pub fn points(&mut self, path: &str) -> Vec<(f64, f64)> {
        let positive = |value: &Value| finite(value).filter(|number| *number >= 0.0);
        self.read(path, "at least one point with x and loss from 0", |value| {
            let points: Option<Vec<(f64, f64)>> = value
                .as_array()?
                .iter()
                .map(|point| Some((positive(point.get("x")?)?, positive(point.get("loss")?)?)))
                .collect();
            points.filter(|points| !points.is_empty())
        })
        .unwrap_or_default()
    }

    /// `value` within 0 and 1.
    pub fn clamp(&mut self, name: &str, value: f64) -> f64 {
        self.require(value.is_finite(), || {
            format!("{name}: {value}, expected a finite number")
        });
        value.clamp(0.0, 1.0)
    }
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}
