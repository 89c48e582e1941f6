//! sr25519: Schnorr signatures over Ristretto, as Substrate makes them (signing context `substrate`).
//!
//! After schnorrkel 0.11 (`sign.rs`, `context.rs`, `keys.rs`), whose signatures the tests verify.

use std::fmt;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

use super::transcript::Transcript;

/// The context that Substrate signs in.
const CONTEXT: &[u8] = b"substrate";
/// Set in the last byte of a signature, so that none of ed25519 passes as one.
const MARK: u8 = 0x80;

/// A secret key; its bytes are never printed.
pub struct SecretKey {
    scalar: Scalar,
    nonce: [u8; 32],
    public: [u8; 32],
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// The key of a 32-byte seed (schnorrkel's mini secret key), expanded as Substrate does.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let expanded = Sha512::digest(seed);
        let (mut key, mut nonce) = ([0; 32], [0; 32]);
        key.copy_from_slice(&expanded[..32]);
        nonce.copy_from_slice(&expanded[32..]);
        key[0] &= 0b1111_1000;
        key[31] &= 0b0011_1111;
        key[31] |= 0b0100_0000;
        // divided by the cofactor: schnorrkel keeps scalars so
        let mut low = 0;
        for byte in key.iter_mut().rev() {
            let remainder = *byte & 0b111;
            *byte = (*byte >> 3) | low;
            low = remainder << 5;
        }
        let scalar = Scalar::from_bytes_mod_order(key);
        let public = (&scalar * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
        Self {
            scalar,
            nonce,
            public,
        }
    }

    /// The half that everybody may know.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Signs. `random` are bytes that nobody can foresee; with a weak source the secret nonce alone still protects the key.
    pub fn sign(&self, message: &[u8], random: &[u8; 32]) -> [u8; 64] {
        let mut hash = Sha512::new();
        hash.update(self.nonce);
        hash.update(random);
        hash.update(self.public);
        hash.update(message);
        let mut wide = [0; 64];
        wide.copy_from_slice(&hash.finalize());
        let witness = Scalar::from_bytes_mod_order_wide(&wide);
        let commitment = (&witness * RISTRETTO_BASEPOINT_TABLE).compress().to_bytes();
        let challenge = challenge(message, &self.public, &commitment);
        let proof = challenge * self.scalar + witness;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&commitment);
        signature[32..].copy_from_slice(proof.as_bytes());
        signature[63] |= MARK;
        signature
    }
}

/// Whether the signature over the message is by the holder of this public key.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (mut commitment, mut proof) = ([0; 32], [0; 32]);
    commitment.copy_from_slice(&signature[..32]);
    proof.copy_from_slice(&signature[32..]);
    if proof[31] & MARK == 0 {
        return false;
    }
    proof[31] &= !MARK;
    let proof = Option::<Scalar>::from(Scalar::from_canonical_bytes(proof));
    let (Some(proof), Some(point)) = (proof, CompressedRistretto(*public).decompress()) else {
        return false;
    };
    let challenge = challenge(message, public, &commitment);
    let expected =
        RistrettoPoint::vartime_double_scalar_mul_basepoint(&challenge, &(-point), &proof);
    expected.compress().to_bytes() == commitment
}

fn challenge(message: &[u8], public: &[u8; 32], commitment: &[u8; 32]) -> Scalar {
    let mut transcript = Transcript::new(b"SigningContext");
    transcript.append(b"", CONTEXT);
    transcript.append(b"sign-bytes", message);
    transcript.append(b"proto-name", b"Schnorr-sig");
    transcript.append(b"sign:pk", public);
    transcript.append(b"sign:R", commitment);
    Scalar::from_bytes_mod_order_wide(&transcript.challenge(b"sign:c"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::hex;

    fn unhex<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
        crate::identity::unhex(text).unwrap()
    }

    const ALICE: &str = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a";

    /// Seed, public key, message, and a signature that schnorrkel 0.11.5 made.
    fn made_by_schnorrkel() -> [(&'static str, &'static str, Vec<u8>, &'static str); 5] {
        let counted = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let public = "e2111779981618705ecacea1af6ff9350bce2b2dccd03e0c3e01eb0c823d2666";
        let alice = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
        let text = b"prism:k:n:1:00".to_vec();
        [
            (
                counted,
                public,
                Vec::new(),
                "a43c4352b848dd0b14915b44a74bb06ce77ce065afedcd49b22bc0d66d506f232d616658fdcdda2182808c3fea06e6cf58a25a64491822fef4630a58a3ca6585",
            ),
            (
                counted,
                public,
                text.clone(),
                "a231255d4581be0a0c91a7cecb4f59e7dc6df6bda4fd1bed658558915a0c9c4919cb1686b90cbe01881370f08f83a6c210d14c5b4f603afd646856600124b68e",
            ),
            (
                counted,
                public,
                vec![7; 500],
                "78b2ece8ea2a139e2a19bc63266b4f474e07ef280011e5c3516afc4673973b3f0ca4551f870e0dadfce96e1810e8e1e84d02a88315b08b92209653f94ec0d085",
            ),
            (
                ALICE,
                alice,
                text,
                "36e43f21236442d6f6572f9778087ac4ccaa58c4ced8ace708cd50772febbc70e4c7a1ac254aef58e5aee929b6f1d1ae495c418da6035227e938403f7d610d8e",
            ),
            (
                ALICE,
                alice,
                vec![7; 500],
                "94c2ac6e561175256c67bf3d580a89104e08daa85d96af3abfab1e9b50942e450cb9b950f320380a4dd1f2feebbd456a1ef0929a71ea3de93e007e9491381782",
            ),
        ]
    }

    #[test]
    fn signatures_of_schnorrkel_hold_and_altered_ones_do_not() {
        for (seed, public, message, signature) in made_by_schnorrkel() {
            let (public, signature) = (unhex::<32>(public), unhex::<64>(signature));
            assert_eq!(SecretKey::from_seed(&unhex(seed)).public(), public);
            assert!(verify(&public, &message, &signature));
            for at in [0, 31, 32, 62, 63] {
                let mut other = signature;
                other[at] ^= 1;
                assert!(!verify(&public, &message, &other), "byte {at}");
            }
            let mut unmarked = signature;
            unmarked[63] &= !MARK;
            assert!(!verify(&public, &message, &unmarked));
            assert!(!verify(&public, b"another message", &signature));
            let stranger = SecretKey::from_seed(&[9; 32]).public();
            assert!(!verify(&stranger, &message, &signature));
            assert!(!verify(&[0xff; 32], &message, &signature), "no point");
        }
    }

    #[test]
    fn own_signatures_hold() {
        let key = SecretKey::from_seed(&unhex(ALICE));
        for random in [[0; 32], [1; 32]] {
            let signature = key.sign(b"message", &random);
            assert!(verify(&key.public(), b"message", &signature));
        }
        assert_ne!(key.sign(b"m", &[0; 32]), key.sign(b"m", &[1; 32]));
        assert!(!format!("{key:?}").contains(&hex(&key.nonce)));
    }

    #[test]
    fn a_proof_beyond_the_order_of_the_group_is_refused() {
        let (_, public, message, signature) = &made_by_schnorrkel()[0];
        let mut signature = unhex::<64>(signature);
        signature[32..].copy_from_slice(&[0xff; 32]);
        assert!(!verify(&unhex(public), message, &signature));
    }
}
