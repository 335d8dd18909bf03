//! A running `chaski serve`, on a folder that outlives it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a condition is waited for at most; the machines are noisy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// One process. Killed when it is dropped.
pub(crate) struct Chaski {
    child: Child,
    /// The base URL of its API.
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
}

/// The command, with tiers of a second and private targets allowed.
pub(crate) fn command(data: &Path, env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaski"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--allow-private-targets", "--data"]).arg(data);
    command.current_dir(data.parent().unwrap()).env_clear();
    for tier in ["FAST", "MEDIUM", "SLOW"] {
        command.env(format!("CHASKI_TIERS_{tier}"), "1s");
    }
    command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Chaski {
    /// Starts one, and waits until it says where it listens.
    pub(crate) fn start(data: &Path, env: &[(&str, &str)]) -> Self {
        let mut child = command(data, env).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("it ended before it was ready").unwrap();
            if let Some((_, url)) = line.split_once("listens on ")
                && url.starts_with("http")
            {
                break url.to_owned();
            }
        };
        // What nobody reads would fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { child, url, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn terminate(&self) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Posts an envelope; its id if it was accepted. An error is a server that is not there, or answers otherwise.
    pub(crate) async fn post(&self, envelope: &Value) -> Option<String> {
        let answer = self
            .http
            .post(format!("{}/messages", self.url))
            .header("content-type", "application/json")
            .body(envelope.to_string())
            .send()
            .await
            .ok()?;
        if answer.status() != 200 {
            return None;
        }
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some(answer["id"].as_str()?.to_owned())
    }

    /// Asks for a change; the status and the answer.
    pub(crate) async fn act(&self, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    /// Waits for a message's end; the message then.
    pub(crate) async fn ended_message(&self, id: &str) -> Value {
        let began = Instant::now();
        loop {
            let message = self.get(&format!("/messages/{id}?wait=30s")).await;
            if !message["ended_at"].is_null() {
                return message;
            }
            assert!(began.elapsed() < PATIENCE, "{message}");
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Entries in all queues.
    pub(crate) async fn depth(&self) -> u64 {
        let queues = self.get("/queues").await;
        queues["items"].as_array().unwrap().iter().map(|queue| queue["depth"].as_u64().unwrap()).sum()
    }

    /// Waits until no queue holds anything.
    pub(crate) async fn until_idle(&self) {
        let began = Instant::now();
        while self.depth().await > 0 {
            assert!(began.elapsed() < PATIENCE, "not idle: {}", self.get("/queues").await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Chaski {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An envelope with a number in its body, and what else it asks for.
pub(crate) fn asking(subject: &str, url: &str, n: u64, fields: Value) -> Value {
    let mut envelope = envelope(subject, url, n);
    if let (Value::Object(envelope), Value::Object(fields)) = (&mut envelope, fields) {
        envelope.extend(fields);
    }
    envelope
}

/// The number in a request's body.
pub(crate) fn number(body: &[u8]) -> u64 {
    serde_json::from_slice::<Value>(body).unwrap()["n"].as_u64().unwrap()
}

/// An envelope with a number in its body.
pub(crate) fn envelope(subject: &str, url: &str, n: u64) -> Value {
    json!({"subject": subject, "message": {"url": url, "body": {"n": n}}})
}
