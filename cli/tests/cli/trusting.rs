//! A server with TLS: only one that proves its name is talked to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::common::{command, run};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, Stream};

/// A server whose certificate signs itself, and that certificate in PEM.
fn server() -> (SocketAddr, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for stream in listener.incoming() {
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut socket = stream.unwrap();
            let mut tls = Stream::new(&mut connection, &mut socket);
            // A caller that does not trust it ends the handshake.
            if tls.read(&mut [0; 4_096]).is_ok() {
                tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"items\":[]}")
                    .unwrap();
                tls.conn.send_close_notify();
                tls.flush().unwrap();
            }
        }
    });
    (address, cert.pem())
}

#[test]
fn a_certificate_is_trusted_only_when_it_is_named() {
    let (address, pem) = server();
    let url = format!("https://{address}");
    let ran = run(&mut command(&["queues", "list", "--server", &url]), "");
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with(&format!("chaski: {url} is not trusted: ")), "{}", ran.err);
    assert!(
        ran.err.ends_with("SSL_CERT_FILE names a file with the certificates (PEM) to trust besides.\n"),
        "{}",
        ran.err
    );

    let path = std::env::temp_dir().join(format!("chaski-roots-{}.pem", std::process::id()));
    std::fs::write(&path, pem).unwrap();
    let ran = run(command(&["pauses", "--json", "--server", &url]).env("SSL_CERT_FILE", &path), "");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ran.quietly(), "{\"items\":[]}\n");

    let ran = run(command(&["pauses", "--server", &url]).env("SSL_CERT_FILE", "/none.pem"), "");
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("chaski: SSL_CERT_FILE, /none.pem: "), "{}", ran.err);
}
