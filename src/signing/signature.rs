//! `signature.json`: an ed25519 signature over the bytes of `digests.json`.

use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};

use super::keys::{PublicKey, Signer, unhex};
use crate::digest::hex;

pub const FILE: &str = "signature.json";
pub const SCHEMA_VERSION: &str = "prism_signature.v1";

/// What a signature is made over, before the list: a signature of prism's is good for nothing else.
const DOMAIN: &[u8] = b"prism-digests.v1\0";

/// A detached signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub schema_version: String,
    /// `ed25519`.
    pub algorithm: String,
    /// 64 hexadecimal digits.
    pub public_key: String,
    /// Over `prism-digests.v1`, a zero byte and the bytes of `digests.json`; 128 hexadecimal digits.
    pub signature: String,
}

/// Signs the bytes of a digest list.
pub fn sign(signer: &Signer, list: &[u8]) -> Signature {
    Signature {
        schema_version: SCHEMA_VERSION.to_owned(),
        algorithm: "ed25519".to_owned(),
        public_key: signer.public().to_string(),
        signature: hex(&signer.key().sign(&message(list)).to_bytes()),
    }
}

/// Verifies a signature over these bytes and names its key.
///
/// # Errors
/// Why it does not hold.
pub fn verify(signature: &Signature, list: &[u8]) -> Result<PublicKey, String> {
    let key = PublicKey::parse(&signature.public_key)
        .ok_or("public_key is no usable ed25519 key".to_owned())?;
    let bytes = unhex::<64>(&signature.signature)
        .ok_or("signature is not 128 hexadecimal digits".to_owned())?;
    let found = ed25519_dalek::Signature::from_bytes(&bytes);
    // strict: one list has one signature per key
    key.key()
        .verify_strict(&message(list), &found)
        .map_err(|_| format!("it is not the signature of {key} over digests.json"))?;
    Ok(key)
}

fn message(list: &[u8]) -> Vec<u8> {
    [DOMAIN, list].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_list_and_key_only() {
        let signer = Signer::from_seed([1; 32]);
        let signature = sign(&signer, b"list");
        assert_eq!(verify(&signature, b"list").unwrap(), signer.public());
        assert!(verify(&signature, b"lists").is_err());
        let other = Signature {
            public_key: Signer::from_seed([2; 32]).public().to_string(),
            ..signature.clone()
        };
        assert!(verify(&other, b"list").is_err());
        for at in 0..128 {
            let mut digits = signature.signature.clone().into_bytes();
            digits[at] = if digits[at] == b'0' { b'1' } else { b'0' };
            let bad = Signature {
                signature: String::from_utf8(digits).unwrap(),
                ..signature.clone()
            };
            assert!(verify(&bad, b"list").is_err(), "digit {at}");
        }
    }

    #[test]
    fn the_signature_is_plain_ed25519() {
        // RFC 8032, section 7.1, test 1: the public key of that seed.
        let seed =
            unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        assert_eq!(
            Signer::from_seed(seed).public().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
    }
}
