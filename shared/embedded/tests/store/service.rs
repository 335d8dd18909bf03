//! The store with the use cases over it, as `chaski serve` has it: messages are posted as text, and attempts are made
//! to a target that answers by a script.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chaski_core::app::{Caller, Dispatcher, Ingress, Post, Receipt, next_generation};
use chaski_core::filter::Whose;
use chaski_core::ports::{Answer, CallError, Clock, DeadLetters, Leased, Outgoing, Replayed, Target};
use chaski_core::settings::Settings;
use chaski_core::time::Timestamp;
use chaski_embedded::Store;
use chaski_system::SystemChance;
use tempfile::TempDir;

use crate::world::{TestClock, World};

/// The world's clock, as the use cases read it.
#[derive(Clone)]
pub(crate) struct Hands(Arc<TestClock>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A request that the target got.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) id: String,
    /// The last part of the URL's path.
    pub(crate) name: String,
    pub(crate) sequence: Option<u64>,
    pub(crate) body: String,
}

/// Answers 200, but for what a name is told to get first.
#[derive(Clone, Default)]
pub(crate) struct Script {
    answers: Arc<Mutex<HashMap<String, VecDeque<u16>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Target for Script {
    async fn call(&self, request: Outgoing, _: Duration) -> Result<Answer, CallError> {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let name = request.url.path().rsplit('/').next().unwrap_or_default().to_owned();
        let [id, sequence] = ["chaski-id", "chaski-sequence"].map(header);
        let body = request.body.read().await.map_err(|error| CallError::Connection(error.to_string()))?;
        let status = self.answers.lock().unwrap().get_mut(&name).and_then(VecDeque::pop_front).unwrap_or(200);
        self.seen.lock().unwrap().push(Seen {
            id: id.unwrap_or_default(),
            sequence: sequence.map(|text| text.parse().unwrap()),
            body: String::from_utf8_lossy(&body).into_owned(),
            name,
        });
        Ok(Answer { status, ..Answer::default() })
    }
}

pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) target: Script,
    ingress: Ingress<Store, Hands, SystemChance>,
    dispatcher: Dispatcher<Script, Store, Hands, Store>,
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::over(World::new(), Script::default())
    }

    fn over(world: World, target: Script) -> Self {
        let settings = Arc::new(Settings::read("", &|_| None).unwrap());
        let (store, clock) = (world.store.clone(), Hands(world.clock.clone()));
        let ingress = Ingress::new(settings.clone(), store.clone(), clock.clone(), SystemChance);
        let dispatcher = Dispatcher::new(settings, target.clone(), store.clone(), clock, store);
        Self { world, target, ingress, dispatcher }
    }

    /// What a kill leaves, and a start after it.
    pub(crate) fn killed(self) -> Self {
        let Self { world, target, ingress, dispatcher } = self;
        drop((ingress, dispatcher));
        Self::over(world.killed(), target)
    }

    /// A start on these files.
    pub(crate) fn from(self, left: TempDir) -> Self {
        let wall = self.world.clock.now().millis();
        let target = self.target.clone();
        drop(self);
        Self::over(World::in_folder(left, wall, |_| ()), target)
    }

    /// Sends a dead letter again.
    pub(crate) async fn replay(&self, id: &str) {
        let store = &self.world.store;
        let letter = store.dead_letter(id, None, &Whose::default()).await.unwrap().unwrap().letter;
        let settings = Settings::read("", &|_| None).unwrap();
        let entry = next_generation(&letter, &settings, self.world.clock.now()).unwrap();
        assert_eq!(store.replay(&letter, &entry).await.unwrap(), Replayed::Sent);
    }

    /// The target answers requests of this name so, one after the other, and 200 afterwards.
    pub(crate) fn answers(&self, name: &str, statuses: &[u16]) {
        self.target.answers.lock().unwrap().insert(name.to_owned(), statuses.iter().copied().collect());
    }

    pub(crate) async fn post_as(&self, caller: &Caller, key: Option<&str>, text: &str) -> Receipt {
        let post = Post { text: text.as_bytes(), key, trace: None };
        self.ingress.accept(caller, post).await.unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
    }

    /// Posts a message to `https://e.org/<name>`; `fields` begin with a comma, or are empty. Its id.
    pub(crate) async fn post(&self, subject: &str, name: &str, fields: &str) -> String {
        let text = format!(r#"{{"subject":"{subject}","message":{{"url":"https://e.org/{name}"}}{fields}}}"#);
        self.post_as(&Caller::default(), None, &text).await.id
    }

    pub(crate) async fn strict(&self, subject: &str, name: &str) -> String {
        self.post(subject, name, r#","ordering":"strict""#).await
    }

    /// The next entry that may be handled is; it has to come.
    pub(crate) async fn step(&self) {
        let leased = self.world.lease().await;
        self.handle(&leased).await;
    }

    pub(crate) async fn steps(&self, count: usize) {
        for _ in 0..count {
            self.step().await;
        }
    }

    pub(crate) async fn handle(&self, leased: &Leased) {
        let until = self.world.clock.elapsed() + Duration::from_secs(3_600);
        self.dispatcher.run(std::slice::from_ref(leased), until).await;
    }

    /// Nothing may be handled now.
    pub(crate) async fn nothing_waits(&self) {
        self.world.nothing_waits().await;
    }

    /// What the target got.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.target.seen.lock().unwrap().clone()
    }

    /// The names of what the target got.
    pub(crate) fn names(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.name).collect()
    }

    /// Requests of this name.
    pub(crate) fn told(&self, name: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.name == name).collect()
    }
}
