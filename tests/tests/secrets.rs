//! Planted secrets: a marker stands in every field that may carry one, everything is logged at the finest level,
//! the real client calls a real target that echoes it, and no line holds a marker.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::app::{Caller, Dispatcher, Ingress, Post};
use chaski_core::logger::{self, Service};
use chaski_core::ports::{
    Beside, Clock, Enqueue, EnqueueError, Entry, Leased, NoControl, Settle, SettleError, Settlement, Taken,
};
use chaski_core::settings::Settings;
use chaski_core::time::Timestamp;
use chaski_http::HttpTarget;
use chaski_system::{SystemChance, SystemClock};
use chaski_tests::world::target::Target;

const MARKER: &str = "planted-secret";
/// Signing secrets, of bytes that begin with the marker.
const SIGNING: [&str; 2] = ["planted-secret-that-signs-now", "planted-secret-that-signed-before"];

/// As the settings hold it.
fn signing_secret(bytes: &str) -> String {
    format!("whsec_{}", STANDARD.encode(bytes))
}

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Queues and settlements in memory.
#[derive(Clone, Default)]
struct Memory {
    entries: Arc<Mutex<Vec<Entry>>>,
    settled: Arc<Mutex<Vec<Settlement>>>,
}

impl Enqueue for Memory {
    async fn enqueue(&self, entry: Entry) -> Result<Taken, EnqueueError> {
        self.entries.lock().unwrap().push(entry);
        Ok(Taken::New)
    }
    async fn enqueue_all(&self, entries: Vec<Entry>) -> Vec<Result<Taken, EnqueueError>> {
        let fates = entries.iter().map(|_| Ok(Taken::New)).collect();
        self.entries.lock().unwrap().extend(entries);
        fates
    }
}

impl Settle for Memory {
    async fn settle(&self, _: &Leased, settlement: &Settlement, _: Beside<'_>) -> Result<(), SettleError> {
        self.settled.lock().unwrap().push(settlement.clone());
        Ok(())
    }
    async fn give_back(&self, _: &[(&Leased, Duration)]) {}
}

#[test]
fn no_line_holds_a_planted_secret() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let page = Page::default();
    let service = Service { name: "test", version: "0", level: tracing::Level::TRACE, cloudwatch: true };
    let subscriber = logger::subscriber(service, SystemClock::start(), page.clone());
    let memory = tracing::subscriber::with_default(subscriber, || runtime.block_on(a_message_s_life()));

    let log = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("\"event.action\":\"accepted\"") && log.contains("\"event.action\":\"dead_letter\""), "{log}");
    let encoded = SIGNING.map(|bytes| STANDARD.encode(bytes));
    let tells = |line: &str| line.contains(MARKER) || encoded.iter().any(|secret| line.contains(secret));
    let told: Vec<&str> = log.lines().filter(|line| tells(line)).collect();
    assert!(told.is_empty(), "{told:#?}");

    let settled = memory.settled.lock().unwrap();
    let Some(Settlement::Bury(letter)) = settled.last() else { panic!("not buried: {settled:?}") };
    let response = String::from_utf8_lossy(letter.response.as_deref().unwrap_or_default());
    assert_eq!(response, "{\"said\":\"***\"}", "the target echoed the credential");
}

/// Accepted, attempted until it is buried, and refused in between.
async fn a_message_s_life() -> Memory {
    let target = Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let file = format!("[targets]\nallow = [\"{}\"]\n[http]\ntimeout = \"2s\"", target.address);
    let [secret, previous] = SIGNING.map(signing_secret);
    let signing = format!("[signing]\nsecret = \"{secret}\"\nprevious = \"{previous}\"");
    let settings = Arc::new(Settings::read(&format!("{file}\n{signing}"), &|_| None).unwrap());
    tracing::error!("{settings:?}");
    // Of every kind of mistake: what is no secret, and a file that is no TOML beside it.
    for wrong in [signing.replace("whsec_", "whsec"), signing.replace('=', "=\n"), format!("{signing}\n{signing}")] {
        let error = Settings::read(&wrong, &|_| None).unwrap_err();
        tracing::error!("{error} {error:?}");
    }
    let memory = Memory::default();
    let ingress = Ingress::new(settings.clone(), memory.clone(), SystemClock::start(), SystemChance);
    let url = format!("{}?token={MARKER}-query#{MARKER}-fragment", target.url("secrets", "echo/500"));
    let text = format!(
        r#"{{"subject":"s","message":{{"url":"{url}","headers":{{"Authorization":"Bearer {MARKER}-credential","X-Api-Key":"{MARKER}-key"}},
            "body":{{"password":"{MARKER}-body"}}}},"unknown":"{MARKER}-unknown"}}"#
    );
    let post = |text| Post { text, key: None, trace: None };
    ingress.accept(&Caller::default(), post(text.as_bytes())).await.unwrap();
    let wrong = text.replace("\"body\":", "\"method\":\"TRACE\",\"body\":");
    assert!(ingress.accept(&Caller::default(), post(wrong.as_bytes())).await.is_err());

    let clock = SystemClock::start();
    let caller = HttpTarget::new(settings.guard.clone(), Arc::new(clock));
    let dispatcher = Dispatcher::new(settings, caller, memory.clone(), clock, NoControl);
    let mut entry = memory.entries.lock().unwrap().remove(0);
    for n in 0..6 {
        let leased = Leased {
            kept_at: None,
            queue: entry.queue.clone(),
            body: entry.body.clone(),
            entry_id: format!("entry-{n}"),
            sequence: n.to_string(),
            group: entry.group.clone(),
            sent_at: Timestamp::from_millis(0),
            receives: 1,
            handle: format!("{MARKER}-handle"),
        };
        let back = Box::pin(dispatcher.run(&[leased], clock.elapsed() + Duration::from_secs(60))).await;
        assert!(back.is_empty());
        if let Some(Settlement::Move(next)) = memory.settled.lock().unwrap().last() {
            entry = next.clone();
        }
    }
    let calls = target.calls("secrets");
    assert_eq!(calls.len(), 6);
    assert!(calls.iter().all(|call| call.header("webhook-signature").split(' ').count() == 2), "{calls:#?}");
    memory
}
