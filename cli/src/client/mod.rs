//! The calls of Chaski's API, as the commands make them. How a call travels is `http`'s business alone: what else
//! can answer a [`Call`] can stand in its place, and no command changes.

mod call;
mod error;
mod http;
mod shapes;
mod stack;
mod tls;

pub(crate) use call::{Answer, Fields};
pub(crate) use error::{ClientError, Refusal};
pub(crate) use http::ServerUrl;
pub(crate) use shapes::{
    Attempt, BackupTaken, BatchAnswer, BodyPromise, Cancelled, CancelledAll, Counted, DeadLetter, Fault, List, Message,
    Pause, Queue, Receipt, Scope, TargetAnswer,
};

use std::time::Duration;

use call::{Body, Call, Method};
use http::Http;
use stack::StackDoor;

/// How long a call may take by itself: the server answers within ten seconds that it can't.
const CALL: Duration = Duration::from_secs(30);

/// A batch action goes through a whole store.
const BATCH_ACTION: Duration = Duration::from_secs(600);

/// A copy of a large store takes its time; this only ends what hangs.
const BACKUP: Duration = Duration::from_secs(24 * 3_600);

/// Chaski, asked over its API. Each call is named as in the contract; an answer is the server's, unchanged.
#[derive(Debug)]
pub(crate) struct Client {
    transport: Transport,
}

/// How a call travels.
#[derive(Debug)]
enum Transport {
    /// To a server, over HTTP.
    Http(Box<Http>),
    /// To a stack on AWS, with the caller's own rights.
    Stack(Box<StackDoor>),
}

impl Client {
    /// A client of the server at `url`, with a producer's key where there is one.
    pub(crate) fn new(url: &ServerUrl, key: Option<&str>) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::Http(Box::new(Http::new(url, key, None)?)) })
    }

    /// A client of the stack of that name; the key is a producer's, where the stack's API wants one.
    pub(crate) async fn of_stack(name: &str, key: Option<&str>) -> Result<Self, ClientError> {
        Ok(Self { transport: Transport::Stack(Box::new(StackDoor::open(name, key).await?)) })
    }

    /// Where the calls go, for a person.
    pub(crate) fn server(&self) -> &str {
        match &self.transport {
            Transport::Http(http) => http.server(),
            Transport::Stack(stack) => stack.server(),
        }
    }

    /// `POST /messages`.
    pub(crate) async fn send(&self, envelope: String) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Post, &["messages"]).json(envelope)).await
    }

    /// `POST /bodies`, and the upload to the address that it answers: what a message names it by.
    pub(crate) async fn upload(&self, body: Vec<u8>) -> Result<String, ClientError> {
        let promise: BodyPromise =
            self.ask(Call::new(Method::Post, &["bodies"]).json("{}".to_owned())).await?.read()?;
        http::put(&promise.upload.url, &promise.upload.headers, body).await?;
        Ok(promise.body_ref)
    }

    /// `POST /messages/batch` with lines of JSON.
    pub(crate) async fn send_batch(&self, lines: Vec<u8>) -> Result<Answer, ClientError> {
        self.ask(Call { body: Body::Lines(lines), ..Call::new(Method::Post, &["messages", "batch"]) }).await
    }

    /// `GET /messages/{id}`, waiting for its end on the server's side.
    pub(crate) async fn message(&self, id: &str, wait: Duration) -> Result<Answer, ClientError> {
        let mut call = Call::new(Method::Get, &["messages", id]);
        if !wait.is_zero() {
            call.query.add("wait", chaski_core::time::format_span(wait));
        }
        call.within = CALL + wait;
        self.ask(call).await
    }

    /// `GET /messages`.
    pub(crate) async fn messages(&self, query: Fields) -> Result<Answer, ClientError> {
        self.ask(Call { query, ..Call::new(Method::Get, &["messages"]) }).await
    }

    /// `DELETE /messages/{id}`.
    pub(crate) async fn cancel(&self, id: &str) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Delete, &["messages", id])).await
    }

    /// `POST /messages/cancel`.
    pub(crate) async fn cancel_all(&self, which: &Fields) -> Result<Answer, ClientError> {
        self.batch_action(&["messages", "cancel"], which).await
    }

    /// `GET /dead-letters`.
    pub(crate) async fn dead_letters(&self, query: Fields) -> Result<Answer, ClientError> {
        self.ask(Call { query, ..Call::new(Method::Get, &["dead-letters"]) }).await
    }

    /// `GET /dead-letters/{id}`; no generation is the newest.
    pub(crate) async fn dead_letter(&self, id: &str, generation: Option<u32>) -> Result<Answer, ClientError> {
        let mut call = Call::new(Method::Get, &["dead-letters", id]);
        call.query.add_some("generation", generation);
        self.ask(call).await
    }

    /// `POST /dead-letters/{id}/replay`.
    pub(crate) async fn replay(&self, id: &str) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Post, &["dead-letters", id, "replay"]).json("{}".to_owned())).await
    }

    /// `POST /dead-letters/replay`.
    pub(crate) async fn replay_all(&self, which: &Fields) -> Result<Answer, ClientError> {
        self.batch_action(&["dead-letters", "replay"], which).await
    }

    /// `DELETE /dead-letters/{id}`.
    pub(crate) async fn delete_dead_letter(&self, id: &str) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Delete, &["dead-letters", id])).await
    }

    /// `GET /queues`.
    pub(crate) async fn queues(&self) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Get, &["queues"])).await
    }

    /// `GET /pauses`.
    pub(crate) async fn pauses(&self) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Get, &["pauses"])).await
    }

    /// `POST /pauses`.
    pub(crate) async fn pause(&self, scope: &Scope) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Post, &["pauses"]).json(scope.to_json())).await
    }

    /// `DELETE /pauses/{id}`.
    pub(crate) async fn resume(&self, id: &str) -> Result<Answer, ClientError> {
        self.ask(Call::new(Method::Delete, &["pauses", id])).await
    }

    /// `POST /backup`: the server writes the copy, on its own machine.
    pub(crate) async fn backup(&self, to: &str) -> Result<Answer, ClientError> {
        let mut fields = Fields::default();
        fields.add("to", to);
        self.ask(Call { within: BACKUP, ..Call::new(Method::Post, &["backup"]).json(fields.to_json()) }).await
    }

    async fn batch_action(&self, path: &[&str], which: &Fields) -> Result<Answer, ClientError> {
        self.ask(Call { within: BATCH_ACTION, ..Call::new(Method::Post, path).json(which.to_json()) }).await
    }

    async fn ask(&self, call: Call) -> Result<Answer, ClientError> {
        match &self.transport {
            Transport::Http(http) => http.ask(call).await,
            Transport::Stack(stack) => stack.ask(call).await,
        }
    }
}
