//! A server with a certificate, and clients that trust its authority, or do not.
//!
//! The certificates were made for these tests: an authority, and `localhost` under it, 2000 to 2100.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::super::fixture::completion;
use super::super::http::Client;
use super::super::tls::Tls;
use super::server::response;
use super::*;

const AUTHORITY: &[u8] = include_bytes!("tls/authority.der");
const LOCALHOST: &[u8] = include_bytes!("tls/localhost.der");
const LOCALHOST_KEY: &[u8] = include_bytes!("tls/localhost.key.der");

/// Answers one connection; gives the port.
fn serve(answer: Vec<u8>) -> u16 {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(LOCALHOST_KEY.to_vec()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(LOCALHOST.to_vec())], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        let mut request = Vec::new();
        let mut some = [0; 4_096];
        // A client that does not trust us goes away.
        while let Ok(count @ 1..) = stream.read(&mut some) {
            request.extend_from_slice(&some[..count]);
            if request.ends_with(b"the end") {
                let _ = stream.write_all(&answer);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    port
}

fn ask(host: &str, port: u16, authority: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut roots = RootCertStore::empty();
    if let Some(der) = authority {
        roots.add(CertificateDer::from(der.to_vec())).unwrap();
    }
    let scene = Scene::http("127.0.0.1:9");
    let gate = Gate {
        base_url: format!("https://{host}:{port}"),
        ..scene.gate.clone()
    };
    let client = Client::over(&gate, Some(Tls::trusting(roots).unwrap())).unwrap();
    let answer = client.ask(b"the question, to the end".to_vec(), &|| false);
    answer.map_err(|error| error.to_string())
}

#[test]
fn a_server_is_believed_by_its_certificate_only() {
    let body = completion("allow", &[]).to_string().repeat(50);
    let whole = response("200 OK", "", &body);
    let said = ask("localhost", serve(whole.clone()), Some(AUTHORITY)).unwrap();
    assert_eq!(said, body.as_bytes());
    for (host, authority) in [("localhost", None), ("127.0.0.1", Some(AUTHORITY))] {
        let error = ask(host, serve(whole.clone()), authority).unwrap_err();
        assert!(error.contains("certificate is not trusted"), "{error}");
    }
    let cut = whole[..whole.len() - 1].to_vec();
    let error = ask("localhost", serve(cut), Some(AUTHORITY)).unwrap_err();
    assert!(error.contains("cut off"), "{error}");
}
