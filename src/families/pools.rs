//! From what families and trainings added to weights.
//!
//! A gain is the part of a score by which a run was better than everything before it, in its competition. Gains add up to
//! the distance from the baseline to the best, whoever splits them: a family or a training that adds nothing earns
//! nothing, and many small ones earn together what one of their kind would have earned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ledger::Family;

/// Shares of the two competitions in the weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pools {
    /// Of the families' owners.
    pub architecture: f64,
    /// Of the trainings' owners.
    pub training: f64,
}

impl Default for Pools {
    /// Source: contract v1, section 6.8.
    fn default() -> Self {
        Self {
            architecture: 0.6,
            training: 0.4,
        }
    }
}

/// Weight by owner, adding up to 1; empty where nothing was gained. A pool without any gain goes to the other.
pub fn weights(families: &[Family], pools: Pools) -> BTreeMap<String, f64> {
    let architectures = families.iter().map(|family| (&family.owner, family.gain));
    let trainings = families
        .iter()
        .flat_map(|family| &family.variants)
        .map(|variant| (&variant.owner, variant.gain));
    let shares = [
        (pools.architecture, by_owner(architectures)),
        (pools.training, by_owner(trainings)),
    ];
    let whole: f64 = shares
        .iter()
        .filter(|(_, gains)| !gains.is_empty())
        .map(|(pool, _)| pool)
        .sum();
    let mut weights: BTreeMap<String, f64> = BTreeMap::new();
    if whole <= 0.0 {
        return weights;
    }
    for (pool, gains) in &shares {
        // added up in the order of the owners' names: the same sum for every order of families
        let sum: f64 = gains.values().sum();
        for (owner, gain) in gains {
            let weight = pool / whole * gain / sum;
            if weight > 0.0 {
                *weights.entry((*owner).clone()).or_insert(0.0) += weight;
            }
        }
    }
    for weight in weights.values_mut() {
        // rounding may leave a sole owner a bit above the whole
        *weight = weight.min(1.0);
    }
    weights
}

fn by_owner<'a>(gains: impl Iterator<Item = (&'a String, f64)>) -> BTreeMap<&'a String, f64> {
    let mut sums = BTreeMap::new();
    for (owner, gain) in gains.filter(|(_, gain)| *gain > 0.0) {
        *sums.entry(owner).or_insert(0.0) += gain;
    }
    sums
}
