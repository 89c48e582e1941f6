//! `PRISM_…` variables over the file.

use super::{Config, ConfigError};
use crate::outbox::fault;

/// `PRISM_BUDGET_BYTES=5` sets `budget.bytes`. Names that no setting has are ignored only if they are the
/// program's own (`PRISM_CONFIG`); everything else must be a setting.
pub(super) fn overlay(
    tree: &mut serde_yaml::Value,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    // The defaults, as a tree, say which settings exist.
    let known = serde_yaml::to_value(Config::default()).map_err(|source| ConfigError::Parse {
        path: "(defaults)".into(),
        source,
    })?;
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("PRISM_") else {
            continue;
        };
        if rest == "CONFIG" || [fault::VARIABLE, fault::REFEREE_VARIABLE].contains(&name.as_str()) {
            continue;
        }
        let invalid = |reason: &str| ConfigError::Environment {
            name: name.clone(),
            value: value.clone(),
            reason: reason.to_owned(),
        };
        let path = setting_path(&known, &rest.to_lowercase())
            .ok_or_else(|| invalid("no setting of that name"))?;
        let parsed = serde_yaml::from_str(&value).map_err(|_| invalid("not a YAML scalar"))?;
        let mut place = &mut *tree;
        for key in path {
            let serde_yaml::Value::Mapping(map) = place else {
                return Err(invalid("the configuration file has no section there"));
            };
            place = map
                .entry(serde_yaml::Value::String(key))
                .or_insert_with(|| serde_yaml::Value::Mapping(serde_yaml::Mapping::new()));
        }
        *place = parsed;
    }
    Ok(())
}

/// Finds `held_out_val_bytes` as `["held_out", "val_bytes"]`.
fn setting_path(known: &serde_yaml::Value, name: &str) -> Option<Vec<String>> {
    let serde_yaml::Value::Mapping(map) = known else {
        return None;
    };
    for (key, value) in map {
        let key = key.as_str()?;
        if key == name && !value.is_mapping() {
            return Some(vec![key.to_owned()]);
        }
        if let Some(rest) = name
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix('_'))
            && value.is_mapping()
            && let Some(mut path) = setting_path(value, rest)
        {
            path.insert(0, key.to_owned());
            return Some(path);
        }
    }
    None
}
