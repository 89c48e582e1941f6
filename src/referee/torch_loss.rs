//! The loss by libtorch: log-softmax in f64, a block of rows at a time.
//!
//! f32 would be faster by half and wrong by 1e-8 in relative terms; the exact references (uniform logits, fixed unigram) ask for
//! 1e-9 bits per byte. Blocks keep the f64 copy in the cache. Every row is reduced on its own, so the number of threads changes no bit.

use prism::referee::loss::Loss;
use tch::{Kind, Tensor};

/// Elements of one block's f64 copy: 2 MiB.
const BLOCK_ELEMENTS: usize = 1 << 18;

pub struct TorchLoss;

impl TorchLoss {
    pub fn new(threads: u32) -> Self {
        tch::set_num_threads(threads as i32);
        Self
    }
}

impl Loss for TorchLoss {
    fn token_nats(
        &mut self,
        logits: &[f32],
        vocab_size: usize,
        targets: &[u32],
        nats: &mut Vec<f64>,
    ) -> Result<(), String> {
        if logits.len() != targets.len() * vocab_size {
            return Err(format!(
                "{} logits for {} targets of vocabulary {vocab_size}",
                logits.len(),
                targets.len()
            ));
        }
        if let Some(target) = targets
            .iter()
            .find(|&&target| target as usize >= vocab_size)
        {
            return Err(format!("target {target} is not below {vocab_size}"));
        }
        nats.clear();
        nats.reserve(targets.len());
        let rows = (BLOCK_ELEMENTS / vocab_size).max(1);
        let _no_gradients = tch::no_grad_guard();
        for (logits, targets) in logits.chunks(rows * vocab_size).zip(targets.chunks(rows)) {
            block(logits, vocab_size, targets, nats).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn block(
    logits: &[f32],
    vocab_size: usize,
    targets: &[u32],
    nats: &mut Vec<f64>,
) -> Result<(), tch::TchError> {
    let rows = targets.len() as i64;
    let targets: Vec<i64> = targets.iter().map(|&target| i64::from(target)).collect();
    let targets = Tensor::f_from_slice(&targets)?.f_unsqueeze(1)?;
    // SAFETY: the slice outlives the tensor, which is read only and dropped at the end of this function; shape and strides
    // are those of the slice (checked by the caller).
    let logits = unsafe {
        Tensor::f_from_blob(
            logits.as_ptr().cast(),
            &[rows, vocab_size as i64],
            &[vocab_size as i64, 1],
            Kind::Float,
            tch::Device::Cpu,
        )?
    };
    let losses = logits
        .f_log_softmax(1, Kind::Double)?
        .f_gather(1, &targets, false)?
        .f_squeeze_dim(1)?
        .f_neg()?;
    let from = nats.len();
    nats.resize(from + rows as usize, 0.0);
    losses.f_copy_data(&mut nats[from..], rows as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// −ln softmax in f64, in plain Rust.
    fn by_hand(row: &[f32], target: u32) -> f64 {
        let largest = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = row
            .iter()
            .map(|&logit| (f64::from(logit) - largest).exp())
            .sum();
        largest + sum.ln() - f64::from(row[target as usize])
    }

    #[test]
    fn it_is_the_closed_form_to_1e_12() {
        let vocab = 4_096;
        let rows = 300;
        let logits: Vec<f32> = (0..rows * vocab)
            .map(|n| ((n * 2_654_435_761) % 1_000) as f32 / 37.0)
            .collect();
        let targets: Vec<u32> = (0..rows as u32).map(|n| n * 13 % vocab as u32).collect();
        let mut nats = Vec::new();
        TorchLoss::new(2)
            .token_nats(&logits, vocab, &targets, &mut nats)
            .unwrap();
        for (row, &target) in targets.iter().enumerate() {
            let expected = by_hand(&logits[row * vocab..(row + 1) * vocab], target);
            assert!(
                (nats[row] - expected).abs() < 1e-12,
                "{} {expected}",
                nats[row]
            );
        }
        let one = nats.clone();
        TorchLoss::new(1)
            .token_nats(&logits, vocab, &targets, &mut nats)
            .unwrap();
        assert_eq!(one, nats, "threads change bits");
    }

    #[test]
    fn uniform_logits_cost_ln_v_and_nan_rows_are_seen() {
        let mut logits = vec![0.5f32; 3 * 257];
        logits[257 + 3] = f32::NAN;
        logits[2 * 257 + 4] = f32::INFINITY;
        let mut nats = Vec::new();
        TorchLoss::new(1)
            .token_nats(&logits, 257, &[0, 1, 2], &mut nats)
            .unwrap();
        assert!((nats[0] - 257f64.ln()).abs() < 1e-14);
        assert!(!nats[1].is_finite() && !nats[2].is_finite());
        assert!(
            TorchLoss::new(1)
                .token_nats(&logits, 257, &[0, 1, 257], &mut nats)
                .is_err()
        );
        assert!(
            TorchLoss::new(1)
                .token_nats(&logits, 256, &[0, 1, 2], &mut nats)
                .is_err()
        );
    }
}
