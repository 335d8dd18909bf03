//! Reading a target's answer, up to the limit and no further.

use std::time::Duration;

use chaski_core::limits::ANSWER_BYTES;
use chaski_core::ports::{Answer, CallError};
use reqwest::Response;

use crate::deadline::Deadline;
use crate::errors;

/// How long to look for the end behind a body that fills the limit exactly. Only the mark `truncated` hangs on it.
const END_GRACE: Duration = Duration::from_millis(50);

/// Reads the body to its end or to the limit. Where more comes, the connection is closed by dropping it: a body
/// without end costs what the socket and the parser buffer, not more.
pub(crate) async fn read(mut response: Response, until: Deadline) -> Result<Answer, CallError> {
    let mut answer =
        Answer { status: response.status().as_u16(), headers: headers(&response), body: Vec::new(), truncated: false };
    loop {
        let room = ANSWER_BYTES - answer.body.len();
        if room == 0 {
            let end = until.wait_briefly(response.chunk(), END_GRACE).await;
            answer.truncated = !matches!(end, Some(Ok(None)));
            return Ok(answer);
        }
        let next = until.wait(response.chunk(), "the target's answer did not end").await?;
        let Some(chunk) = next.map_err(errors::of)? else {
            return Ok(answer);
        };
        answer.body.extend(chunk.iter().take(room));
        if chunk.len() > room {
            answer.truncated = true;
            return Ok(answer);
        }
    }
}

fn headers(response: &Response) -> Vec<(String, String)> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}
