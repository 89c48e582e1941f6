//! Exact probes of causality: a prediction must be a pure function of the weights and of the row's own prefix.
//!
//! A probe is a twin of the scored batch: same shape, in half of them rows rotated, everything after a cut of each row's own replaced by
//! text of the other rows of the same batch (fresh text that the submission never saw, and that shows it nothing the batch does
//! not), or nothing changed at all (the repeat). Scored batch and probe come in random order; positions before the cuts must agree.
//! Rotated rows could be known by what the last batch ended with: rows that stay where they are cannot.

use sha2::{Digest, Sha256};

use crate::dataset::stream::Batch;

/// Probes to expect in a stream, however short. More would cost short runs more than the rest of the referee; what happens
/// seldom and pays stands out, and is looked at again.
const EXPECTED_PROBES: usize = 8;

/// Secret choices of a run, from its key: deterministic for the operator, unforeseeable for the submission.
#[derive(Debug, Clone)]
pub struct Schedule {
    key: [u8; 32],
    first_steps: u32,
    one_in: u32,
}

/// One probe to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// First changed position of each row of the scored batch; none: the batch is repeated as it is.
    pub cuts: Option<Vec<usize>>,
    /// Row `r` of the scored batch lies in row `(r + rotation) % rows`.
    pub rotation: usize,
    /// Whether the probe comes before the scored batch.
    pub before: bool,
    pub batch: Batch,
}

impl Schedule {
    pub fn new(key: [u8; 32], first_steps: u32, one_in: u32) -> Self {
        Self {
            key,
            first_steps,
            one_in,
        }
    }

    /// A schedule of its own for one phase: what one process sees foretells nothing of another.
    pub fn for_phase(&self, phase: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"prism-probe-phase\0");
        hash.update(self.key);
        hash.update(phase.as_bytes());
        Self {
            key: hash.finalize().into(),
            ..*self
        }
    }

    /// The key of choices of another kind.
    pub fn key(&self) -> [u8; 32] {
        self.key
    }

    /// The same schedule for a stream of `steps` steps: at least [`EXPECTED_PROBES`] are expected in any.
    pub fn for_steps(&self, steps: usize) -> Self {
        let often = u32::try_from(steps / EXPECTED_PROBES)
            .unwrap_or(u32::MAX)
            .max(1);
        let one_in = if self.one_in == 0 {
            0
        } else {
            self.one_in.min(often)
        };
        Self {
            one_in,
            ..self.clone()
        }
    }

    /// Whether a step is one of those that are picked at random, one in `one_in`; 0: none is.
    pub fn picks(&self, step: u32, rank: u32, one_in: u32) -> bool {
        one_in > 0 && Draw::new(&self.key, step, rank).below(u64::from(one_in)) == 0
    }

    /// The probe of a step, if it gets one.
    pub fn probe(&self, step: u32, rank: u32, batch: &Batch) -> Option<Probe> {
        let mut draw = Draw::new(&self.key, step, rank);
        // The padded step at the end can be told from all others, so it gets one always.
        let chosen = step < self.first_steps
            || (self.one_in > 0 && (!batch.is_full() || draw.below(u64::from(self.one_in)) == 0));
        if !chosen {
            return None;
        }
        let before = draw.below(2) == 0;
        // The first steps take a cut each; later one probe in four is a repeat.
        let repeat = step >= self.first_steps && draw.below(4) == 0;
        // Padding is nobody's text: what is compared lies before the shortest row's end.
        let shortest = batch.lengths.iter().copied().min().unwrap_or(0);
        if repeat || (shortest < 2 && batch.rows < 2) {
            return Some(Probe {
                cuts: None,
                rotation: 0,
                before,
                batch: batch.clone(),
            });
        }
        Some(changed_probe(batch, shortest, before, &mut draw))
    }

    /// A probe for a step that has none and is to be looked at again, after its scored prediction. None: probes are off, or
    /// nothing of the batch can be changed.
    pub fn second_look(&self, step: u32, rank: u32, batch: &Batch) -> Option<Probe> {
        let shortest = batch.lengths.iter().copied().min().unwrap_or(0);
        if self.one_in == 0 || (shortest < 2 && batch.rows < 2) {
            return None;
        }
        let mut draw = Draw::new(&self.for_phase("second look").key, step, rank);
        Some(changed_probe(batch, shortest, false, &mut draw))
    }
}

/// A probe in which what must not matter is another.
fn changed_probe(batch: &Batch, shortest: usize, before: bool, draw: &mut Draw) -> Probe {
    // A row of one column has no suffix: its place among the others is all that can change.
    let stays = shortest >= 2 && draw.below(2) == 0;
    let rotation = if stays || batch.rows < 2 {
        0
    } else {
        1 + draw.below(batch.rows as u64 - 1) as usize
    };
    let shift = 1 + draw.below(batch.rows.max(2) as u64 - 1) as usize;
    let cuts: Vec<usize> = (0..batch.rows)
        .map(|_| match shortest {
            0 | 1 => shortest,
            _ => 1 + draw.below(shortest as u64 - 1) as usize,
        })
        .collect();
    Probe {
        batch: changed(batch, &cuts, rotation, shift, draw),
        cuts: Some(cuts),
        rotation,
        before,
    }
}

/// The batch with rotated rows whose suffixes come from `shift` rows further on.
fn changed(batch: &Batch, cuts: &[usize], rotation: usize, shift: usize, draw: &mut Draw) -> Batch {
    let (rows, cols) = (batch.rows, batch.cols);
    let mut ids = batch.ids.clone();
    for (row, &cut) in cuts.iter().enumerate() {
        let place = (row + rotation) % rows * cols;
        ids[place..place + cut].copy_from_slice(&batch.ids[row * cols..row * cols + cut]);
        if rows > 1 {
            let donor = (row + shift) % rows * cols;
            ids[place + cut..place + cols].copy_from_slice(&batch.ids[donor + cut..donor + cols]);
        } else {
            // One row has no neighbour: its own tokens in another order.
            for column in cut..cols {
                ids[place + column] = batch.ids[draw.below(cols as u64) as usize];
            }
        }
    }
    Batch {
        ids,
        ..batch.clone()
    }
}

/// The largest difference between two sets of logits at positions that must agree, in log-probability of the true target
/// and in the logits themselves, and how many positions were compared.
///
/// `scored_nats` and `probe_nats` are losses of the scored batch's targets, position by position, under either.
pub fn largest_difference(
    probe: &Probe,
    vocab_size: usize,
    scored: (&[f32], &[f64]),
    probed: (&[f32], &[f64]),
) -> (f64, u64) {
    let (rows, cols) = (probe.batch.rows, probe.batch.cols);
    let mut largest = 0f64;
    let mut compared = 0;
    for row in 0..rows {
        let there = (row + probe.rotation) % rows;
        let cut = probe.cuts.as_ref().map_or(cols, |cuts| cuts[row]);
        for column in 0..cut {
            let (ours, theirs) = (row * cols + column, there * cols + column);
            let difference = row_difference(
                &scored.0[ours * vocab_size..(ours + 1) * vocab_size],
                &probed.0[theirs * vocab_size..(theirs + 1) * vocab_size],
            );
            let in_nats = (scored.1[ours] - probed.1[theirs]).abs();
            let difference = match (scored.1[ours].is_finite(), probed.1[theirs].is_finite()) {
                (true, true) => difference.max(in_nats),
                (false, false) => 0.0,
                // Non-finite on one side only is a difference without measure.
                _ => f64::INFINITY,
            };
            largest = largest.max(difference);
            compared += 1;
        }
    }
    (largest, compared)
}

/// The same of the losses alone, where nobody kept the logits.
pub fn largest_loss_difference(
    probe: &Probe,
    scored_nats: &[f64],
    probe_nats: &[f64],
) -> (f64, u64) {
    let (rows, cols) = (probe.batch.rows, probe.batch.cols);
    let mut largest = 0f64;
    let mut compared = 0;
    for row in 0..rows {
        let there = (row + probe.rotation) % rows;
        let cut = probe.cuts.as_ref().map_or(cols, |cuts| cuts[row]);
        for column in 0..cut {
            let (ours, theirs) = (
                scored_nats[row * cols + column],
                probe_nats[there * cols + column],
            );
            largest = largest.max(match (ours.is_finite(), theirs.is_finite()) {
                (true, true) => (ours - theirs).abs(),
                (false, false) => 0.0,
                _ => f64::INFINITY,
            });
            compared += 1;
        }
    }
    (largest, compared)
}

/// Largest |a − b| of two rows of logits, after taking out a common shift (which softmax does not see).
fn row_difference(a: &[f32], b: &[f32]) -> f64 {
    let mut low = f32::INFINITY;
    let mut high = f32::NEG_INFINITY;
    for (&a, &b) in a.iter().zip(b) {
        // Equal infinities (masked ids) differ by nothing.
        let difference = if a == b { 0.0 } else { a - b };
        low = low.min(difference);
        high = high.max(difference);
    }
    f64::from(high - low)
}

/// Targets of the probe's rows, so that both sets of logits are asked for the same true labels.
pub fn probe_targets(probe: &Probe, scored: &Batch) -> Vec<u32> {
    let (rows, cols) = (scored.rows, scored.cols);
    let mut targets = scored.targets.clone();
    for row in 0..rows {
        let place = (row + probe.rotation) % rows * cols;
        targets[place..place + cols].copy_from_slice(&scored.targets[row * cols..(row + 1) * cols]);
    }
    targets
}

/// Numbers from a key: SHA-256 in counter mode.
#[derive(Debug)]
pub(super) struct Draw {
    key: [u8; 32],
    counter: u64,
}

impl Draw {
    pub(super) fn new(key: &[u8; 32], step: u32, rank: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"prism-probe\0");
        hash.update(key);
        hash.update(step.to_le_bytes());
        hash.update(rank.to_le_bytes());
        Self {
            key: hash.finalize().into(),
            counter: 0,
        }
    }

    /// Uniform below `limit` (bias below 2^-40 for limits that fit a batch).
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(self.counter.to_le_bytes());
        self.counter += 1;
        let digest: [u8; 32] = hash.finalize().into();
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        u64::from_le_bytes(number) % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::referee::loss::{Loss, PlainLoss};

    const VOCAB: usize = 11;

    fn batch(rows: usize, cols: usize) -> Batch {
        let ids: Vec<u32> = (0..rows * cols).map(|n| (n * 7 % VOCAB) as u32).collect();
        let targets = ids.iter().map(|id| (id * 3 + 1) % VOCAB as u32).collect();
        Batch {
            rows,
            cols,
            ids,
            targets,
            lengths: vec![cols; rows],
        }
    }

    /// Logits of a "model" that sees `ids[..=column + ahead]` of its own row.
    fn model(batch: &Batch, ahead: usize, strength: f32) -> Vec<f32> {
        let mut logits = vec![0f32; batch.rows * batch.cols * VOCAB];
        for row in 0..batch.rows {
            for column in 0..batch.cols {
                let seen = &batch.ids[row * batch.cols..row * batch.cols + column + 1];
                let sum: u32 = seen
                    .iter()
                    .enumerate()
                    .map(|(n, id)| id * (n as u32 + 1))
                    .sum();
                let place = (row * batch.cols + column) * VOCAB;
                logits[place + sum as usize % VOCAB] += 2.0;
                if ahead > 0 && column + ahead < batch.cols {
                    let peeked = batch.ids[row * batch.cols + column + ahead];
                    logits[place + peeked as usize] += strength;
                }
            }
        }
        logits
    }

    fn difference(ahead: usize, strength: f32, step: u32) -> f64 {
        let batch = batch(4, 32);
        let probe = Schedule::new([7; 32], 100, 0)
            .probe(step, 0, &batch)
            .unwrap();
        let (scored, probed) = (
            model(&batch, ahead, strength),
            model(&probe.batch, ahead, strength),
        );
        let (mut scored_nats, mut probed_nats) = (Vec::new(), Vec::new());
        PlainLoss
            .token_nats(&scored, VOCAB, &batch.targets, &mut scored_nats)
            .unwrap();
        PlainLoss
            .token_nats(
                &probed,
                VOCAB,
                &probe_targets(&probe, &batch),
                &mut probed_nats,
            )
            .unwrap();
        largest_difference(
            &probe,
            VOCAB,
            (&scored, &scored_nats),
            (&probed, &probed_nats),
        )
        .0
    }

    #[test]
    fn a_causal_model_agrees_with_itself_and_a_leak_does_not() {
        for step in 0..20 {
            assert_eq!(difference(0, 0.0, step), 0.0, "step {step}");
        }
        let found = (0..20)
            .filter(|&step| difference(1, 0.01, step) > 1e-3)
            .count();
        assert!(
            found >= 15,
            "{found} of 20 probes saw a leak of one position"
        );
    }

    #[test]
    fn a_second_look_changes_something_and_is_no_repeat() {
        let schedule = Schedule::new([7; 32], 2, 64);
        let batch = batch(4, 32);
        for step in 2..40 {
            let probe = schedule.second_look(step, 0, &batch).unwrap();
            assert!(!probe.before && probe.cuts.is_some());
            assert_ne!(probe.batch.ids, batch.ids, "step {step}");
        }
        let off = Schedule::new([7; 32], 0, 0);
        assert_eq!(off.second_look(3, 0, &batch), None);
    }

    #[test]
    fn losses_alone_tell_a_leak_from_none() {
        let schedule = Schedule::new([7; 32], 2, 64);
        let batch = batch(4, 32);
        for ahead in [0, 1] {
            let probe = schedule.second_look(5, 0, &batch).unwrap();
            let nats = |batch: &Batch, targets: &[u32]| {
                let mut nats = Vec::new();
                PlainLoss
                    .token_nats(&model(batch, ahead, 4.0), VOCAB, targets, &mut nats)
                    .unwrap();
                nats
            };
            let scored = nats(&batch, &batch.targets);
            let probed = nats(&probe.batch, &probe_targets(&probe, &batch));
            let (difference, compared) = largest_loss_difference(&probe, &scored, &probed);
            assert_eq!(difference > 0.1, ahead == 1, "{difference}");
            let cuts = probe.cuts.unwrap();
            assert_eq!(compared as usize, cuts.iter().sum::<usize>());
        }
    }

    #[test]
    fn the_schedule_is_the_key_s() {
        let batch = batch(3, 8);
        let schedule = Schedule::new([1; 32], 2, 8);
        let again = Schedule::new([1; 32], 2, 8);
        let steps = |schedule: &Schedule| -> Vec<u32> {
            (0..400)
                .filter(|&step| schedule.probe(step, 0, &batch).is_some())
                .collect()
        };
        assert_eq!(steps(&schedule), steps(&again));
        assert_ne!(steps(&schedule), steps(&Schedule::new([2; 32], 2, 8)));
        assert_eq!(&steps(&schedule)[..2], [0, 1]);
        assert!((20..90).contains(&steps(&schedule).len()));
        assert_eq!(steps(&Schedule::new([1; 32], 1, 0)), [0]);
    }

    #[test]
    fn a_probe_shows_only_tokens_of_the_batch_and_keeps_prefixes() {
        for rows in [1, 2, 5] {
            let batch = batch(rows, 16);
            let probe = Schedule::new([3; 32], 1, 0).probe(0, 0, &batch).unwrap();
            let cuts = probe.cuts.unwrap();
            for (row, cut) in cuts.into_iter().enumerate() {
                let there = (row + probe.rotation) % rows;
                assert_eq!(
                    probe.batch.ids[there * 16..there * 16 + cut],
                    batch.ids[row * 16..row * 16 + cut]
                );
            }
            assert!(probe.batch.ids.iter().all(|id| batch.ids.contains(id)));
        }
    }

    #[test]
    fn rows_have_cuts_of_their_own_and_stay_where_they_are_in_half_of_the_probes() {
        let batch = batch(8, 32);
        let schedule = Schedule::new([5; 32], 200, 0);
        let probes: Vec<Probe> = (0..200)
            .map(|step| schedule.probe(step, 0, &batch).unwrap())
            .collect();
        let stay = probes.iter().filter(|probe| probe.rotation == 0).count();
        assert!((70..130).contains(&stay), "{stay} of 200");
        let cuts = probes[0].cuts.as_ref().unwrap();
        assert_eq!(cuts.len(), 8);
        assert!(cuts.iter().any(|cut| *cut != cuts[0]));
    }

    #[test]
    fn one_column_is_probed_by_its_row_and_padding_is_not_compared() {
        let schedule = Schedule::new([6; 32], 0, 1_000_000);
        let mut padded = batch(4, 16);
        padded.lengths = vec![9, 8, 8, 8];
        let probe = schedule
            .probe(7, 0, &padded)
            .expect("the padded step always has one");
        assert!(
            probe
                .cuts
                .is_none_or(|cuts| cuts.iter().all(|&cut| cut < 8))
        );
        let always = Schedule::new([6; 32], 1, 0);
        let probe = always.probe(0, 0, &batch(4, 1)).unwrap();
        assert_eq!(probe.cuts, Some(vec![1; 4]));
        assert_ne!(probe.rotation, 0);
        assert_eq!(always.probe(0, 0, &batch(1, 1)).unwrap().cuts, None);
    }

    #[test]
    fn a_shift_of_all_logits_and_masked_ids_are_no_difference() {
        let masked = [f32::NEG_INFINITY, 1.0, 2.0];
        assert_eq!(row_difference(&masked, &masked), 0.0);
        assert!(row_difference(&[1.0, 2.0], &[2.0, 3.0]) < 1e-6);
        assert!(row_difference(&[1.0, 2.0], &[1.0, 2.5]) > 0.4);
    }
}
