//! What a submission claims: an architecture with its training, an architecture alone, or a training for a family that
//! is there already.

use serde::{Deserialize, Serialize};

/// The kinds of prism.yaml.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    /// An architecture and its training; also where prism.yaml says nothing.
    #[default]
    Full,
    /// The architecture competes; its training is run and claims nothing.
    ArchitectureOnly,
    /// The training competes, for the family with this id.
    TrainingForArch { architecture_id: String },
}

/// Why `kind` and `architecture_id` do not name a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindFault {
    Unknown,
    MissingTarget,
}

impl Kind {
    /// The kind that the two keys name.
    pub(super) fn of(kind: Option<&str>, architecture_id: Option<&str>) -> Result<Self, KindFault> {
        match (kind, architecture_id) {
            (None | Some("full"), _) => Ok(Self::Full),
            (Some("architecture_only"), _) => Ok(Self::ArchitectureOnly),
            (Some("training_for_arch"), Some(id)) if !id.is_empty() => Ok(Self::TrainingForArch {
                architecture_id: id.to_owned(),
            }),
            (Some("training_for_arch"), _) => Err(KindFault::MissingTarget),
            (Some(_), _) => Err(KindFault::Unknown),
        }
    }

    /// Its name in prism.yaml.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ArchitectureOnly => "architecture_only",
            Self::TrainingForArch { .. } => "training_for_arch",
        }
    }

    /// Whether the training takes part in the competition of trainings.
    pub fn claims_training(&self) -> bool {
        !matches!(self, Self::ArchitectureOnly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_name_a_kind() {
        let target = Kind::TrainingForArch {
            architecture_id: "arch-1".to_owned(),
        };
        let table = [
            (None, None, Ok(Kind::Full)),
            (Some("full"), Some("net-1"), Ok(Kind::Full)),
            (Some("architecture_only"), None, Ok(Kind::ArchitectureOnly)),
            (Some("training_for_arch"), Some("arch-1"), Ok(target)),
            (
                Some("training_for_arch"),
                None,
                Err(KindFault::MissingTarget),
            ),
            (
                Some("training_for_arch"),
                Some(""),
                Err(KindFault::MissingTarget),
            ),
            (Some("fancy"), None, Err(KindFault::Unknown)),
        ];
        for (kind, id, expected) in table {
            assert_eq!(Kind::of(kind, id), expected, "{kind:?} {id:?}");
        }
        assert!(!Kind::ArchitectureOnly.claims_training() && Kind::Full.claims_training());
    }
}
