//! `run_config.json`: the settings that a run was made under, without the places of the operator's machine.

use serde_json::{Map, Value};

use super::{Config, ConfigError};

pub const FILE: &str = "run_config.json";
pub const SCHEMA_VERSION: &str = "prism_run_config.v1";

/// Where things lie, how the inbox is watched and who is asked before a run: another machine has its own, and none of it changes a run.
const LOCAL_SECTIONS: [&str; 10] = [
    "inbox",
    "outbox",
    "intake",
    "corpus",
    "keys",
    "quarantine",
    "competitions",
    "gate",
    "log",
    "metrics",
];
const LOCAL_RUN_KEYS: [&str; 3] = ["python", "referee", "retry_after_s"];

impl Config {
    /// What `run_config.json` says.
    ///
    /// # Errors
    /// [`ConfigError::Recorded`] when a setting cannot be written as JSON.
    pub fn recorded(&self) -> Result<Value, ConfigError> {
        let mut tree = self.tree()?;
        for name in LOCAL_SECTIONS {
            tree.remove(name);
        }
        if let Some(run) = tree.get_mut("run").and_then(Value::as_object_mut) {
            for name in LOCAL_RUN_KEYS {
                run.remove(name);
            }
        }
        // who may submit is the operator's affair; whether signatures were asked for is everybody's
        if let Some(identity) = tree.get_mut("identity").and_then(Value::as_object_mut) {
            identity.retain(|name, _| name == "mode");
        }
        tree.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
        Ok(Value::Object(tree))
    }

    /// These places with the recorded settings of a run.
    ///
    /// # Errors
    /// [`ConfigError::Recorded`] for settings that this version does not have, or out of their range.
    pub fn with_recorded(&self, recorded: &Value) -> Result<Self, ConfigError> {
        let broken = |reason: String| ConfigError::Recorded { reason };
        let Value::Object(recorded) = recorded else {
            return Err(broken("it is no object".to_owned()));
        };
        let mut tree = self.tree()?;
        for (name, value) in recorded {
            if name == "schema_version" {
                continue;
            }
            if LOCAL_SECTIONS.contains(&name.as_str()) {
                return Err(broken(format!("{name} is the operator's own affair")));
            }
            let mut value = value.clone();
            if name == "run"
                && let (Some(run), Some(own)) = (value.as_object_mut(), tree.get("run"))
            {
                for key in LOCAL_RUN_KEYS {
                    run.insert(key.to_owned(), own[key].clone());
                }
            }
            tree.insert(name.clone(), value);
        }
        let config: Self = serde_json::from_value(Value::Object(tree))
            .map_err(|error| broken(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    fn tree(&self) -> Result<Map<String, Value>, ConfigError> {
        let broken = |reason: String| ConfigError::Recorded { reason };
        match serde_json::to_value(self).map_err(|error| broken(error.to_string()))? {
            Value::Object(tree) => Ok(tree),
            _ => Err(broken("it is no object".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_travel_and_places_do_not() {
        let mut theirs = Config {
            outbox: "/srv/secret/outbox".into(),
            ..Config::default()
        };
        theirs.budget.bytes = 12_345;
        theirs.run.python = "/srv/secret/python".into();
        theirs.run.threads = 7;
        theirs.keys.signing_key = Some("/srv/secret/key".into());
        let recorded = theirs.recorded().unwrap();
        assert!(!recorded.to_string().contains("/srv"), "{recorded:#}");
        let mut ours = Config::default();
        ours.run.python = "/ours/python".into();
        let both = ours.with_recorded(&recorded).unwrap();
        assert_eq!((both.budget.bytes, both.run.threads), (12_345, 7));
        assert_eq!(both.run.python, ours.run.python);
        assert_eq!((both.outbox, both.keys), (ours.outbox, ours.keys));
        assert_eq!(recorded["identity"], json!({"mode": "off"}));
    }

    #[test]
    fn a_record_cannot_choose_places_or_break_ranges() {
        let ours = Config::default();
        for bad in [
            json!(1),
            json!({"outbox": "/etc"}),
            json!({"corpus": {"root": "/etc"}}),
            json!({"keys": {}}),
            json!({"gate": {"mode": "command", "command": ["sh"]}}),
            json!({"budget": {"bytes": "many"}}),
            json!({"budget": {"bytes": 0}}),
            json!({"unknown": {}}),
        ] {
            assert!(ours.with_recorded(&bad).is_err(), "{bad}");
        }
        let run = json!({"run": {"python": "/theirs"}});
        assert_eq!(
            ours.with_recorded(&run).unwrap().run.python,
            ours.run.python
        );
    }
}
