//! How Lambda reads the answer of a function to a batch of SQS. The rules are AWS's ("Implementing partial batch
//! responses"), the local AWS takes them less strictly, so they are held here.

use serde_json::Value;

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The function failed, or its answer can't be taken at its word: the whole batch is seen again.
    AllBack,
    /// These are seen again, everything else is deleted.
    Back(Vec<String>),
}

/// Reads the answer to a batch of these ids; `None` is a function that failed.
pub(super) fn read(answer: Option<&str>, ids: &[&str]) -> Verdict {
    let Some(Ok(answer)) = answer.map(serde_json::from_str::<Value>) else {
        return Verdict::AllBack;
    };
    let failures = match &answer {
        Value::Null => return Verdict::Back(Vec::new()),
        Value::Object(fields) => match fields.get("batchItemFailures") {
            // Nothing is said of failures, so there are none: the trap that deletes what failed.
            None | Some(Value::Null) => return Verdict::Back(Vec::new()),
            Some(Value::Array(failures)) => failures,
            Some(_) => return Verdict::AllBack,
        },
        _ => return Verdict::AllBack,
    };
    let id = |failure: &Value| {
        let id = failure.get("itemIdentifier")?.as_str()?;
        ids.contains(&id).then(|| id.to_owned())
    };
    failures.iter().map(id).collect::<Option<Vec<String>>>().map_or(Verdict::AllBack, Verdict::Back)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H-05: twelve shapes that a function might answer with, and what each does to a batch of `a` and `b`.
    #[test]
    fn malformed_answers_fail_or_delete_the_whole_batch() {
        let back = |ids: &[&str]| Verdict::Back(ids.iter().map(|id| (*id).to_owned()).collect());
        let answers = [
            (Some(""), Verdict::AllBack),
            (Some("null"), back(&[])),
            (Some("{}"), back(&[])),
            (Some(r#"{"batchItemFailures":null}"#), back(&[])),
            (Some(r#"{"batchItemFailures":[]}"#), back(&[])),
            (Some(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#), back(&["b"])),
            (Some(r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#), Verdict::AllBack),
            (Some(r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#), Verdict::AllBack),
            (Some(r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#), Verdict::AllBack),
            (Some(r#"{"batchItemFailures":[{"ItemIdentifier":"b"}]}"#), Verdict::AllBack),
            (Some(r#"{"batchItemFailures":{"itemIdentifier":"b"}}"#), Verdict::AllBack),
            (Some("[1]"), Verdict::AllBack),
            (None, Verdict::AllBack),
        ];
        for (answer, expected) in answers {
            assert_eq!(read(answer, &["a", "b"]), expected, "{answer:?}");
        }
    }
}
