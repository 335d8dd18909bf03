//! Large bodies, from the caller to the target: in a call, uploaded, after a restart and after a replay.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chaski_serve::{Order, Patience};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::world::{Answer, Host, in_time};

type Sha = [u8; 32];

/// What a body was, as the target got it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    length: usize,
    sha: Sha,
}

/// A target that digests bodies; it answers each path once with the status in it, and 200 from then on.
#[derive(Clone)]
struct Digester {
    url: String,
    got: Arc<Mutex<HashMap<String, Vec<Got>>>>,
    more: Arc<Notify>,
}

impl Digester {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Self { url, got: Arc::default(), more: Arc::default() };
        let serving = target.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let target = serving.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while target.answer(&mut stream).await.is_some() {}
                });
            }
        });
        target
    }

    async fn answer(&self, stream: &mut BufReader<tokio::net::TcpStream>) -> Option<()> {
        let (mut line, mut length) = (String::new(), None);
        stream.read_line(&mut line).await.ok().filter(|size| *size > 0)?;
        let path = line.split(' ').nth(1)?.to_owned();
        loop {
            line.clear();
            stream.read_line(&mut line).await.ok()?;
            if line.trim().is_empty() {
                break;
            }
            assert!(!line.to_ascii_lowercase().starts_with("transfer-encoding"), "the length is told before");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = Some(value.trim().parse::<usize>().unwrap());
            }
        }
        let (mut left, mut sha, mut piece) = (length?, Sha256::new(), vec![0; 65_536]);
        while left > 0 {
            let room = left.min(piece.len());
            let size = stream.read(&mut piece[..room]).await.ok().filter(|size| *size > 0)?;
            sha.update(&piece[..size]);
            left -= size;
        }
        let first = {
            let mut got = self.got.lock().unwrap();
            let known = got.entry(path.clone()).or_default();
            known.push(Got { length: length?, sha: sha.finalize().into() });
            known.len() == 1
        };
        self.more.notify_one();
        let status = if first { path.split('/').nth(1)?.parse().unwrap_or(200) } else { 200_u16 };
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await.ok()
    }

    /// What came to a path, once that were so many.
    async fn got(&self, path: &str, count: usize) -> Vec<Got> {
        in_time(async {
            loop {
                let got = self.got.lock().unwrap().get(path).cloned().unwrap_or_default();
                if got.len() >= count {
                    return got;
                }
                self.more.notified().await;
            }
        })
        .await
    }
}

/// Letters that no packer makes much smaller, always the same.
fn chance(size: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    };
    (0..size).map(|_| letter()).map(|letter| if letter == '\\' { '/' } else { letter }).collect()
}

fn sha(bytes: &[u8]) -> Got {
    Got { length: bytes.len(), sha: Sha256::digest(bytes).into() }
}

async fn put(host: &Host, path: &str, body: &[u8]) -> Answer {
    let mut caller = host.caller().await;
    let head = format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", body.len());
    caller.say(&head).await;
    // A host that refuses it may hang up on what is not read.
    for piece in body.chunks(1_000_000) {
        if !caller.try_say_bytes(piece).await {
            break;
        }
    }
    caller.answer().await.unwrap()
}

/// The reference of an upload that has come.
async fn upload(host: &Host, body: &[u8]) -> (String, String) {
    let promise = host.ask("POST", "/bodies", "{}").await.json();
    let url = promise["upload"]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix("http://localhost").unwrap().to_owned();
    let answer = put(host, &path, body).await;
    assert_eq!((answer.status, answer.json()["bytes"].as_u64()), (200, body.len().try_into().ok()), "{answer:?}");
    (promise["body_ref"].as_str().unwrap().to_owned(), path)
}

async fn start(folder: &Path, more: &str) -> Host {
    Host::start(folder, more, Patience::default()).await.unwrap()
}

#[tokio::test]
async fn a_body_of_any_size_arrives_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let (host, target) = (start(folder.path(), "").await, Digester::start().await);
    for size in [262_143, 262_144, 262_145, 3_900_000] {
        let body = chance(size);
        let url = format!("{}/200/{size}", target.url);
        let envelope = format!(r#"{{"subject":"s","message":{{"url":"{url}","body":"{body}"}}}}"#);
        let answer = host.ask("POST", "/messages", &envelope).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(target.got(&format!("/200/{size}"), 1).await, [sha(body.as_bytes())], "{size}");
    }
    let body = chance(24_900_000).into_bytes();
    let (reference, path) = upload(&host, &body).await;
    let envelope = format!(
        r#"{{"subject":"s","message":{{"url":"{}/200/large","method":"PUT","body_ref":"{reference}"}}}}"#,
        target.url
    );
    let receipt = host.ask("POST", "/messages", &envelope).await;
    assert_eq!(receipt.status, 200, "{}", receipt.body);
    assert_eq!(target.got("/200/large", 1).await, [sha(&body)]);

    // Once is once: another body, and another message.
    assert_eq!(put(&host, &path, b"another").await.status, 409);
    let again = host.ask("POST", "/messages", &envelope).await;
    assert_eq!(again.status, 400, "{}", again.body);
    assert_eq!(again.json()["errors"][0]["pointer"], "/message/body_ref");
    let id = receipt.json()["id"].as_str().unwrap().to_owned();
    let told = host.ask("GET", &format!("/messages/{id}?wait=10s"), "").await.json();
    assert_eq!((told["body"]["bytes"].as_u64(), told["state"].as_str()), (Some(24_900_000), Some("delivered")));
}

#[tokio::test]
async fn a_large_body_outlives_a_restart_and_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let target = Digester::start().await;
    let host = start(folder.path(), "").await;
    let pause = host.ask("POST", "/pauses", r#"{"all":true}"#).await.json()["id"].as_str().unwrap().to_owned();
    let (small, large) = (chance(300_000), chance(5_000_000).into_bytes());
    let inside = format!(r#"{{"subject":"s","message":{{"url":"{}/410/call","body":"{small}"}}}}"#, target.url);
    let (reference, _) = upload(&host, &large).await;
    let named = format!(r#"{{"subject":"t","message":{{"url":"{}/410/ref","body_ref":"{reference}"}}}}"#, target.url);
    let mut ids = Vec::new();
    for envelope in [inside, named] {
        ids.push(host.ask("POST", "/messages", &envelope).await.json()["id"].as_str().unwrap().to_owned());
    }
    host.order(Order::End).await;
    host.ended().await.unwrap();

    let host = start(folder.path(), "").await;
    assert_eq!(host.ask("DELETE", &format!("/pauses/{pause}"), "").await.status, 200);
    for id in &ids {
        let told = host.ask("GET", &format!("/messages/{id}?wait=20s"), "").await.json();
        assert_eq!(told["state"], "dead", "{told}");
        let replayed = host.ask("POST", &format!("/dead-letters/{id}/replay"), "{}").await;
        assert_eq!(replayed.status, 202, "{}", replayed.body);
        let told = host.ask("GET", &format!("/messages/{id}?wait=20s"), "").await.json();
        assert_eq!(told["state"], "delivered", "{told}");
    }
    let (small, large) = (sha(small.as_bytes()), sha(&large));
    assert_eq!(target.got("/410/call", 2).await, [small.clone(), small]);
    assert_eq!(target.got("/410/ref", 2).await, [large.clone(), large]);
}

#[tokio::test]
async fn an_upload_is_refused_as_any_other_body_is() {
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path(), "").await;
    assert_eq!(put(&host, "/bodies/nobody.promised", b"x").await.status, 404);
    let promise = host.ask("POST", "/bodies", "{}").await.json();
    let path = format!("/bodies/{}", promise["body_ref"].as_str().unwrap());
    let most = usize::try_from(promise["max_bytes"].as_u64().unwrap()).unwrap();
    let mut caller = host.caller().await;
    caller.say(&format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", most + 1)).await;
    assert_eq!(caller.answer().await.unwrap().status, 413, "told by its length");
    // Without a length it is found out on the way.
    let mut caller = host.caller().await;
    caller.say(&format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")).await;
    let piece = format!("{:x}\r\n{}\r\n", 1_000_000, "x".repeat(1_000_000));
    for _ in 0..=25 {
        if !caller.try_say(&piece).await {
            break;
        }
    }
    assert_eq!(caller.answer().await.unwrap().status, 413);
    let foreign = format!("PUT {path} HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 1\r\n\r\nx");
    let mut caller = host.caller().await;
    caller.say(&foreign).await;
    assert_eq!(caller.answer().await.unwrap().status, 403);
    assert_eq!(put(&host, &path, b"at last").await.status, 200);
}

#[tokio::test]
async fn an_upload_that_stops_coming_is_given_up_and_may_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let brief = Patience { piece: std::time::Duration::from_millis(50), ..Patience::default() };
    let host = Host::start(folder.path(), "", brief).await.unwrap();
    let promise = host.ask("POST", "/bodies", "{}").await.json();
    let path = format!("/bodies/{}", promise["body_ref"].as_str().unwrap());
    let mut caller = host.caller().await;
    caller.say(&format!("PUT {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf")).await;
    assert_eq!(caller.answer().await.unwrap().status, 400);
    assert_eq!(put(&host, &path, b"all of it.").await.status, 200);
}
