//! From what lies in the inbox to an archive with an owner, or to a refusal. Only a signature that holds makes an owner.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::bundle;
use crate::digest::{hex, sha256};
use crate::identity::{self, Claims, Mode, Refusal, Settings};
use crate::intake::{Arrival, Content, Delivery, refused_id, submission_id};
use crate::outbox::status::{Identity, Reason, Status, Verdict};
use crate::outbox::{Outbox, OutboxError, admission};

/// Whose a delivery is.
#[derive(Debug)]
pub enum Admitted {
    Arrival(Arrival),
    Refused(Refused),
}

/// A submission that is turned away before its content is looked at.
#[derive(Debug)]
pub struct Refused {
    pub submission_id: String,
    /// The id that it would have if it were not for the rule: it may have been taken in when another rule held, and is
    /// not turned away then.
    pub earlier_id: Option<String>,
    pub name: String,
    pub sha256: Option<String>,
    pub mode: Mode,
    pub reason: Reason,
}

/// Packs a delivery, and finds whose it is.
///
/// # Errors
/// An archive that cannot be packed.
pub fn admit(delivery: Delivery, settings: &Settings) -> Result<Admitted, OutboxError> {
    let claims_bytes = match &delivery.sidecar {
        Some(bytes) => bytes.clone(),
        None if delivery.metadata.is_null() => Vec::new(),
        None => delivery.metadata.to_string().into_bytes(),
    };
    let packed = match &delivery.content {
        Content::Zip(bytes) => Ok(bytes.clone()),
        Content::Source(source) => bundle::pack_source(source),
        Content::Files(files) => bundle::pack_files(files),
        Content::Broken(why) => {
            let content = delivery.file_sha256.clone().unwrap_or_default();
            return Ok(Admitted::Refused(Refused {
                submission_id: refused_id(&content, &claims_bytes),
                earlier_id: None,
                name: delivery.name,
                sha256: delivery.file_sha256,
                mode: settings.mode,
                reason: Reason {
                    rule_id: "prism:envelope".to_owned(),
                    message: why.clone(),
                    hint:
                        "`prism schema submission_envelope` has its form; nothing else may be in it"
                            .to_owned(),
                },
            }));
        }
    };
    let bytes = packed.map_err(crate::outbox::at(&delivery.path))?;
    let sha256 = sha256(&bytes);
    let code_hash = match &delivery.content {
        Content::Source(source) => crate::digest::sha256(source),
        _ => crate::digest::sha256(STANDARD.encode(&bytes).as_bytes()),
    };
    match claimed(&delivery, &sha256, settings) {
        Ok(identity) => {
            let hotkey = identity.hotkey;
            Ok(Admitted::Arrival(Arrival {
                submission_id: submission_id(hotkey.as_deref().unwrap_or(""), &bytes),
                path: delivery.path,
                name: delivery.name,
                bytes,
                sha256,
                code_hash: Some(code_hash),
                hotkey,
                identity: Some(identity.record),
            }))
        }
        Err(refusal) => Ok(Admitted::Refused(Refused {
            submission_id: refused_id(&sha256, &claims_bytes),
            earlier_id: match &refusal {
                Refusal::Unsigned(_) => Some(submission_id("", &bytes)),
                Refusal::Stale { hotkey, .. } | Refusal::NotAdmitted { hotkey, .. } => {
                    Some(submission_id(hotkey, &bytes))
                }
                _ => None,
            },
            name: delivery.name,
            sha256: Some(sha256),
            mode: settings.mode,
            reason: reason(&refusal),
        })),
    }
}

/// An owner, if there is one, and what is written down of it.
struct Owner {
    hotkey: Option<String>,
    record: Identity,
}

fn claimed(
    delivery: &Delivery,
    packed_sha256: &str,
    settings: &Settings,
) -> Result<Owner, Refusal> {
    let mut record = Identity {
        mode: settings.mode,
        ..Identity::default()
    };
    if settings.mode == Mode::Off {
        return Ok(Owner {
            hotkey: None,
            record,
        });
    }
    // A sidecar is about the file as it lies there; what an envelope says in itself is about the code that it holds.
    let (claims, signed_sha256) = match &delivery.sidecar {
        Some(bytes) => {
            let file = delivery.file_sha256.as_deref().unwrap_or(packed_sha256);
            (identity::sidecar(bytes)?, file.to_owned())
        }
        None => (
            identity::of(&delivery.metadata)?,
            content_sha256(delivery, packed_sha256),
        ),
    };
    if is_signed(&claims) && delivery.sidecar.is_some() && has_claims(&delivery.metadata) {
        let both = "signed twice: by a sidecar, and in the envelope's metadata".to_owned();
        return Err(identity::ClaimsError(both).into());
    }
    let signed = identity::judge(&claims, &signed_sha256, delivery.arrived_at, settings)?;
    if let Claims::Unsigned { hotkey } = claims {
        record.claimed = hotkey;
    }
    Ok(match signed {
        None => Owner {
            hotkey: None,
            record,
        },
        Some(signed) => Owner {
            hotkey: Some(signed.hotkey),
            record: Identity {
                nonce: Some(signed.nonce),
                submitted_at: Some(signed.submitted_at),
                signature: Some(hex(&signed.signature)),
                signed_sha256: Some(signed_sha256),
                ..record
            },
        },
    })
}

fn is_signed(claims: &Claims) -> bool {
    matches!(claims, Claims::Signed(_))
}

fn has_claims(metadata: &Value) -> bool {
    metadata.get("signature").is_some()
}

fn content_sha256(delivery: &Delivery, packed_sha256: &str) -> String {
    match &delivery.content {
        Content::Source(source) => sha256(source),
        Content::Zip(_) | Content::Files(_) | Content::Broken(_) => packed_sha256.to_owned(),
    }
}

/// A refusal as a verdict gives it.
pub fn reason(refusal: &Refusal) -> Reason {
    Reason {
        rule_id: refusal.rule_id().to_owned(),
        message: refusal.to_string(),
        hint: refusal.hint().to_owned(),
    }
}

/// Leaves the verdict of a refused submission in the outbox. Its archive is not kept: nobody answers for it.
pub fn refuse(outbox: &Outbox, refused: &Refused, now: SystemTime) -> Result<Status, OutboxError> {
    let sha256 = refused.sha256.as_deref();
    let mut status = Status::new(&refused.submission_id, &refused.name, sha256, now);
    status.identity = Some(Identity {
        mode: refused.mode,
        ..Identity::default()
    });
    status.conclude(Verdict::Rejected, Some(refused.reason.clone()), now);
    admission::admit(outbox, &status, &[])?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::identity::keyfile::Hotkey;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_266_309)
    }

    fn delivery(content: Content) -> Delivery {
        let file_sha256 = match &content {
            Content::Zip(bytes) | Content::Source(bytes) => Some(sha256(bytes)),
            Content::Broken(_) => Some(sha256(b"envelope")),
            Content::Files(_) => None,
        };
        Delivery {
            path: "a".into(),
            name: "a".to_owned(),
            content,
            file_sha256,
            sidecar: None,
            metadata: Value::Null,
            modified_at: now(),
            arrived_at: now(),
        }
    }

    fn claims(sha256: &str) -> Value {
        let hotkey = Hotkey::from_seed(&[1; 32]).unwrap();
        let signed = hotkey.sign(sha256, "n", now(), 42);
        json!({"hotkey": signed.hotkey, "nonce": signed.nonce, "submitted_at": signed.submitted_at, "signature": hex(&signed.signature)})
    }

    fn settings(mode: Mode) -> Settings {
        Settings {
            mode,
            ..Settings::default()
        }
    }

    fn arrival(delivery: Delivery, mode: Mode) -> Arrival {
        match admit(delivery, &settings(mode)).unwrap() {
            Admitted::Arrival(arrival) => arrival,
            Admitted::Refused(refused) => panic!("{refused:?}"),
        }
    }

    fn rule(delivery: Delivery, mode: Mode) -> String {
        match admit(delivery, &settings(mode)).unwrap() {
            Admitted::Refused(refused) => refused.reason.rule_id,
            Admitted::Arrival(arrival) => panic!("{arrival:?}"),
        }
    }

    #[test]
    fn every_form_is_signed_by_what_lies_there() {
        let address = Hotkey::from_seed(&[1; 32]).unwrap().address(42);
        let files = BTreeMap::from([("model.py".to_owned(), b"x".to_vec())]);
        let packed = sha256(&bundle::pack_files(&files).unwrap());
        let forms = [
            (Content::Zip(b"PK".to_vec()), sha256(b"PK")),
            (Content::Source(b"x".to_vec()), sha256(b"x")),
            (Content::Files(files), packed),
        ];
        for (content, signed) in forms {
            for in_metadata in [false, true] {
                let mut delivery = delivery(content.clone());
                if in_metadata {
                    delivery.metadata = claims(&signed);
                } else {
                    delivery.sidecar = Some(claims(&signed).to_string().into_bytes());
                }
                let unread = arrival(delivery.clone(), Mode::Off);
                assert_eq!(
                    (&unread.hotkey, unread.identity.unwrap().nonce),
                    (&None, None)
                );
                let arrival = arrival(delivery, Mode::Required);
                assert_eq!(arrival.hotkey.as_ref(), Some(&address));
                let code = match &content {
                    Content::Source(source) => source.clone(),
                    _ => STANDARD.encode(&arrival.bytes).into_bytes(),
                };
                assert_eq!(arrival.code_hash, Some(sha256(&code)));
                assert_eq!(
                    arrival.submission_id,
                    submission_id(&address, &arrival.bytes)
                );
                assert_eq!(
                    arrival.identity.unwrap().signed_sha256,
                    Some(signed.clone())
                );
            }
        }
    }

    #[test]
    fn an_envelope_s_sidecar_is_about_the_envelope() {
        let mut envelope = delivery(Content::Zip(b"PK".to_vec()));
        envelope.file_sha256 = Some(sha256(b"envelope"));
        envelope.sidecar = Some(claims(&sha256(b"envelope")).to_string().into_bytes());
        assert!(arrival(envelope.clone(), Mode::Required).hotkey.is_some());
        envelope.metadata = claims(&sha256(b"PK"));
        assert_eq!(
            rule(envelope.clone(), Mode::Required),
            "prism:claims-malformed"
        );
        envelope.metadata = Value::Null;
        envelope.sidecar = Some(claims(&sha256(b"PK")).to_string().into_bytes());
        assert_eq!(rule(envelope, Mode::Required), "prism:signature");
    }

    #[test]
    fn a_name_alone_owns_nothing_and_a_refusal_is_no_other_s_submission() {
        let mut named = delivery(Content::Zip(b"PK".to_vec()));
        let address = Hotkey::from_seed(&[1; 32]).unwrap().address(42);
        named.sidecar = Some(json!({"hotkey": address}).to_string().into_bytes());
        let admitted = arrival(named.clone(), Mode::Optional);
        assert_eq!(admitted.hotkey, None);
        assert_eq!(admitted.identity.unwrap().claimed, Some(address));
        assert_eq!(admitted.submission_id, submission_id("", b"PK"));
        assert_eq!(rule(named.clone(), Mode::Required), "prism:unsigned");
        let Ok(Admitted::Refused(refused)) = admit(named.clone(), &settings(Mode::Required)) else {
            panic!("admitted");
        };
        assert_ne!(Some(refused.submission_id), refused.earlier_id);
        named.sidecar = Some(b"{".to_vec());
        assert_eq!(rule(named, Mode::Optional), "prism:claims-malformed");
        let broken = delivery(Content::Broken("why".to_owned()));
        assert_eq!(rule(broken, Mode::Off), "prism:envelope");
    }
}
