//! The stories that both homes are told, on the deployed functions: callbacks, keys, signatures, hosts that fail, and
//! flows.

use std::net::SocketAddr;

use anyhow::{Context, ensure};
use chaski_tests::stories::keys::{Doors, PRODUCERS};
use chaski_tests::stories::{Running, Stage, callbacks, keys, outage, pace, rotation};
use chaski_tests::world::stack::Stack;
use chaski_tests::world::target::Target;
use serde_json::{Value, json};

use super::{Scene, class, scene, text};

/// A host of its own, which may fail without others being told of it.
const FAILING: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2)), 4580);

impl Running for Scene {
    async fn post_batch(&self, envelopes: &[Value]) -> anyhow::Result<Vec<Value>> {
        self.stack.post_batch(envelopes).await
    }

    async fn buried(&self, subject: &str) -> anyhow::Result<Vec<(String, String)>> {
        let letters = self.stack.dead_letters(subject).await?;
        Ok(letters.iter().map(|letter| (text(letter, "id").to_owned(), class(letter).to_owned())).collect())
    }

    async fn cancel_label(&self, label: &str) -> anyhow::Result<()> {
        self.asked(&["messages", "cancel", "--label", label, "--yes"]).await.map(drop)
    }

    async fn quiet(&self) -> anyhow::Result<()> {
        Scene::quiet(self).await
    }
}

impl Scene {
    fn stage(&self) -> Stage<'_, Self> {
        Stage { chaski: self, target: &self.target, run: &self.run }
    }
}

#[test]
fn each_end_is_told_and_a_callback_that_fails_dies_once() -> anyhow::Result<()> {
    scene(
        "callbacks",
        |scene| async move { callbacks::each_end_is_told_and_a_deaf_ear_dies_once(&scene.stage()).await },
    )
}

#[test]
fn the_same_key_and_body_is_one_delivery() -> anyhow::Result<()> {
    scene("key", |scene| async move {
        let post = async |n: u64| {
            let envelope = scene.envelope(&scene.subject(0), "200", json!({ "n": n })).to_string();
            let headers = [("content-type", "application/json"), ("idempotency-key", "order-7")];
            let answer = scene.stack.api("POST", "/messages", &headers, envelope, true).await?;
            ensure!(answer.status == 200, "{}", answer.body);
            answer.json()["id"].as_str().map(str::to_owned).context("no id")
        };
        let (first, again, other) = (post(1).await?, post(1).await?, post(2).await?);
        assert!(first == again && first != other, "{first} {again} {other}");
        scene.requests(2).await?;
        scene.quiet().await?;
        let seen: Vec<String> = scene.target.calls(&scene.run).iter().map(|call| call.id().to_owned()).collect();
        assert_eq!(seen, [first, other]);
        Ok(())
    })
}

/// An ingress of the stack that is open to producers.
struct Open<'a> {
    stack: &'a Stack,
    path: String,
}

impl Doors for Open<'_> {
    async fn post_as(&self, key: &str, envelope: &Value) -> anyhow::Result<(u16, Value)> {
        let (path, key) = (format!("{}/messages", self.path), format!("Bearer {key}"));
        let headers = [("content-type", "application/json"), ("authorization", key.as_str())];
        let answer = self.stack.aws.send("lambda", "POST", &path, &headers, envelope.to_string(), false).await?;
        Ok((answer.status, answer.json()))
    }
}

/// The stack's own API has one caller, IAM's: so a second ingress stands beside it, which has producers in its settings
/// and the same queues.
#[test]
fn two_producers_with_one_key_are_two_deliveries() -> anyhow::Result<()> {
    scene("keys", |scene| async move {
        let settings = std::fs::read_to_string(scene.stack.package("api-ingress").join("chaski.toml"))?;
        let path = scene.stack.open_ingress(&scene.run, &format!("{settings}{PRODUCERS}")).await?;
        let open = Open { stack: &scene.stack, path };
        let stage = Stage { chaski: &open, target: &scene.target, run: &scene.run };
        let told = keys::a_key_is_one_message_of_one_body_and_one_producer(&stage, false).await;
        scene.stack.close_ingress(&scene.run).await?;
        told?;
        scene.quiet().await
    })
}

/// Deploys both consumers with a secret, and the previous one beside it.
async fn sign(scene: &Scene, [secret, previous]: [&str; 2]) -> anyhow::Result<()> {
    for function in ["sqs-consumer", "sqs-error-consumer"] {
        let variables = [("CHASKI_SIGNING_SECRET", secret), ("CHASKI_SIGNING_PREVIOUS", previous)];
        scene.stack.configure(function, &variables).await?;
    }
    Ok(())
}

async fn rotate(scene: &Scene) -> anyhow::Result<()> {
    let stage = scene.stage();
    for (step, secrets) in rotation::STEPS.into_iter().enumerate() {
        sign(scene, secrets).await?;
        if step == 0 {
            rotation::post(&stage).await?;
        }
        rotation::attempted(&stage, step).await?;
    }
    rotation::verify(&stage).await
}

#[test]
fn every_attempt_is_signed_also_through_a_rotation() -> anyhow::Result<()> {
    scene("signatures", |scene| async move {
        let told = rotate(&scene).await;
        // The stories after it have a stack without secrets.
        sign(&scene, ["", ""]).await?;
        told
    })
}

#[test]
fn a_host_that_fails_for_a_minute_is_left_alone_and_gets_everything_after() -> anyhow::Result<()> {
    scene("outage", |scene| async move {
        let target = Target::start(FAILING).await?;
        let stage = Stage { chaski: &scene, target: &target, run: &scene.run };
        outage::a_host_that_fails_for_a_minute_gets_a_tenth_and_everything_after(&stage).await
    })
}

#[test]
fn ten_a_second_and_two_at_once_hold_over_the_consumers() -> anyhow::Result<()> {
    scene(
        "pace",
        |scene| async move { pace::ten_a_second_and_two_at_once_hold_for_half_a_minute(&scene.stage()).await },
    )
}
