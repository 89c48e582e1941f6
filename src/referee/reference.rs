//! A small causal predictor that the referee runs itself, as the control of the blind-position statistic.
//!
//! The last position of a row has a label that is nowhere in the inputs. Whether it is harder than the others for an honest
//! reason (text is not the same everywhere) is what this predictor shows: it cannot leak, so its own difference is that reason.

use std::collections::HashMap;

/// Adaptive bigram counts that back off to unigram counts, which back off to uniform.
///
/// p(t|c) = (n(c,t) + α·p(t)) / (n(c) + α), p(t) = (n(t) + β) / (N + βV): interpolated Dirichlet smoothing
/// (MacKay and Peto, 1995).
#[derive(Debug)]
pub struct Reference {
    vocab_size: usize,
    tokens: u64,
    unigrams: Vec<u32>,
    contexts: Vec<u32>,
    bigrams: HashMap<(u32, u32), u32>,
}

const ALPHA: f64 = 16.0;
const BETA: f64 = 0.05;

impl Reference {
    pub fn new(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            tokens: 0,
            unigrams: vec![0; vocab_size],
            contexts: vec![0; vocab_size],
            bigrams: HashMap::new(),
        }
    }

    /// −ln p(target | context) before either was learned, in nats.
    pub fn nats(&self, context: u32, target: u32) -> f64 {
        let count =
            |counts: &[u32], id: u32| counts.get(id as usize).copied().map_or(0.0, f64::from);
        let unigram = (count(&self.unigrams, target) + BETA)
            / (self.tokens as f64 + BETA * self.vocab_size as f64);
        let pair = self
            .bigrams
            .get(&(context, target))
            .copied()
            .map_or(0.0, f64::from);
        -((pair + ALPHA * unigram) / (count(&self.contexts, context) + ALPHA)).ln()
    }

    /// Learns one pair.
    pub fn learn(&mut self, context: u32, target: u32) {
        let (Some(unigram), Some(seen)) = (
            self.unigrams.get_mut(target as usize),
            self.contexts.get_mut(context as usize),
        ) else {
            return;
        };
        *unigram += 1;
        *seen += 1;
        self.tokens += 1;
        *self.bigrams.entry((context, target)).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_distribution_and_learns() {
        let mut reference = Reference::new(50);
        for n in 0..400u32 {
            reference.learn(n % 7, (n + 1) % 7);
        }
        let sum: f64 = (0..50)
            .map(|target| (-reference.nats(3, target)).exp())
            .sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!(reference.nats(3, 4) < 0.4);
        assert!((Reference::new(50).nats(0, 0) - 50f64.ln()).abs() < 1e-12);
    }
}
