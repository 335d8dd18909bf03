//! The queues: what they hold and how they move.

use super::Request;
use super::answer::Answer;
use super::params::Params;
use super::shapes::{QueueShape, WholeShape};
use crate::ports::Queues;
use crate::problem::Problem;

pub(super) async fn list(desk: &impl Queues, request: &Request) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let records = desk.queues().await?;
    Ok(Answer::of(200, &WholeShape { items: records.iter().map(QueueShape::of).collect() }))
}
