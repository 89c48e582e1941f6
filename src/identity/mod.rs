//! Who submits: signatures of hotkeys (sr25519, ss58 addresses) over the canonical message of the HTTP contract.
//!
//! [`judge`] takes claims to a hotkey that holds, to nobody, or to a refusal. Only what it returns is ever an owner. What
//! needs memory (nonces, open submissions, rates) is the pipeline's affair.

mod claims;
pub mod keyfile;
mod settings;
mod sr25519;
mod ss58;

use std::time::{Duration, SystemTime};

pub(crate) use claims::brief;
pub use claims::{Claims, ClaimsError, MAX_SIDECAR_BYTES, SCHEMA_VERSION, Signed, of, sidecar};
pub use settings::{Mode, Settings};
pub use ss58::{AddressError, decode as decode_address};

/// Ending of a sidecar's name, after the name of the file or folder that it is about.
pub const SIDECAR_SUFFIX: &str = ".meta.json";

/// Why a submission is turned away for whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("nobody signed it: {0}")]
    Unsigned(String),
    #[error(transparent)]
    Malformed(#[from] ClaimsError),
    #[error("hotkey: {0}")]
    Address(#[from] AddressError),
    #[error("the signature is not of {hotkey} over {message:?}")]
    Signature { hotkey: String, message: String },
    #[error(
        "submitted_at of {hotkey} is {submitted_at}, {apart_s} s from the arrival of the file, expected at most {ttl_s}"
    )]
    Stale {
        hotkey: String,
        submitted_at: String,
        apart_s: u64,
        ttl_s: u64,
    },
    #[error("{hotkey} may not submit here: {why}")]
    NotAdmitted { hotkey: String, why: &'static str },
    #[error("nonce {nonce:?} of {hotkey} was used by submission {earlier}")]
    NonceReused {
        hotkey: String,
        nonce: String,
        earlier: String,
    },
}

impl Refusal {
    /// The rule that it falls under.
    pub fn rule_id(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => "prism:unsigned",
            Self::Malformed(_) => "prism:claims-malformed",
            Self::Address(_) | Self::Signature { .. } => "prism:signature",
            Self::Stale { .. } => "prism:signature-stale",
            Self::NotAdmitted { .. } => "prism:hotkey-refused",
            Self::NonceReused { .. } => "prism:nonce-reused",
        }
    }

    /// What its author can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unsigned(_) => {
                "put NAME.meta.json with hotkey, submitted_at, nonce and signature beside the file, first; `prism submit --sign-with` does"
            }
            Self::Malformed(_) => "`prism schema submission_meta` has the form of a sidecar",
            Self::Address(_) => "use the ss58 address of the hotkey in this contest's network",
            Self::Signature { .. } => {
                "sign exactly that text, with sr25519 in the context `substrate`, over the file as it lies in the inbox"
            }
            Self::Stale { .. } => "sign again, and check the clock of the machine that signs",
            Self::NotAdmitted { .. } => "ask the operator",
            Self::NonceReused { .. } => "sign again, with a nonce that was never used",
        }
    }
}

/// What is signed: the message of the HTTP contract, with the digest of the file in the place of the request's body.
pub fn message(hotkey: &str, nonce: &str, submitted_at: &str, sha256: &str) -> String {
    format!("prism:{hotkey}:{nonce}:{submitted_at}:{sha256}")
}

/// The claims whose signature holds and whose hotkey may submit; none where there is no signature and need be none.
/// `arrived_at` is when the file came to lie in the inbox.
///
/// # Errors
/// [`Refusal`].
pub fn judge(
    claims: &Claims,
    sha256: &str,
    arrived_at: SystemTime,
    settings: &Settings,
) -> Result<Option<Signed>, Refusal> {
    let signed = match (claims, settings.mode) {
        (_, Mode::Off) => return Ok(None),
        (Claims::Signed(signed), _) => signed,
        (Claims::Unsigned { .. }, Mode::Optional) => return Ok(None),
        (Claims::Unsigned { hotkey: None }, Mode::Required) => {
            let what = "there is no sidecar, and it names no hotkey".to_owned();
            return Err(Refusal::Unsigned(what));
        }
        (Claims::Unsigned { hotkey: Some(_) }, Mode::Required) => {
            return Err(Refusal::Unsigned(
                "a hotkey is named without a signature".to_owned(),
            ));
        }
    };
    let public = ss58::decode(&signed.hotkey, settings.network)?;
    let message = message(&signed.hotkey, &signed.nonce, &signed.submitted_at, sha256);
    if !sr25519::verify(&public, message.as_bytes(), &signed.signature) {
        return Err(Refusal::Signature {
            hotkey: signed.hotkey.clone(),
            message,
        });
    }
    let not_admitted = |why| Refusal::NotAdmitted {
        hotkey: signed.hotkey.clone(),
        why,
    };
    if settings.own_hotkey.as_ref() == Some(&signed.hotkey) {
        return Err(not_admitted("it is the hotkey of whoever runs the contest"));
    }
    if settings.deny.contains(&signed.hotkey) {
        return Err(not_admitted("it is on the list of those that may not"));
    }
    if !settings.allow.is_empty() && !settings.allow.contains(&signed.hotkey) {
        return Err(not_admitted("it is not on the list of those that may"));
    }
    let apart = arrived_at
        .duration_since(signed.at)
        .unwrap_or_else(|ahead| ahead.duration());
    if apart > Duration::from_secs(settings.ttl_s) {
        return Err(Refusal::Stale {
            hotkey: signed.hotkey.clone(),
            submitted_at: signed.submitted_at.clone(),
            apart_s: apart.as_secs(),
            ttl_s: settings.ttl_s,
        });
    }
    Ok(Some(signed.clone()))
}

/// Whether a signature, as it was recorded, is of this hotkey, in whatever network.
pub fn is_signed(
    hotkey: &str,
    nonce: &str,
    submitted_at: &str,
    sha256: &str,
    signature: &str,
) -> bool {
    let key = ss58::network_and_key(hotkey).ok();
    let message = message(hotkey, nonce, submitted_at, sha256);
    key.zip(unhex(signature))
        .is_some_and(|((_, key), signature)| sr25519::verify(&key, message.as_bytes(), &signature))
}

/// Bytes from exactly so many hexadecimal digits.
pub(crate) fn unhex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    if text.len() != LENGTH * 2 {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::keyfile::Hotkey;
    use super::*;

    const SHA256: &str = "00ff";

    fn arrived() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_266_309)
    }

    fn signed(hotkey: &Hotkey, nonce: &str) -> Signed {
        hotkey.sign(SHA256, nonce, arrived(), 42)
    }

    fn required() -> Settings {
        Settings {
            mode: Mode::Required,
            ttl_s: 300,
            ..Settings::default()
        }
    }

    fn rule(claims: &Claims, settings: &Settings) -> Option<&'static str> {
        let judged = judge(claims, SHA256, arrived(), settings);
        judged.err().map(|refusal| {
            assert!(!refusal.hint().is_empty());
            refusal.rule_id()
        })
    }

    #[test]
    fn what_holds_and_what_does_not() {
        let hotkey = Hotkey::from_seed(&[1; 32]).unwrap();
        let good = signed(&hotkey, "n");
        let with = |change: &dyn Fn(&mut Signed)| {
            let mut other = good.clone();
            change(&mut other);
            Claims::Signed(other)
        };
        let name = || hotkey.address(42);
        let stranger = Hotkey::from_seed(&[2; 32]).unwrap();
        let nobody = Claims::Unsigned { hotkey: None };
        let somebody = Claims::Unsigned {
            hotkey: Some(name()),
        };
        let signature = crate::digest::hex(&good.signature);
        let recorded =
            |nonce: &str| is_signed(&good.hotkey, nonce, &good.submitted_at, SHA256, &signature);
        assert!(recorded("n") && !recorded("m"));
        let held = judge(&with(&|_| {}), SHA256, arrived(), &required());
        assert_eq!(held, Ok(Some(good.clone())));
        let late = arrived() + Duration::from_secs(301);
        let early = arrived() - Duration::from_secs(301);
        for at in [late, early] {
            let stale = judge(&with(&|_| {}), SHA256, at, &required()).unwrap_err();
            assert_eq!(stale.rule_id(), "prism:signature-stale");
        }
        let cases: [(Claims, Settings, Option<&str>); 14] = [
            (with(&|_| {}), required(), None),
            (nobody.clone(), required(), Some("prism:unsigned")),
            (somebody.clone(), required(), Some("prism:unsigned")),
            (
                nobody,
                Settings {
                    mode: Mode::Optional,
                    ..required()
                },
                None,
            ),
            (
                somebody,
                Settings {
                    mode: Mode::Optional,
                    ..required()
                },
                None,
            ),
            (
                with(&|claims| claims.nonce = "m".into()),
                required(),
                Some("prism:signature"),
            ),
            (
                with(&|claims| claims.hotkey = stranger.address(42)),
                required(),
                Some("prism:signature"),
            ),
            (
                with(&|claims| claims.hotkey = hotkey.address(0)),
                required(),
                Some("prism:signature"),
            ),
            (
                with(&|claims| claims.submitted_at.push(' ')),
                required(),
                Some("prism:signature"),
            ),
            (
                with(&|claims| claims.signature[0] ^= 1),
                Settings {
                    mode: Mode::Optional,
                    ..required()
                },
                Some("prism:signature"),
            ),
            (
                with(&|_| {}),
                Settings {
                    deny: vec![name()],
                    ..required()
                },
                Some("prism:hotkey-refused"),
            ),
            (
                with(&|_| {}),
                Settings {
                    allow: vec![stranger.address(42)],
                    ..required()
                },
                Some("prism:hotkey-refused"),
            ),
            (
                with(&|_| {}),
                Settings {
                    own_hotkey: Some(name()),
                    ..required()
                },
                Some("prism:hotkey-refused"),
            ),
            (
                with(&|_| {}),
                Settings {
                    allow: vec![name()],
                    ..required()
                },
                None,
            ),
        ];
        for (claims, settings, expected) in cases {
            assert_eq!(
                rule(&claims, &settings),
                expected,
                "{claims:?} {settings:?}"
            );
        }
        let off = Settings {
            mode: Mode::Off,
            ..required()
        };
        assert_eq!(judge(&with(&|_| {}), SHA256, arrived(), &off), Ok(None));
    }

    #[test]
    fn the_message_is_that_of_the_contract() {
        assert_eq!(message("5F", "n", "1", "ab"), "prism:5F:n:1:ab");
    }

    #[test]
    fn hexadecimal_digits() {
        assert_eq!(unhex::<2>("0aFf"), Some([10, 255]));
        for text in ["", "0aF", "0aFfa0", "0aFg", "é0a"] {
            assert_eq!(unhex::<2>(text), None, "{text}");
        }
    }
}
