//! Large bodies through the deployed stack: what was posted or uploaded is what the target gets, byte for byte, and
//! what AWS would not let in is told.
//!
//! Method: bodies of seeded random bytes, in which everything occurs that JSON escapes. The local AWS lets events of
//! any size pass, so the size that Lambda would measure is computed here.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chaski_core::limits;
use chaski_tests::world::noise;
use chaski_tests::world::stack::Stack;
use chaski_tests::world::target::Call;
use serde_json::{Value, json};

use super::{Scene, scene};

/// What API Gateway takes of a request's line and headers together.
const HEAD_BYTES: usize = 10_240;

/// The largest body of a story that is uploaded: a mail with its attachments.
const MAIL_BYTES: usize = 24_900_000;

impl Scene {
    /// An envelope to a path of this story's target, that carries the body or names it.
    fn carrying(&self, subject: &str, path: &str, field: &str, value: &str) -> Value {
        let url = self.target.url(&self.run, path);
        // The machines are noisy, and some of these are large.
        json!({"subject": subject, "timeout": "10s", "message": {"url": url, field: value}})
    }

    /// Posts a body of bytes in a call; the message's id.
    async fn post_bytes(&self, subject: &str, path: &str, body: &[u8]) -> anyhow::Result<String> {
        let answer = self.stack.post(&self.carrying(subject, path, "body_base64", &STANDARD.encode(body))).await?;
        ensure!(answer.status == 200, "{} bytes were answered {}: {}", body.len(), answer.status, answer.body);
        Ok(answer.json()["id"].as_str().context("no id")?.to_owned())
    }

    /// Posts a message that names an upload; the message's id.
    async fn post_upload(&self, subject: &str, path: &str, reference: &str) -> anyhow::Result<String> {
        let answer = self.stack.post(&self.carrying(subject, path, "body_ref", reference)).await?;
        ensure!(answer.status == 200, "{reference} was answered {}: {}", answer.status, answer.body);
        Ok(answer.json()["id"].as_str().context("no id")?.to_owned())
    }

    /// The requests of a subject, by their generations.
    fn of(&self, subject: &str) -> Vec<Call> {
        let calls = self.target.calls(&self.run).into_iter();
        calls.filter(|call| call.header("chaski-subject") == subject).collect()
    }
}

/// What `POST /bodies` answers.
struct Promise {
    reference: String,
    url: String,
    headers: Vec<(String, String)>,
}

async fn promise(stack: &Stack) -> anyhow::Result<Promise> {
    let answer = stack.api("POST", "/bodies", &[("content-type", "application/json")], "{}".to_owned(), true).await?;
    ensure!(answer.status == 200, "the promise was answered {}: {}", answer.status, answer.body);
    let told = answer.json();
    let (reference, upload) = (told["body_ref"].as_str().context("no body_ref")?.to_owned(), &told["upload"]);
    assert_eq!((&upload["method"], &told["max_bytes"]), (&json!("PUT"), &json!(limits::LARGE_BODY_BYTES)));
    let headers = upload["headers"].as_object().into_iter().flatten();
    let headers = headers.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    Ok(Promise { reference, url: upload["url"].as_str().context("no url")?.to_owned(), headers })
}

/// A body that was uploaded: its reference.
async fn uploaded(stack: &Stack, body: &[u8]) -> anyhow::Result<String> {
    let Promise { reference, url, headers } = promise(stack).await?;
    let status = stack.aws.upload(&url, &headers, body.to_vec()).await?;
    ensure!(status == 200, "the upload of {} bytes was answered {status}", body.len());
    Ok(reference)
}

/// Bodies are compared whole, but not shown.
fn assert_same(got: &[u8], sent: &[u8], what: &str) {
    assert_eq!(got.len(), sent.len(), "{what}");
    assert!(got == sent, "{what}: {} bytes, and others than were sent", got.len());
}

#[test]
fn a_body_of_any_size_arrives_as_it_was_given() -> anyhow::Result<()> {
    scene("bodies", |scene| async move {
        let inline = limits::BODY_BYTES;
        let mut sent = Vec::new();
        for (seed, size) in (1..).zip([inline - 1, inline, inline + 1, 3_900_000, limits::CALL_BODY_BYTES]) {
            let (subject, body) = (scene.subject(size), noise::bytes(seed, size));
            let id = scene.post_bytes(&subject, "200", &body).await?;
            sent.push((subject, id, body));
        }
        let (subject, body) = (scene.subject("mail"), noise::bytes(7, MAIL_BYTES));
        let reference = uploaded(&scene.stack, &body).await?;
        let id = scene.post_upload(&subject, "200", &reference).await?;
        sent.push((subject, id, body));
        scene.requests(sent.len()).await?;
        scene.quiet().await?;
        for (subject, id, body) in &sent {
            let [call] = scene.of(subject).try_into().map_err(|calls: Vec<_>| anyhow::anyhow!("{}", calls.len()))?;
            assert_eq!((call.id(), call.header("content-length")), (id.as_str(), body.len().to_string().as_str()));
            assert_same(&call.body, body, subject);
        }
        // What is over the inline limit stands where the bucket's rules take it; nothing stands where nothing does.
        for (_, id, body) in &sent[..5] {
            let kept = scene.stack.objects(&format!("live/{id}")).await?;
            assert_eq!(kept.len(), usize::from(body.len() > inline), "{} bytes: {kept:?}", body.len());
        }
        assert_eq!(scene.stack.objects(&format!("live/{reference}")).await?.len(), 1);
        for (_, id, _) in &sent {
            assert_eq!(scene.stack.objects(&format!("dead/{id}")).await?, [""; 0]);
        }
        Ok(())
    })
}

#[test]
fn a_dead_letter_keeps_its_body_for_the_replay_and_until_it_is_deleted() -> anyhow::Result<()> {
    scene("dead-bodies", |scene| async move {
        let subject = scene.subject(0);
        let (called, mail) = (noise::bytes(11, 3_900_000), noise::bytes(12, MAIL_BYTES));
        let first = scene.post_bytes(&subject, "first/410", &called).await?;
        let reference = uploaded(&scene.stack, &mail).await?;
        let second = scene.post_upload(&subject, "first/410", &reference).await?;
        scene.dead_letters(2).await?;
        for id in [&first, &second] {
            assert_eq!(scene.stack.objects(&format!("dead/{id}")).await?, [format!("dead/{id}/1")]);
        }
        let replayed = scene.asked(&["dead-letters", "replay", "--subject", &subject, "--yes"]).await?;
        assert_eq!((&replayed["matched"], &replayed["replayed"]), (&json!(2), &json!(2)));
        scene.requests(4).await?;
        scene.quiet().await?;
        let calls = scene.of(&subject);
        let seen: Vec<(&str, &str)> = calls.iter().map(|call| (call.id(), call.header("chaski-generation"))).collect();
        assert_eq!(seen, [(&*first, "1"), (&*second, "1"), (&*first, "2"), (&*second, "2")]);
        for (call, body) in calls.iter().zip([&called, &mail, &called, &mail]) {
            assert_same(&call.body, body, call.id());
        }
        // The letter still names its own copy, until it goes itself.
        for id in [&first, &second] {
            assert_eq!(scene.stack.objects(&format!("dead/{id}")).await?, [format!("dead/{id}/1")]);
            scene.asked(&["dead-letters", "delete", id]).await?;
            assert_eq!(scene.stack.objects(&format!("dead/{id}")).await?, [""; 0]);
        }
        Ok(())
    })
}

#[test]
fn what_is_too_large_for_a_call_is_told_what_carries_it() -> anyhow::Result<()> {
    scene("too-large", |scene| async move {
        let quotes = "\"".repeat(limits::CALL_BODY_BYTES);
        let over = STANDARD.encode(noise::bytes(21, limits::CALL_BODY_BYTES + 1));
        // The second is over an event by itself: its 4 MB are 8 MB of JSON text.
        for (field, value, pointer) in [("body_base64", &over, "/message/body_base64"), ("body", &quotes, "")] {
            let answer = scene.stack.post(&scene.carrying(&scene.subject(0), "200", field, value)).await?;
            assert_eq!(answer.status, 413, "{}", answer.body);
            let told = &answer.json()["errors"][0];
            assert_eq!(told["pointer"], pointer);
            assert!(told["detail"].as_str().is_some_and(|text| text.contains("POST /bodies")), "{told}");
        }
        assert_eq!((scene.stack.depth().await?, scene.target.calls(&scene.run).len()), (0, 0));
        Ok(())
    })
}

#[test]
fn an_upload_comes_once_and_is_one_message_s() -> anyhow::Result<()> {
    scene("one-upload", |scene| async move {
        let body = noise::bytes(51, 300_000);
        let Promise { reference, url, headers } = promise(&scene.stack).await?;
        assert_eq!(scene.stack.aws.upload(&url, &[], body.clone()).await?, 403, "its headers are part of the address");
        assert_eq!(scene.stack.aws.upload(&url, &headers, body.clone()).await?, 200);
        assert_eq!(scene.stack.aws.upload(&url, &headers, b"another".to_vec()).await?, 412);

        let mut keyed = scene.carrying(&scene.subject(0), "200", "body_ref", &reference);
        keyed["id"] = json!("mine");
        let first = scene.stack.post(&keyed).await?;
        assert_eq!(first.status, 200, "{}", first.body);
        let again = scene.stack.post(&keyed).await?;
        assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]), "the same message, posted again");
        let other = scene.stack.post(&scene.carrying(&scene.subject(1), "200", "body_ref", &reference)).await?;
        assert_eq!(other.status, 400, "{}", other.body);
        let told = &other.json()["errors"][0];
        assert_eq!(
            (&told["pointer"], &told["detail"]),
            (&json!("/message/body_ref"), &json!("is taken by another message"))
        );
        scene.requests(1).await?;
        scene.quiet().await?;
        let calls = scene.target.calls(&scene.run);
        assert_eq!(calls.len(), 1);
        assert_same(&calls[0].body, &body, "the upload that came first");
        Ok(())
    })
}

#[test]
fn an_upload_has_25_mb_at_most() -> anyhow::Result<()> {
    scene("upload-limit", |scene| async move {
        let most = limits::LARGE_BODY_BYTES;
        let body = noise::bytes(31, most + 1);
        let over = uploaded(&scene.stack, &body).await?;
        let refused = scene.stack.post(&scene.carrying(&scene.subject("over"), "200", "body_ref", &over)).await?;
        assert_eq!(refused.status, 413, "{}", refused.body);
        let told = &refused.json()["errors"][0];
        assert_eq!(told["pointer"], "/message/body_ref");
        assert!(told["detail"].as_str().is_some_and(|text| text.contains("25000000")), "{told}");
        let at = uploaded(&scene.stack, &body[..most]).await?;
        scene.post_upload(&scene.subject("at"), "200", &at).await?;
        scene.requests(1).await?;
        scene.quiet().await?;
        let calls = scene.target.calls(&scene.run);
        assert_eq!(calls.len(), 1);
        assert_same(&calls[0].body, &body[..most], "at the limit");
        Ok(())
    })
}

/// The size of the event that API Gateway makes of a call (payload 2.0), with as many headers as it takes. The body is
/// a JSON string with its escapes, or base64 where the content type is none that it hands on as text.
fn event_bytes(call: &str, as_base64: bool) -> usize {
    let body = if as_base64 { STANDARD.encode(call) } else { call.to_owned() };
    let iam = json!({"accessKey": "A".repeat(32), "accountId": "123456789012", "callerId": "A".repeat(64),
        "userArn": "a".repeat(256), "userId": "A".repeat(64), "cognitoIdentity": null, "principalOrgId": "o-1234567890"});
    let event = json!({
        "version": "2.0", "routeKey": "POST /messages", "rawPath": "/messages", "rawQueryString": "",
        "headers": {"authorization": "x".repeat(HEAD_BYTES)},
        "requestContext": {
            "accountId": "123456789012", "apiId": "a123456789", "authorizer": {"iam": iam},
            "domainName": "a123456789.execute-api.eu-central-1.amazonaws.com", "domainPrefix": "a123456789",
            "http": {"method": "POST", "path": "/messages", "protocol": "HTTP/1.1", "sourceIp": "255.255.255.255",
                "userAgent": "x".repeat(HEAD_BYTES)},
            "requestId": "A".repeat(32), "routeKey": "POST /messages", "stage": "$default",
            "time": "21/Nov/2026:00:00:00 +0000", "timeEpoch": 1_796_115_600_000_u64,
        },
        "body": body, "isBase64Encoded": as_base64,
    });
    event.to_string().len()
}

/// The largest call there is: everything beside the body at its limit too.
fn largest_call(field: &str, value: &str) -> String {
    json!({"subject": "s", "filler": "x".repeat(limits::UNKNOWN_FIELDS_BYTES),
        "options": "x".repeat(limits::OPTIONS_BYTES),
        "message": {"url": "u".repeat(limits::URL_BYTES), "headers": {"x": "x".repeat(limits::HEADERS_TOTAL_BYTES)},
            field: value}})
    .to_string()
}

#[test]
fn the_largest_body_of_a_call_fits_into_the_event_that_lambda_measures() {
    let most = limits::CALL_BODY_BYTES;
    let base64 = largest_call("body_base64", &STANDARD.encode(noise::bytes(41, most)));
    assert!(event_bytes(&base64, false) <= limits::EVENT_BYTES, "{}", event_bytes(&base64, false));
    // Handed on as base64, as calls of another type than application/json may be, a text still fits …
    let text = largest_call("body", &"x".repeat(most));
    assert!(event_bytes(&text, true) <= limits::EVENT_BYTES, "{}", event_bytes(&text, true));
    // … and of bytes, which are base64 twice then, what the docs say.
    let twice = |size: usize| event_bytes(&largest_call("body_base64", &STANDARD.encode(vec![0; size])), true);
    assert!(twice(3_450_000) <= limits::EVENT_BYTES && twice(most) > limits::EVENT_BYTES, "{}", twice(3_450_000));
    // A quote is two characters of the call and four of the event: so many such a text may hold, and no more.
    let quotes = |size: usize| event_bytes(&largest_call("body", &"\"".repeat(size)), false);
    assert!(quotes(1_500_000) <= limits::EVENT_BYTES && quotes(most) > limits::EVENT_BYTES, "{}", quotes(1_500_000));
}
