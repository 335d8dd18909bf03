//! The deployed API as a caller meets it: who is let in, and what is refused.

use serde_json::json;

use super::scene;

#[test]
fn only_a_caller_that_signs_is_let_in() -> anyhow::Result<()> {
    scene("auth", |scene| async move {
        let envelope = scene.envelope(&scene.subject(0), "200", json!(1)).to_string();
        let headers = [("content-type", "application/json")];
        let unsigned = scene.stack.api("POST", "/messages", &headers, envelope.clone(), false).await?;
        assert_eq!(unsigned.status, 403, "{}", unsigned.body);
        let signed = scene.stack.api("POST", "/messages", &headers, envelope, true).await?;
        assert_eq!(signed.status, 200, "{}", signed.body);
        scene.requests(1).await?;
        scene.quiet().await?;
        assert_eq!(scene.target.calls(&scene.run).len(), 1);
        Ok(())
    })
}

#[test]
fn a_bad_envelope_is_a_problem_and_nothing_is_queued() -> anyhow::Result<()> {
    scene("bad", |scene| async move {
        let answer = scene
            .stack
            .post(&json!({"subject": "", "message": {"url": "http://10.0.0.1/", "method": "TRACE"}}))
            .await?;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let problem = answer.json();
        let pointers: Vec<&str> =
            problem["errors"].as_array().into_iter().flatten().filter_map(|error| error["pointer"].as_str()).collect();
        assert_eq!(pointers, ["/subject", "/message/url", "/message/method"]);
        assert_eq!(problem["instance"], answer.headers["x-request-id"].to_str()?);
        assert_eq!(scene.stack.depth().await?, 0);
        Ok(())
    })
}

#[test]
fn what_is_not_a_call_is_told() -> anyhow::Result<()> {
    scene("paths", |scene| async move {
        for (method, path, status) in [
            ("GET", "/", 200),
            ("GET", "/health", 200),
            ("GET", "/openapi.json", 200),
            ("GET", "/nothing", 404),
            ("DELETE", "/messages", 405),
            ("GET", "/dead-letters", 501),
        ] {
            let answer = scene.stack.api(method, path, &[], String::new(), true).await?;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        }
        Ok(())
    })
}
