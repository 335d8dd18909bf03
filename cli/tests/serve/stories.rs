//! The stories that both homes are told, on a real process: callbacks, keys, signatures, hosts that fail, and flows.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use chaski_tests::stories::keys::{Doors, PRODUCERS};
use chaski_tests::stories::{Running, Stage, callbacks, keys, outage, pace, rotation};
use chaski_tests::world::target::Target;
use reqwest::Method;
use serde_json::{Value, json};

use crate::process::Chaski;

impl Running for Chaski {
    async fn post_batch(&self, envelopes: &[Value]) -> anyhow::Result<Vec<Value>> {
        let (status, answer) = self.act(Method::POST, "/messages/batch", &json!(envelopes)).await;
        ensure!(status == 200, "{status}: {answer}");
        answer["items"].as_array().cloned().context("no items")
    }

    async fn buried(&self, subject: &str) -> anyhow::Result<Vec<(String, String)>> {
        let letters = self.get("/dead-letters?limit=1000").await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = letters["items"].as_array().context("no items")?.iter();
        let own = all.filter(|letter| text(&letter["subject"]).starts_with(subject));
        Ok(own.map(|letter| (text(&letter["id"]), text(&letter["error"]["last"]["class"]))).collect())
    }

    async fn cancel_label(&self, label: &str) -> anyhow::Result<()> {
        let (status, answer) = self.act(Method::POST, "/messages/cancel", &json!({ "label": label })).await;
        ensure!(status == 200, "{status}: {answer}");
        Ok(())
    }

    async fn quiet(&self) -> anyhow::Result<()> {
        self.until_idle().await;
        Ok(())
    }
}

const RUN: &str = "run";

async fn target() -> Target {
    Target::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

fn stage<'a, R>(chaski: &'a R, target: &'a Target) -> Stage<'a, R> {
    Stage { chaski, target, run: RUN }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_told_and_a_callback_that_fails_dies_once() {
    let folder = tempfile::tempdir().unwrap();
    let (target, chaski) = (target().await, Chaski::start(&folder.path().join("data"), &[]));
    callbacks::each_end_is_told_and_a_deaf_ear_dies_once(&stage(&chaski, &target)).await.unwrap();
}

impl Doors for Chaski {
    async fn post_as(&self, key: &str, envelope: &Value) -> anyhow::Result<(u16, Value)> {
        let request = self.http.post(format!("{}/messages", self.url)).bearer_auth(key);
        let answer = request.header("content-type", "application/json").body(envelope.to_string()).send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?)?))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_producers_with_one_key_are_two_deliveries_and_one_twice_is_one() {
    let folder = tempfile::tempdir().unwrap();
    // Where the process starts it looks for its settings.
    std::fs::write(folder.path().join("chaski.toml"), PRODUCERS).unwrap();
    let (target, chaski) = (target().await, Chaski::start(&folder.path().join("data"), &[]));
    keys::a_key_is_one_message_of_one_body_and_one_producer(&stage(&chaski, &target), true).await.unwrap();
}

/// Each step of the rotation is a process of its own over the same folder.
async fn rotate(data: &Path, target: &Target) -> anyhow::Result<()> {
    let mut last = None;
    for (step, [secret, previous]) in rotation::STEPS.into_iter().enumerate() {
        if let Some(chaski) = last.take() {
            let chaski: Chaski = chaski;
            chaski.terminate();
            ensure!(chaski.ended().await.success(), "it did not end in order");
        }
        let env = [("CHASKI_SIGNING_SECRET", secret), ("CHASKI_SIGNING_PREVIOUS", previous)];
        let chaski = Chaski::start(data, &env);
        if step == 0 {
            rotation::post(&stage(&chaski, target)).await?;
        }
        rotation::attempted(&stage(&chaski, target), step).await?;
        last = Some(chaski);
    }
    rotation::verify(&stage(&last.context("no process")?, target)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_is_signed_also_through_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    rotate(&folder.path().join("data"), &target().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_fails_for_a_minute_is_left_alone_and_gets_everything_after() {
    let folder = tempfile::tempdir().unwrap();
    let (target, chaski) = (target().await, Chaski::start(&folder.path().join("data"), &[]));
    outage::a_host_that_fails_for_a_minute_gets_a_tenth_and_everything_after(&stage(&chaski, &target)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_a_second_and_two_at_once_hold() {
    let folder = tempfile::tempdir().unwrap();
    let (target, chaski) = (target().await, Chaski::start(&folder.path().join("data"), &[]));
    pace::ten_a_second_and_two_at_once_hold_for_half_a_minute(&stage(&chaski, &target)).await.unwrap();
}
