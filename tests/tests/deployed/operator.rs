//! The operator's commands on the deployed stack: `chaski --stack`, as a process of its own.

use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context, ensure};
use chaski_tests::world::stack::eventually;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Scene, scene};

/// The command line, built into the folder above that of this test.
fn binary() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(std::path::Path::parent).context("this test stands in no target folder")?;
    let binary = folder.join("chaski");
    ensure!(binary.exists(), "{} is missing: cargo build -p chaski", binary.display());
    Ok(binary)
}

impl Scene {
    /// Runs the command line on the stack, as JSON.
    pub(super) async fn chaski(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(binary()?);
        command.args(["--stack", self.stack.name(), "--json"]).args(arguments);
        command.envs(self.stack.environment()).env_remove("CHASKI_URL").env_remove("CHASKI_STACK").kill_on_drop(true);
        Ok(command.stdin(std::process::Stdio::null()).output().await?)
    }

    /// The JSON that a command prints that succeeds.
    pub(super) async fn asked(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = self.chaski(arguments).await?;
        let told = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{arguments:?} ended with {}: {told}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?} printed no JSON"))
    }
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str()).map(str::to_owned).collect()
}

#[test]
fn an_operator_finds_dead_letters_and_sends_them_again_in_order() -> anyhow::Result<()> {
    scene("operator", |scene| async move {
        let subject = scene.subject(0);
        let url = scene.target.url(&scene.run, "first/410");
        let mut sent = Vec::new();
        for n in 0..4 {
            let body = json!({ "n": n }).to_string();
            let receipt = scene.asked(&["send", "--subject", &subject, "--url", &url, "--body", &body]).await?;
            sent.push(receipt["id"].as_str().context("no id")?.to_owned());
        }
        scene.requests(4).await?;
        let found = eventually("four dead letters in the operator's list", || async {
            let list = scene.asked(&["dead-letters", "list", "--subject", &subject]).await?;
            Ok(if ids(&list).len() == 4 { Ok(ids(&list)) } else { Err(list.to_string()) })
        })
        .await?;
        assert_eq!(found.iter().rev().collect::<Vec<_>>(), sent.iter().collect::<Vec<_>>(), "the newest first");
        // By the days, by the target's index, and page by page it is the same list.
        let host =
            scene.asked(&["dead-letters", "list", "--target", "127.0.0.1", "--from", "1h", "--limit", "1000"]).await?;
        let days = scene.asked(&["dead-letters", "list", "--error", "gone", "--from", "1h", "--limit", "1000"]).await?;
        for list in [&host, &days] {
            let own: Vec<String> = ids(list).into_iter().filter(|id| sent.contains(id)).collect();
            assert_eq!(own, found);
        }
        let first = scene.asked(&["dead-letters", "list", "--subject", &subject, "--limit", "3"]).await?;
        let cursor = first["next_cursor"].as_str().context("no cursor")?;
        let rest = scene.asked(&["dead-letters", "list", "--subject", &subject, "--cursor", cursor]).await?;
        assert_eq!([ids(&first), ids(&rest)].concat(), found);

        let shown = scene.asked(&["dead-letters", "show", &sent[1]]).await?;
        assert_eq!(
            (&shown["message"]["message"]["body"], &shown["error"]["last"]["status"]),
            (&json!({"n": 1}), &json!(410))
        );
        assert_eq!(scene.asked(&["messages", "show", &sent[1]]).await?["state"], "dead");
        scene.asked(&["dead-letters", "delete", &sent[1]]).await?;

        let dry = scene.asked(&["dead-letters", "replay", "--subject", &subject, "--dry-run"]).await?;
        assert_eq!((&dry["matched"], scene.target.calls(&scene.run).len()), (&json!(3), 4));
        let replayed = scene.asked(&["dead-letters", "replay", "--subject", &subject, "--yes"]).await?;
        assert_eq!((&replayed["matched"], &replayed["replayed"]), (&json!(3), &json!(3)));
        scene.requests(7).await?;
        scene.quiet().await?;
        let again: Vec<String> = scene.target.calls(&scene.run)[4..].iter().map(|call| call.id().to_owned()).collect();
        assert_eq!(again, [sent[0].clone(), sent[2].clone(), sent[3].clone()], "in the order of acceptance, once each");

        assert!(ids(&scene.asked(&["dead-letters", "list", "--subject", &subject]).await?).is_empty());
        let twice = scene.chaski(&["dead-letters", "replay", &sent[0]]).await?;
        assert_eq!(twice.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&twice.stderr).contains("sent again before"));
        Ok(())
    })
}

#[test]
fn an_operator_sees_the_queues_and_is_told_what_a_stack_does_not_know() -> anyhow::Result<()> {
    scene("desk", |scene| async move {
        let queues = scene.asked(&["queues", "list"]).await?;
        let names: Vec<&str> =
            queues["items"].as_array().into_iter().flatten().filter_map(|queue| queue["queue"].as_str()).collect();
        assert_eq!(names.len(), 11, "{names:?}");
        for arguments in [
            &["messages", "list"][..],
            &["messages", "show", "nobody"],
            &["messages", "cancel", "--label", "nobody", "--dry-run"],
            &["backup", "/nowhere/at-all.db"],
        ] {
            let output = scene.chaski(arguments).await?;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(1) && told.contains("stack"), "{arguments:?}: {told}");
        }
        Ok(())
    })
}
