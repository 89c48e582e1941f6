//! sr25519: Schnorr signatures over Ristretto, as Substrate makes them (signing context `substrate`). The arithmetic is
//! schnorrkel's; what comes in are plain bytes, and whatever is wrong with them is no signature.

use std::fmt;

use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature, signing_context};

/// The context that Substrate signs in.
const CONTEXT: &[u8] = b"substrate";

/// A secret key; its bytes are never printed.
pub struct SecretKey(Keypair);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// The key of a 32-byte seed (schnorrkel's mini secret key), expanded as Substrate does. None: no seed.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let seed = MiniSecretKey::from_bytes(seed).ok()?;
        Some(Self(seed.expand_to_keypair(ExpansionMode::Ed25519)))
    }

    /// The half that everybody may know.
    pub fn public(&self) -> [u8; 32] {
        self.0.public.to_bytes()
    }

    /// Signs, with random bytes of the kernel beside the key's own nonce.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let message = signing_context(CONTEXT).bytes(message);
        self.0.sign(message).to_bytes()
    }
}

/// Whether the signature over the message is by the holder of this public key.
pub fn verify(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (Ok(public), Ok(signature)) = (
        PublicKey::from_bytes(public),
        Signature::from_bytes(signature),
    ) else {
        return false;
    };
    let message = signing_context(CONTEXT).bytes(message);
    public.verify(message, &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(SecretKey::from_seed(&unhex(seed)).unwrap().public(), public);
            assert!(verify(&public, &message, &signature));
            for at in [0, 31, 32, 62, 63] {
                let mut other = signature;
                other[at] ^= 1;
                assert!(!verify(&public, &message, &other), "byte {at}");
            }
            let mut unmarked = signature;
            unmarked[63] &= 0x7f;
            assert!(!verify(&public, &message, &unmarked));
            assert!(!verify(&public, b"another message", &signature));
            let stranger = SecretKey::from_seed(&[9; 32]).unwrap().public();
            assert!(!verify(&stranger, &message, &signature));
            assert!(!verify(&[0xff; 32], &message, &signature), "no point");
        }
    }

    #[test]
    fn own_signatures_hold() {
        let key = SecretKey::from_seed(&unhex(ALICE)).unwrap();
        let signature = key.sign(b"message");
        assert!(verify(&key.public(), b"message", &signature));
        assert_ne!(key.sign(b"message"), signature, "each has random bytes");
        assert_eq!(format!("{key:?}"), "SecretKey(…)");
    }

    #[test]
    fn a_proof_beyond_the_order_of_the_group_is_refused() {
        let (_, public, message, signature) = &made_by_schnorrkel()[0];
        let mut signature = unhex::<64>(signature);
        signature[32..].copy_from_slice(&[0xff; 32]);
        assert!(!verify(&unhex(public), message, &signature));
    }
}
