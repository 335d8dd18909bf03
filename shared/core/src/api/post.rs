//! `POST /messages`: one envelope.

use super::answer::Answer;
use super::auth::Granted;
use super::{Door, Request, media};
use crate::app::{Ingress, Post};
use crate::ports::{Bodies, Chance, Clock, Enqueue};
use crate::problem::{FieldError, Problem};

pub(super) async fn post<E: Enqueue, C: Clock, R: Chance, B: Bodies>(
    ingress: &Ingress<E, C, R, B>,
    door: &Door,
    granted: &Granted,
    request: &Request,
) -> Result<Answer, Problem> {
    media::check_json(request)?;
    check_size(door, request)?;
    let post =
        Post { text: &request.body, key: request.header("idempotency-key"), trace: request.header("traceparent") };
    let receipt = ingress.accept(&granted.caller, post).await?;
    Ok(Answer::of(200, &receipt))
}

pub(super) fn check_size(door: &Door, request: &Request) -> Result<(), Problem> {
    if request.body.len() <= door.body_bytes {
        return Ok(());
    }
    let (bytes, most) = (request.body.len(), door.body_bytes);
    let detail = format!("is {bytes} bytes; at most {most} are taken in a call; POST /bodies takes larger bodies");
    Err(Problem::of_fields(vec![FieldError::too_large("", detail)]))
}
