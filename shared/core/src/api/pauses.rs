//! Pauses: hold something back, see what is held back, let it go on.

use serde::Serialize;

use super::answer::Answer;
use super::auth::Granted;
use super::params::Params;
use super::shapes::{PauseShape, WholeShape};
use super::{Request, filters};
use crate::filter::Whose;
use crate::limits;
use crate::pause::{Pause, PauseScope};
use crate::ports::{Pauses, Queues};
use crate::problem::Problem;
use crate::settings::Settings;

pub(super) async fn list(desk: &impl Pauses, granted: &Granted, request: &Request) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let pauses = desk.pauses().await?;
    let items = pauses.iter().filter(|pause| may_see(&granted.whose, pause)).map(PauseShape::of).collect();
    Ok(Answer::of(200, &WholeShape { items }))
}

/// Another tenant's subjects are not for everybody; what holds back everybody's messages is.
fn may_see(whose: &Whose, pause: &Pause) -> bool {
    match (&pause.scope, &whose.tenant) {
        (PauseScope::Subject { tenant, .. }, Some(own)) => tenant == own,
        _ => true,
    }
}

pub(super) async fn pause(
    desk: &(impl Pauses + Queues),
    settings: &Settings,
    granted: &Granted,
    request: &Request,
) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let mut params = Params::of_body(request)?;
    let scope = scope(&mut params, settings, granted);
    if let Some(PauseScope::Queue(queue)) = &scope
        && !desk.queues().await?.iter().any(|record| record.queue.to_string() == *queue)
    {
        params.wrong("queue", "is no queue of this deployment");
    }
    params.finish()?;
    // A scope that is not read has left a mistake behind.
    let scope = scope.ok_or_else(|| Problem::new(500, ""))?;
    let (pause, new) = desk.pause(&scope).await?;
    if new {
        let (id, by) = (&pause.id, &granted.caller.producer);
        tracing::info!(event.action = "paused", chaski.pause = id, chaski.by = by, "paused: {scope:?}");
    }
    Ok(Answer::of(if new { 201 } else { 200 }, &PauseShape::of(&pause)))
}

/// The one scope that is named.
fn scope(params: &mut Params, settings: &Settings, granted: &Granted) -> Option<PauseScope> {
    let named = ["all", "queue", "route", "subject", "target"].map(|name| params.has(name));
    let tenant = params.any_text("tenant");
    let (all, queue) = (params.flag("all"), params.text("queue"));
    let route = params.read("route", |name| {
        let known = settings.routes.iter().any(|route| route.name == name);
        if known { Ok(name.to_owned()) } else { Err("is no route of this deployment".to_owned()) }
    });
    let subject = params.read("subject", |subject| {
        let long = format!("must be at most {} bytes", limits::SUBJECT_BYTES);
        if subject.len() <= limits::SUBJECT_BYTES { Ok(subject.to_owned()) } else { Err(long) }
    });
    let target = params.read("target", filters::host);
    if named.iter().filter(|named| **named).count() != 1 {
        params.wrong_whole("must have exactly one of all, queue, route, subject and target");
        return None;
    }
    if tenant.is_some() && subject.is_none() {
        params.wrong("tenant", "goes with a subject only");
    }
    if let Some(subject) = subject {
        return Some(PauseScope::Subject { tenant: tenant.unwrap_or_else(|| granted.caller.tenant.clone()), subject });
    }
    if named.first() == Some(&true) {
        if !all {
            params.wrong("all", "must be true");
        }
        return Some(PauseScope::All);
    }
    queue.map(PauseScope::Queue).or(route.map(PauseScope::Route)).or(target.map(PauseScope::Target))
}

#[derive(Serialize)]
struct ResumedShape<'a> {
    id: &'a str,
    resumed: bool,
}

pub(super) async fn resume(
    desk: &impl Pauses,
    granted: &Granted,
    id: &str,
    request: &Request,
) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    if !desk.resume(id).await? {
        return Err(Problem::new(404, "there is no such pause"));
    }
    tracing::info!(event.action = "resumed", chaski.pause = id, chaski.by = granted.caller.producer, "resumed");
    Ok(Answer::of(200, &ResumedShape { id, resumed: true }))
}
