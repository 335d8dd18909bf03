//! The server over a home whose parts are broken on purpose.

use std::sync::Arc;
use std::time::Duration;

use chaski_core::api::{Api, Door};
use chaski_core::app::{Dispatcher, Ingress};
use chaski_core::limits;
use chaski_core::ports::{Answer, CallError, Enqueue, EnqueueError, Entry, Outgoing, Taken, Target};
use chaski_core::settings::Settings;
use chaski_embedded::{Options, Store};
use chaski_system::{SystemChance, SystemClock};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::{Frame, Patience, Server};
use crate::beat::{Beat, Beats};
use crate::dispatch;
use crate::ending::Ending;
use crate::home::Home;
use crate::metrics::Metrics;

/// What a dead loop may go unnoticed (H-43).
const NOTICED: Duration = Duration::from_secs(10);

/// Takes nothing and breaks.
struct Breaks;
impl Enqueue for Breaks {
    async fn enqueue(&self, _: Entry) -> Result<Taken, EnqueueError> {
        panic!("a secret of ours")
    }
    async fn enqueue_all(&self, _: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        panic!("a secret of ours")
    }
}

struct Nobody;
impl Target for Nobody {
    async fn call(&self, _: Outgoing, _: Duration) -> Result<Answer, CallError> {
        Err(CallError::Connection("nobody is there".to_owned()))
    }
}

struct World {
    stream: TcpStream,
    dispatching: JoinHandle<()>,
    _folder: TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("data = {:?}", folder.path().join("store").display().to_string());
        let settings = Arc::new(Settings::read(&file, &|_| None).unwrap());
        let clock = SystemClock::start();
        let store = Store::open(Options::of(&settings), Arc::new(clock)).unwrap();
        let (metrics, ending) = (Arc::new(Metrics::new().unwrap()), Ending::new());
        let beats = Beats { dispatch: Beat::new(clock), accept: Beat::new(clock) };
        let dispatcher = Dispatcher::new(settings.clone(), Nobody, store.clone(), clock, store.clone());
        let dispatcher = Arc::new(dispatcher.with_bodies(store.clone()));
        let dispatching = tokio::spawn(dispatch::keep(store.clone(), dispatcher, clock, beats.dispatch.clone()));
        let home =
            Home { store: store.clone(), metrics: metrics.clone(), beats: beats.clone(), ending: ending.clone() };
        let ingress = Ingress::new(settings.clone(), Breaks, clock, SystemChance).with_bodies(store.clone());
        let api =
            Api::new(ingress, Some(home), Door { body_bytes: limits::SERVE_BATCH_BYTES, local: true, tls: false });
        let (limits, patience) = (settings.serve.limits, Patience::default());
        let server =
            Server::new(api, Frame { store: store.clone(), limits, patience, metrics, acceptor: None, ending });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        server.start(listener, beats.accept);
        Self { stream, dispatching, _folder: folder }
    }

    /// Asks on the one connection; the answer is read as far as it came at once, which is whole.
    async fn ask(&mut self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n");
        let text = format!("{head}content-length: {length}\r\n\r\n{body}");
        self.stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            assert_ne!(self.stream.read_buf(&mut answer).await.unwrap(), 0, "it hung up");
        }
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_answer_that_shows_nothing_and_the_connection_goes_on() {
    let mut world = World::start().await;
    let message = r#"{"subject":"s","message":{"url":"https://example.org/"}}"#;
    for _ in 0..2 {
        let told = world.ask("POST", "/messages", message).await;
        assert!(told.starts_with("HTTP/1.1 500 ") && told.contains("urn:chaski:problem:internal"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert!(world.ask("GET", "/health", "").await.starts_with("HTTP/1.1 200 "));
}

/// H-43: a dispatcher that was dead for six hours, and nobody knew.
#[tokio::test(flavor = "multi_thread")]
async fn health_tells_of_a_loop_that_was_killed_within_ten_seconds() {
    let mut world = World::start().await;
    assert!(world.ask("GET", "/health", "").await.starts_with("HTTP/1.1 200 "));
    world.dispatching.abort();
    let noticed = async {
        loop {
            let told = world.ask("GET", "/health", "").await;
            if told.starts_with("HTTP/1.1 503 ") {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = tokio::time::timeout(NOTICED, noticed).await.expect("it was not noticed in time");
    assert!(
        told.contains("\"dispatch\":\"its loop has been silent for") && told.contains("\"accept\":\"ok\""),
        "{told}"
    );
}
