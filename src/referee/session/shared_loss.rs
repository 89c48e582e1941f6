//! The loss, while two phases use it.

use std::cell::RefCell;

use crate::referee::loss::Loss;

/// One loss, used by the training and, while that waits, by the twin.
pub struct SharedLoss<'a, 'l>(&'a RefCell<&'l mut dyn Loss>);

impl<'a, 'l> SharedLoss<'a, 'l> {
    pub fn of(loss: &'a RefCell<&'l mut dyn Loss>) -> Self {
        Self(loss)
    }
}

impl Loss for SharedLoss<'_, '_> {
    fn token_nats(
        &mut self,
        logits: &[f32],
        vocab_size: usize,
        targets: &[u32],
        nats: &mut Vec<f64>,
    ) -> Result<(), String> {
        self.0
            .borrow_mut()
            .token_nats(logits, vocab_size, targets, nats)
    }
}
