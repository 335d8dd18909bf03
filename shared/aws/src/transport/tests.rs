//! Goal: connections are reused while they are surely alive, and not after that.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::{RootCertStore, crypto};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers every request on a connection with `body`, until the other side closes it.
pub(crate) async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, body: &str) -> std::io::Result<()> {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut read = Vec::new();
    loop {
        let mut some = [0; 4_096];
        match stream.read(&mut some).await? {
            0 => return Ok(()),
            n => read.extend_from_slice(&some[..n]),
        }
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some(head) = text.find("\r\n\r\n") else {
            continue;
        };
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if read.len() >= head + 4 + length.unwrap_or(0) {
            read.clear();
            stream.write_all(answer.as_bytes()).await?;
        }
    }
}

#[tokio::test]
async fn a_connection_is_reused_for_a_while_by_the_wall_clock() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move { converse(stream, "").await });
        }
    });
    let tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let transport = Transport::new(tls);
    let start = SystemTime::now();
    let second = Duration::from_secs(1);
    // When the clock reads so, so many connections were opened in all.
    let steps = [(start, 1), (start + 3 * second, 1), (start + 6 * second, 1), (start + 11 * second, 2), (start, 3)];
    for (now, connections) in steps {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(url.as_str()).unwrap();
        let answer = transport.pool(now).request(request.try_into_http1x().unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop(answer);
        // The connection goes back to its pool in a task of its own.
        tokio::task::yield_now().await;
        assert_eq!(opened.load(Ordering::SeqCst), connections, "{:?} after the start", now.duration_since(start));
    }
}
