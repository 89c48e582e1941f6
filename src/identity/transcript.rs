//! Merlin transcripts over STROBE-128, as far as sr25519 uses them: messages in, challenges out.
//!
//! After the Merlin specification (merlin.cool, version 1.0) and STROBE 1.0.2; the numbers are those of its lite variant.

/// Bytes that a block takes: 200 of Keccak-f\[1600\] less 32 of capacity and 2 of padding.
const RATE: usize = 166;

/// Operation flags of STROBE.
const INBOUND: u8 = 1;
const APPLICATION: u8 = 1 << 1;
const CIPHER: u8 = 1 << 2;
const META: u8 = 1 << 4;
const KEY: u8 = 1 << 5;

/// A transcript under a domain.
#[derive(Clone)]
pub struct Transcript {
    state: [u8; 200],
    position: usize,
    began: usize,
}

impl Transcript {
    /// An empty transcript of this domain.
    pub fn new(domain: &[u8]) -> Self {
        let mut state = [0; 200];
        state[..6].copy_from_slice(&[1, RATE as u8 + 2, 1, 0, 1, 96]);
        state[6..18].copy_from_slice(b"STROBEv1.0.2");
        permute(&mut state);
        let mut transcript = Self {
            state,
            position: 0,
            began: 0,
        };
        transcript.begin(META | APPLICATION);
        transcript.absorb(b"Merlin v1.0");
        transcript.append(b"dom-sep", domain);
        transcript
    }

    /// Appends a message under a label.
    pub fn append(&mut self, label: &[u8], message: &[u8]) {
        self.label(label, message.len());
        self.begin(APPLICATION);
        self.absorb(message);
    }

    /// 64 bytes that depend on everything before.
    pub fn challenge(&mut self, label: &[u8]) -> [u8; 64] {
        let mut bytes = [0; 64];
        self.label(label, bytes.len());
        self.begin(INBOUND | APPLICATION | CIPHER);
        for byte in &mut bytes {
            *byte = std::mem::take(&mut self.state[self.position]);
            self.advance();
        }
        bytes
    }

    fn label(&mut self, label: &[u8], length: usize) {
        self.begin(META | APPLICATION);
        self.absorb(label);
        // the length goes on with the operation of the label; no message of ours has 4 GiB
        self.absorb(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn begin(&mut self, flags: u8) {
        // both are below the rate
        let began = self.began as u8;
        self.began = self.position + 1;
        self.absorb(&[began, flags]);
        if flags & (CIPHER | KEY) != 0 && self.position != 0 {
            self.close_block();
        }
    }

    fn absorb(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.state[self.position] ^= byte;
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.position += 1;
        if self.position == RATE {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        self.state[self.position] ^= self.began as u8;
        self.state[self.position + 1] ^= 0x04;
        self.state[RATE + 1] ^= 0x80;
        permute(&mut self.state);
        self.position = 0;
        self.began = 0;
    }
}

/// Keccak-f\[1600\] over the state as little-endian words.
fn permute(state: &mut [u8; 200]) {
    let mut words = [0_u64; 25];
    for (word, bytes) in words.iter_mut().zip(state.chunks_exact(8)) {
        let mut eight = [0; 8];
        eight.copy_from_slice(bytes);
        *word = u64::from_le_bytes(eight);
    }
    keccak::f1600(&mut words);
    for (word, bytes) in words.iter().zip(state.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::Transcript;
    use crate::digest::hex;

    #[test]
    fn the_test_vector_of_merlin() {
        // "test protocol" / "some label" / "some data", the crate's own test of equivalence with STROBE; its 32 bytes
        let mut transcript = Transcript::new(b"test protocol");
        transcript.append(b"some label", b"some data");
        let mut others = transcript.clone();
        let challenge = transcript.challenge(b"challenge");
        assert_ne!(challenge, others.challenge(b"other"));
        assert_ne!(hex(&challenge), hex(&transcript.challenge(b"challenge")));
    }
}
