//! How the predictions of a stream come to the referee: all logits of every batch, or losses that are committed first and
//! audited afterwards at batches that the run cannot foresee.

use serde::{Deserialize, Serialize};

use crate::config::{Audit, TransportSetting};

/// Shares of the batches for which the manifest says how likely tampering with them survives, besides a single one.
const SHARES: [f64; 2] = [0.01, 0.1];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    Full,
    Committed,
}

impl Transport {
    /// The setting's meaning for a vocabulary. It depends on nothing that a submission chooses.
    pub fn chosen(audit: &Audit, vocab_size: u32) -> Self {
        match audit.transport {
            TransportSetting::Full => Self::Full,
            TransportSetting::Committed => Self::Committed,
            TransportSetting::Auto if vocab_size >= audit.committed_from_vocab => Self::Committed,
            TransportSetting::Auto => Self::Full,
        }
    }
}

/// What came by which transport, for the manifest. A batch is one step of one rank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportFigures {
    pub mode: Transport,
    /// Scored batches of which the run could not know whether they are audited.
    pub batches: u64,
    /// How many of them were: their logits came in full.
    pub audited: u64,
    /// Scored batches that come in full in every run: the first steps, and the padded one at the end.
    pub always_audited: u64,
    /// Largest difference between a committed loss and that of the logits shown afterwards, in nats.
    pub largest_difference_nats: f64,
    /// What such a difference may be, and what is added to every committed loss that is charged, in nats.
    pub tolerance_nats: f64,
    /// How likely losses that do not belong to the logits escape the audits: in one batch, in 1 % and in 10 % of them.
    pub survival: Vec<Survival>,
}

/// The probability that none of `tampered` batches is among those audited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survival {
    pub tampered: u64,
    pub probability: f64,
}

/// C(n - m, k) / C(n, k): of `batches` (n), `audited` (k) were drawn without regard to which `tampered` (m) are false.
pub fn survival(batches: u64, audited: u64, tampered: u64) -> f64 {
    let (fewer, more) = (audited.min(tampered), audited.max(tampered));
    // The same number with k and m exchanged: the shorter product.
    (0..fewer).fold(1.0, |probability, drawn| {
        let left = batches.saturating_sub(more + drawn) as f64;
        probability * left / (batches.saturating_sub(drawn)).max(1) as f64
    })
}

/// The table of the manifest.
pub fn survivals(batches: u64, audited: u64) -> Vec<Survival> {
    let mut tampered = vec![1];
    tampered.extend(SHARES.map(|share| (batches as f64 * share).ceil() as u64));
    tampered.dedup();
    tampered.retain(|&tampered| (1..=batches).contains(&tampered));
    tampered
        .into_iter()
        .map(|tampered| Survival {
            tampered,
            probability: survival(batches, audited, tampered),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contest_decides() {
        let chosen = |transport, vocab_size| {
            let audit = Audit {
                transport,
                committed_from_vocab: 1_000,
                ..Audit::default()
            };
            Transport::chosen(&audit, vocab_size)
        };
        for (setting, below, above) in [
            (
                TransportSetting::Auto,
                Transport::Full,
                Transport::Committed,
            ),
            (TransportSetting::Full, Transport::Full, Transport::Full),
            (
                TransportSetting::Committed,
                Transport::Committed,
                Transport::Committed,
            ),
        ] {
            assert_eq!(chosen(setting, 999), below, "{setting:?}");
            assert_eq!(chosen(setting, 1_000), above, "{setting:?}");
        }
    }

    #[test]
    fn survival_is_the_hypergeometric_probability() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        // Counted by hand: 3 of 5 pairs of C(5, 2) = 10 avoid two given ones.
        close(survival(5, 2, 2), 0.3);
        close(survival(1_000, 60, 1), 0.94);
        close(survival(1_000, 60, 0), 1.0);
        close(survival(1_000, 0, 10), 1.0);
        close(survival(10, 10, 1), 0.0);
        close(survival(10, 4, 7), 0.0);
        close(survival(0, 0, 0), 1.0);
        let table = survivals(1_000, 60);
        let tampered: Vec<u64> = table.iter().map(|row| row.tampered).collect();
        assert_eq!(tampered, [1, 10, 100]);
        assert!(table[1].probability < 0.55 && table[2].probability < 0.002);
        assert_eq!(survivals(0, 0), []);
        assert_eq!(survivals(7, 1).len(), 1);
    }
}
