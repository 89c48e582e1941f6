//! What a manifest came to, by the names of the HTTP contract.

use serde_json::Value;

use crate::outbox::status::Score;
use crate::score::components;

/// The figures that `status.json` repeats from the manifest.
///
/// # Errors
/// What is missing in the manifest.
pub fn of(manifest: &Value) -> Result<Score, String> {
    let number = |name: &str| {
        let value = &manifest["score"][name];
        value
            .as_f64()
            .ok_or_else(|| format!("score.{name}: got {value}, expected a number"))
    };
    let components = components::measured(manifest)?;
    Ok(Score {
        final_score: number("final_score")?,
        q_arch: components.q_arch,
        q_recipe: components.q_recipe,
        anti_cheat_multiplier: number("anti_cheat_multiplier")?,
        diversity_bonus: 0.0,
        penalty: 0.0,
    })
}
