//! An OpenAI-compatible chat API: one POST, one bounded answer, within one time. Redirects are not followed, proxies are
//! only those that are configured.

use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::HeaderMap;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};

use super::GateError;
use super::answer::{Answer, Evidence};
use super::patience::{Impatience, within};
use super::secret::Secret;
use super::tls::Tls;
use crate::config::gate::Gate;

/// Why an answer with the key in it is none.
pub const SENDS_KEY: &str = "it sends the key back";

const MAX_HEADER_BYTES: usize = 65_536;

/// Whoever answers at an address.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    url: String,
    key: Option<Secret>,
    timeout_s: u64,
    max_answer_bytes: u64,
}

impl Client {
    /// # Errors
    /// A key, a proxy or certificates that cannot be used.
    pub fn new(gate: &Gate) -> Result<Self, GateError> {
        let needs_tls = [Some(&gate.base_url), gate.proxy.as_ref()]
            .into_iter()
            .flatten()
            .any(|url| url.starts_with("https://"));
        let tls = if needs_tls {
            let tls = Tls::new().map_err(|reason| GateError::Unreachable { reason })?;
            Some(tls)
        } else {
            None
        };
        Self::over(gate, tls)
    }

    /// The same, over this TLS.
    ///
    /// # Errors
    /// A key or a proxy that cannot be used.
    pub(super) fn over(gate: &Gate, tls: Option<Tls>) -> Result<Self, GateError> {
        let unreachable = |reason: String| GateError::Unreachable { reason };
        let key = Secret::load(gate)?;
        let proxy = match &gate.proxy {
            None => None,
            Some(url) => Some(
                ureq::Proxy::new(url)
                    .map_err(|_| unreachable("gate.proxy is no URL of a proxy".to_owned()))?,
            ),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .timeout_global(Some(Duration::from_secs(gate.timeout_s)))
            .max_response_header_size(MAX_HEADER_BYTES)
            .max_idle_connections(0)
            .user_agent(concat!("prism/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = DefaultResolver::default();
        let agent = match tls {
            Some(tls) => Agent::with_parts(config, DefaultConnector::new().chain(tls), resolver),
            None => Agent::with_parts(config, DefaultConnector::new(), resolver),
        };
        Ok(Self {
            agent,
            url: format!("{}/chat/completions", gate.base_url.trim_end_matches('/')),
            key,
            timeout_s: gate.timeout_s,
            max_answer_bytes: gate.max_answer_bytes,
        })
    }

    /// Asks, and gives the body of the answer.
    ///
    /// # Errors
    /// Whatever keeps it from coming whole and in time, and [`GateError::Stopped`].
    pub fn ask(
        &self,
        request: Vec<u8>,
        is_stopped: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, GateError> {
        let client = self.clone();
        let time = Duration::from_secs(self.timeout_s);
        let answer = within(time, is_stopped, move || client.exchange(&request));
        match answer {
            Ok(answer) => answer,
            Err(Impatience::TimeIsUp) => Err(self.timeout()),
            Err(Impatience::Stopped) => Err(GateError::Stopped),
            Err(Impatience::Lost) => Err(GateError::Unreachable {
                reason: "the client stopped on a fault of its own".to_owned(),
            }),
        }
    }

    /// Whether the key is in what an answer says: escapes can keep it out of the bytes.
    pub fn has_key_in(&self, answer: &Answer) -> bool {
        let Some(key) = &self.key else {
            return false;
        };
        let texts = answer.verdict.evidence.iter().flat_map(|evidence| {
            let Evidence {
                path,
                rule,
                quote,
                explanation,
                ..
            } = evidence;
            [path, rule, quote, explanation]
        });
        texts
            .chain(&answer.served_model)
            .any(|text| key.is_in(text.as_bytes()))
    }

    fn timeout(&self) -> GateError {
        GateError::Timeout {
            seconds: self.timeout_s,
        }
    }

    fn exchange(&self, request: &[u8]) -> Result<Vec<u8>, GateError> {
        let mut call = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json");
        if let Some(key) = &self.key {
            call = call.header("authorization", format!("Bearer {}", key.exposed()));
        }
        let mut response = call.send(request).map_err(|error| self.failure(error))?;
        let status = response.status().as_u16();
        match status {
            200..=299 => {}
            300..=399 => return Err(GateError::Redirect { status }),
            _ => {
                return Err(GateError::Status {
                    status,
                    retry_after: retry_after(response.headers(), SystemTime::now()),
                });
            }
        }
        let limit_bytes = self.max_answer_bytes;
        let mut answer = Vec::new();
        let mut body = response.body_mut().as_reader().take(limit_bytes + 1);
        if let Err(error) = body.read_to_end(&mut answer) {
            let failure = self.failure(ureq::Error::from(error));
            return Err(match failure {
                GateError::Unreachable { reason } => GateError::CutOff { reason },
                other => other,
            });
        }
        if answer.len() as u64 > limit_bytes {
            return Err(GateError::TooLong { limit_bytes });
        }
        // Nothing that the key is in is kept or read.
        if self.key.as_ref().is_some_and(|key| key.is_in(&answer)) {
            return Err(GateError::Malformed {
                reason: SENDS_KEY.to_owned(),
            });
        }
        Ok(answer)
    }

    /// What went wrong, in words that hold nothing of what a server sent.
    fn failure(&self, error: ureq::Error) -> GateError {
        use ureq::Error;
        let reason = match error {
            Error::Timeout(_) => return self.timeout(),
            Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                return self.timeout();
            }
            Error::Io(error) => {
                of_tls(&error).map_or_else(|| error.kind().to_string(), str::to_owned)
            }
            Error::HostNotFound => "its host is not found".to_owned(),
            Error::Tls(reason) => format!("TLS: {reason}"),
            Error::Other(_) => "TLS could not be begun".to_owned(),
            Error::LargeResponseHeader(..) => {
                format!("its header is longer than {MAX_HEADER_BYTES} bytes")
            }
            Error::Protocol(_) | Error::Http(_) | Error::BodyStalled => {
                "what it sends is no HTTP".to_owned()
            }
            Error::ConnectProxyFailed(_) => "the proxy does not connect to it".to_owned(),
            Error::BadUri(_) => "gate.base_url is no URL".to_owned(),
            _ => "the connection failed".to_owned(),
        };
        GateError::Unreachable { reason }
    }
}

/// What TLS has against it, if that is it.
fn of_tls(error: &std::io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match inner {
        rustls::Error::InvalidCertificate(_) => "TLS: its certificate is not trusted",
        _ => "TLS: the handshake failed",
    })
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    date(text)?.duration_since(now).ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, the only form that is sent).
fn date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let parts: Vec<&str> = text.split_ascii_whitespace().collect();
    let [_, day, month, year, time, "GMT"] = parts[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = humantime::parse_rfc3339("1994-11-06T08:49:00Z").unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("-1", None),
            ("soon", None),
            ("Sun, 66 Nov 1994 08:49:37 GMT", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().unwrap());
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
