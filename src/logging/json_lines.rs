//! One JSON object per event: time, level, message, the fields of the spans around it and its own, which win.

use std::fmt;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::outbox::status::rfc3339;

/// Only what prism says; libraries have their own opinion of what is news.
const OURS: &str = "prism";

/// Writes events of prism up to a level.
pub(super) struct JsonLines<W> {
    output: Mutex<W>,
    most: Level,
}

impl<W: Write> JsonLines<W> {
    pub fn new(output: W, most: Level) -> Self {
        Self {
            output: Mutex::new(output),
            most,
        }
    }
}

/// Fields of an event or a span.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let is_ours = metadata.target().starts_with(OURS);
        // A span only carries fields: one is needed by events of every level.
        is_ours && (metadata.is_span() || *metadata.level() <= self.most)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(around) = span.extensions().get::<Fields>() {
                // From the innermost outwards: what is nearer wins.
                for (name, value) in &around.0 {
                    fields.0.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        fields.0.insert("level".to_owned(), level.into());
        let now = rfc3339(SystemTime::now());
        fields.0.insert("time".to_owned(), now.into());
        let line = format!("{}\n", Value::Object(fields.0));
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        // In one piece, so that lines of several processes do not mix; without a reader there is nobody to tell.
        let _ = output.write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::redacted::Secret;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(most: Level, action: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let lines = JsonLines::new(kept.clone(), most);
        tracing::subscriber::with_default(Registry::default().with(lines), action);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_has_its_fields_and_those_around_it_and_no_secret() {
        let key = Secret::new("hunter2");
        let lines = logged(Level::INFO, || {
            let _span =
                tracing::info_span!("submission", submission_id = "abc", step = 1).entered();
            let _inner = tracing::info_span!("part", step = 2).entered();
            tracing::info!(count = 7_u64, ratio = 0.5, is_held = true, %key, other = ?key, "line \"1\"\nend");
            tracing::debug!("too fine");
            tracing::warn!(target: "elsewhere", "not ours");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        for (name, value) in [
            ("submission_id", Value::from("abc")),
            ("step", 2.into()),
            ("count", 7.into()),
            ("ratio", 0.5.into()),
            ("is_held", true.into()),
            ("key", "[redacted]".into()),
            ("other", "[redacted]".into()),
            ("level", "info".into()),
            ("message", "line \"1\"\nend".into()),
        ] {
            assert_eq!(line[name], value, "{name}: {line}");
        }
        assert!(humantime::parse_rfc3339(line["time"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn quiet_is_warnings_with_what_they_are_about() {
        let lines = logged(Level::WARN, || {
            let _span = tracing::info_span!("submission", submission_id = "abc").entered();
            tracing::info!("news");
            tracing::warn!("trouble");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["submission_id"], "abc");
        assert_eq!(lines[0]["level"], "warn");
    }
}
