//! The text exposition format: HELP and TYPE before the samples of each metric, one sample a line.

use std::fmt::Write as _;

/// A file in the making. Names and label values are our own: letters, digits, dots and underscores, nothing to escape.
#[derive(Debug, Default)]
pub(super) struct TextFile(String);

impl TextFile {
    fn begin(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Begins a metric that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.begin(name, "gauge", help);
    }

    /// One value of the metric that was begun last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        let mut separator = '{';
        for (label, of) in labels {
            let _ = write!(self.0, "{separator}{label}=\"{of}\"");
            separator = ',';
        }
        if separator == ',' {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A sum of so many observations.
    pub fn summary(&mut self, name: &str, help: &str, sum: f64, count: usize) {
        self.begin(name, "summary", help);
        self.sample(&format!("{name}_sum"), &[], sum);
        self.sample(&format!("{name}_count"), &[], count as f64);
    }

    pub fn into_text(self) -> String {
        self.0
    }
}
