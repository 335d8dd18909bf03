//! Envelopes of other versions pass through today's functions, and none is lost: new consumers with old
//! envelopes is how 2.0's first canary lost everything that it touched.

use std::path::Path;

use serde_json::Value;

use super::{Scene, class, scene};

/// The golden envelopes of a kind, filled in for this story; each with its own name.
fn golden(scene: &Scene, file: &str, path: &str) -> anyhow::Result<(String, String)> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("envelopes").join(file);
    let name = scene.subject(file.replace(['/', '.'], "-"));
    let text = std::fs::read_to_string(at)?;
    let text = text
        .replace("{subject}", &name)
        .replace("{target}", &scene.target.url(&scene.run, path))
        .replace("{id}", &name);
    Ok((name, text))
}

async fn put(scene: &Scene, queue: &str, files: &[&str], path: &str) -> anyhow::Result<()> {
    for file in files {
        let (name, text) = golden(scene, file, path)?;
        scene.stack.enqueue(queue, &name.replace('_', "-"), &name, &text).await?;
    }
    Ok(())
}

const FIRST: [&str; 4] = ["v1/message.json", "v2/without-meta.json", "v2/first-entry.json", "next/first-entry.json"];

#[test]
fn first_entries_of_every_version_are_delivered() -> anyhow::Result<()> {
    scene("golden", |scene| async move {
        put(&scene, "messages-0", &FIRST, "200").await?;
        scene.requests(FIRST.len()).await?;
        scene.quiet().await?;
        let calls = scene.target.calls(&scene.run);
        assert_eq!(calls.len(), FIRST.len());
        assert!(calls.iter().all(|call| call.attempt() == 1 && !call.id().is_empty()));
        let traced = calls.iter().find(|call| call.id().ends_with("v2-first-entry-json"));
        assert!(
            traced.is_some_and(|call| call.header("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"))
        );
        Ok(())
    })
}

#[test]
fn one_that_fails_once_is_retried_whatever_its_version() -> anyhow::Result<()> {
    scene("golden-once", |scene| async move {
        put(&scene, "messages-0", &FIRST, "once").await?;
        scene.requests(2 * FIRST.len()).await?;
        scene.quiet().await?;
        assert_eq!(scene.target.calls(&scene.run).len(), 2 * FIRST.len());
        assert!(scene.stack.dead_letters(&scene.run).await?.is_empty());
        Ok(())
    })
}

#[test]
fn entries_of_a_tier_are_tried_or_buried_and_keep_what_is_not_understood() -> anyhow::Result<()> {
    scene("golden-tier", |scene| async move {
        let kept = ["v2/tier-entry.json", "next/tier-entry.json"];
        let without_meta = ["v1/message.json", "v2/without-meta.json"];
        put(&scene, "retry-fast", &kept, "410").await?;
        put(&scene, "retry-fast", &without_meta, "200").await?;
        let letters = scene.dead_letters(4).await?;
        scene.quiet().await?;
        assert_eq!(scene.target.calls(&scene.run).len(), 2, "what has no meta is buried without an attempt");
        assert!(scene.target.calls(&scene.run).iter().all(|call| call.attempt() == 2));
        let of = |file: &str| {
            letters.iter().find(|letter| letter["subject"]["S"].as_str().unwrap_or_default().ends_with(file))
        };
        assert_eq!(of("v1-message-json").map(class), Some("no_meta"));
        assert_eq!(of("v2-without-meta-json").map(class), Some("no_meta"));
        assert_eq!(of("v2-tier-entry-json").map(class), Some("gone"));
        let next = of("next-tier-entry-json").expect("the next version's entry is buried");
        let envelope: Value = serde_json::from_slice(&super::journeys::message(next))?;
        assert_eq!(envelope["message"]["new"][0], 1);
        assert_eq!(envelope["meta"]["new"]["a"], 1);
        assert_eq!(envelope["meta"]["v"], 3);
        assert_eq!(envelope["meta"]["history"][0]["new"], 1);
        assert_eq!(envelope["meta"]["first_error"]["class"], "strange_class");
        Ok(())
    })
}
