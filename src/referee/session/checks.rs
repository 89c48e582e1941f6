//! What a run's end says about causality, and about when it came.

use crate::referee::measured::{CheckResult, Fault, Measured};
use crate::referee::stop::Stop;

/// The causality check, with the figures of all probes.
pub fn causality(passed: bool, measured: &Measured) -> CheckResult {
    let largest = measured.probes.iter().fold(0.0, |largest: f64, probe| {
        largest.max(probe.largest_difference_nats)
    });
    let positions: u64 = measured
        .probes
        .iter()
        .map(|probe| probe.compared_positions)
        .sum();
    CheckResult {
        name: "causality".to_owned(),
        passed,
        evidence: format!(
            "{} probes, {positions} positions compared, largest difference {largest:e} nats",
            measured.probes.len()
        ),
    }
}

/// A fault before the training is a rejection, not a failure.
pub fn before_training(stop: Stop) -> Stop {
    match stop {
        Stop::Fault(fault) => Fault {
            before_training: true,
            ..fault
        }
        .into(),
        stop => stop,
    }
}
