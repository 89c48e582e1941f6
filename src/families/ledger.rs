//! Who owns what: events in the order in which runs were concluded, derived from the runs and from nothing else.
//!
//! A run that is concluded later only adds events at the end, so the log grows and never changes; ownership goes by time
//! of acceptance, and a run that was accepted earlier than a family's owner and concluded later brings an
//! `owner_corrected`. Thresholds: contract v1, section 6.6.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::structure::{Basis, family_id};

/// Schema version of every event.
pub const OWNERSHIP_SCHEMA: &str = "prism_ownership_event.v1";

/// Name of the log of ownership in an outbox, one event a line.
pub const OWNERSHIP_FILE: &str = "ownership.jsonl";

/// One ranked run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub submission_id: String,
    /// As `weights.json` names owners.
    pub owner: String,
    /// RFC 3339.
    pub accepted_at: String,
    pub concluded_at: String,
    /// Whether its training takes part.
    pub claims_training: bool,
    /// Whether it may become its family's canonical version: a training for a family that is there may not.
    pub claims_architecture: bool,
    pub structure_digest: String,
    pub basis: Basis,
    /// Hash of the architecture graph in the source.
    pub graph_hash: String,
    pub training_hash: String,
    pub q_arch: f64,
    pub q_recipe: f64,
    /// Spread of q_recipe over seeds; 0 where one seed was measured.
    pub q_recipe_std: f64,
}

/// How much better counts as better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold {
    pub absolute: f64,
    pub relative: f64,
    pub z: f64,
}

/// Of an architecture's canonical version.
pub const ARCHITECTURE: Threshold = Threshold {
    absolute: 0.01,
    relative: 0.005,
    z: 0.0,
};
/// Of a family's best training.
pub const TRAINING: Threshold = Threshold {
    absolute: 0.02,
    relative: 0.005,
    z: 1.0,
};

impl Threshold {
    /// Whether `new` is better than `old`, both with their spread.
    pub fn is_improved(&self, new: (f64, f64), old: (f64, f64)) -> bool {
        let noise = self.z * new.1.hypot(old.1);
        let least = self.absolute.max(old.0.abs() * self.relative).max(noise);
        new.0 - old.0 > least
    }
}

/// The two competitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Competition {
    Architecture,
    Training,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Change {
    /// The first run of a structure.
    FamilyCreated {
        owner: String,
        structure_digest: String,
        basis: Basis,
        graph_hash: String,
    },
    /// A run that was accepted before the owner's was concluded after it.
    OwnerCorrected { owner: String, from: String },
    /// A further run of the structure.
    VersionAttached { owner: String, graph_hash: String },
    /// It is better than the family's canonical version, and takes its place.
    CanonicalUpdated {
        from: String,
        q_arch: f64,
        from_q_arch: f64,
    },
    /// A training that the family did not have.
    TrainingCreated {
        owner: String,
        training_hash: String,
    },
    /// It is better than the family's best training, or the first.
    TrainingBest {
        owner: String,
        training_hash: String,
        q_recipe: f64,
        from: Option<String>,
    },
    /// It is better than everything before it in the whole competition: what weights are made of.
    FrontierAdvanced {
        competition: Competition,
        owner: String,
        from: f64,
        to: f64,
    },
}

/// A line of `ownership.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    pub schema_version: &'static str,
    /// From 1.
    pub sequence: u64,
    /// When the run was concluded.
    pub at: String,
    pub family: String,
    pub submission_id: String,
    #[serde(flatten)]
    pub change: Change,
}

/// A training within a family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    pub training_hash: String,
    pub owner: String,
    /// The run that brought it first.
    pub submission_id: String,
    pub q_recipe: f64,
    pub is_best: bool,
    /// What it added to the competition of trainings.
    pub gain: f64,
    #[serde(skip)]
    spread: f64,
}

/// A family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Family {
    pub family: String,
    pub structure_digest: String,
    pub basis: Basis,
    pub owner: String,
    /// The earliest accepted run of the structure.
    pub discovered_by: String,
    pub discovered_at: String,
    /// The run that stands for the family, and its score.
    pub canonical: Option<String>,
    pub q_arch: Option<f64>,
    /// Runs of the structure.
    pub versions: u64,
    /// What it added to the competition of architectures.
    pub gain: f64,
    pub variants: Vec<Variant>,
}

/// Where the competitions start: what a model that learned nothing would score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Baseline {
    pub q_arch: f64,
    pub q_recipe: f64,
}

/// Families in order of discovery, and the log.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ledger {
    pub families: Vec<Family>,
    pub events: Vec<Event>,
}

/// Derives the ledger; the order of `runs` does not matter.
pub fn ledger(runs: &[Run], baseline: Baseline) -> Ledger {
    let mut runs: Vec<&Run> = runs.iter().collect();
    runs.sort_by(|a, b| {
        (&a.concluded_at, &a.submission_id).cmp(&(&b.concluded_at, &b.submission_id))
    });
    let mut book = Book {
        families: BTreeMap::new(),
        events: Vec::new(),
        frontier: baseline,
        recipe_spread: 0.0,
    };
    for run in runs {
        book.enter(run);
    }
    let mut families: Vec<Family> = book.families.into_values().collect();
    families.sort_by(|a, b| {
        (&a.discovered_at, &a.discovered_by).cmp(&(&b.discovered_at, &b.discovered_by))
    });
    Ledger {
        families,
        events: book.events,
    }
}

struct Book {
    families: BTreeMap<String, Family>,
    events: Vec<Event>,
    frontier: Baseline,
    /// Spread of the run at the training frontier.
    recipe_spread: f64,
}

impl Book {
    fn enter(&mut self, run: &Run) {
        self.attach(run);
        if run.claims_architecture {
            self.canonical(run);
        }
        if run.claims_training {
            self.training(run);
        }
        self.advance(run);
    }

    fn tell(&mut self, run: &Run, change: Change) {
        self.events.push(Event {
            schema_version: OWNERSHIP_SCHEMA,
            sequence: self.events.len() as u64 + 1,
            at: run.concluded_at.clone(),
            family: family_id(&run.structure_digest),
            submission_id: run.submission_id.clone(),
            change,
        });
    }

    fn attach(&mut self, run: &Run) {
        let Some(family) = self.families.get_mut(&run.structure_digest) else {
            let family = Family {
                family: family_id(&run.structure_digest),
                structure_digest: run.structure_digest.clone(),
                basis: run.basis,
                owner: run.owner.clone(),
                discovered_by: run.submission_id.clone(),
                discovered_at: run.accepted_at.clone(),
                canonical: None,
                q_arch: None,
                versions: 1,
                gain: 0.0,
                variants: Vec::new(),
            };
            self.families.insert(run.structure_digest.clone(), family);
            let change = Change::FamilyCreated {
                owner: run.owner.clone(),
                structure_digest: run.structure_digest.clone(),
                basis: run.basis,
                graph_hash: run.graph_hash.clone(),
            };
            self.tell(run, change);
            return;
        };
        family.versions += 1;
        let discovered = (&family.discovered_at, &family.discovered_by);
        let is_earlier = (&run.accepted_at, &run.submission_id) < discovered;
        let mut corrected = None;
        if is_earlier && run.claims_architecture {
            family.discovered_at.clone_from(&run.accepted_at);
            family.discovered_by.clone_from(&run.submission_id);
            let from = std::mem::replace(&mut family.owner, run.owner.clone());
            if from != run.owner {
                corrected = Some(Change::OwnerCorrected {
                    owner: run.owner.clone(),
                    from,
                });
            }
        }
        let change = Change::VersionAttached {
            owner: run.owner.clone(),
            graph_hash: run.graph_hash.clone(),
        };
        self.tell(run, change);
        if let Some(change) = corrected {
            self.tell(run, change);
        }
    }

    fn canonical(&mut self, run: &Run) {
        let Some(family) = self.families.get_mut(&run.structure_digest) else {
            return;
        };
        let (Some(old), Some(from)) = (family.q_arch, family.canonical.clone()) else {
            family.q_arch = Some(run.q_arch);
            family.canonical = Some(run.submission_id.clone());
            return;
        };
        if ARCHITECTURE.is_improved((run.q_arch, 0.0), (old, 0.0)) {
            family.q_arch = Some(run.q_arch);
            family.canonical = Some(run.submission_id.clone());
            let change = Change::CanonicalUpdated {
                from,
                q_arch: run.q_arch,
                from_q_arch: old,
            };
            self.tell(run, change);
        }
    }

    fn training(&mut self, run: &Run) {
        let Some(family) = self.families.get_mut(&run.structure_digest) else {
            return;
        };
        let known = |variant: &Variant| variant.training_hash == run.training_hash;
        let mut changes = Vec::new();
        if !family.variants.iter().any(known) {
            family.variants.push(Variant {
                training_hash: run.training_hash.clone(),
                owner: run.owner.clone(),
                submission_id: run.submission_id.clone(),
                q_recipe: run.q_recipe,
                is_best: false,
                gain: 0.0,
                spread: run.q_recipe_std,
            });
            changes.push(Change::TrainingCreated {
                owner: run.owner.clone(),
                training_hash: run.training_hash.clone(),
            });
            let best = family.variants.iter().position(|variant| variant.is_best);
            let is_best = best
                .and_then(|at| family.variants.get(at))
                .is_none_or(|old| {
                    TRAINING
                        .is_improved((run.q_recipe, run.q_recipe_std), (old.q_recipe, old.spread))
                });
            if is_best {
                let mut from = None;
                for variant in &mut family.variants {
                    if variant.is_best {
                        from = Some(variant.training_hash.clone());
                    }
                    variant.is_best = variant.training_hash == run.training_hash;
                }
                changes.push(Change::TrainingBest {
                    owner: run.owner.clone(),
                    training_hash: run.training_hash.clone(),
                    q_recipe: run.q_recipe,
                    from,
                });
            }
        }
        for change in changes {
            self.tell(run, change);
        }
    }

    /// What a run adds to what everybody had reached before it goes to its family's owner, in the competition of
    /// architectures, and to the owner of its training in the other.
    fn advance(&mut self, run: &Run) {
        let Some(family) = self.families.get_mut(&run.structure_digest) else {
            return;
        };
        let mut changes = Vec::new();
        let from = self.frontier.q_arch;
        if ARCHITECTURE.is_improved((run.q_arch, 0.0), (from, 0.0)) {
            family.gain += run.q_arch - from;
            self.frontier.q_arch = run.q_arch;
            changes.push(Change::FrontierAdvanced {
                competition: Competition::Architecture,
                owner: family.owner.clone(),
                from,
                to: run.q_arch,
            });
        }
        let from = self.frontier.q_recipe;
        let spread = (run.q_recipe_std, self.recipe_spread);
        if run.claims_training && TRAINING.is_improved((run.q_recipe, spread.0), (from, spread.1)) {
            let hash = &run.training_hash;
            let variant = family
                .variants
                .iter_mut()
                .find(|one| one.training_hash == *hash);
            if let Some(variant) = variant {
                variant.gain += run.q_recipe - from;
                self.frontier.q_recipe = run.q_recipe;
                self.recipe_spread = run.q_recipe_std;
                changes.push(Change::FrontierAdvanced {
                    competition: Competition::Training,
                    owner: variant.owner.clone(),
                    from,
                    to: run.q_recipe,
                });
            }
        }
        for change in changes {
            self.tell(run, change);
        }
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
