//! Dead letters: look at one, list them, send them again, delete one.

use serde::Serialize;

use super::answer::Answer;
use super::auth::Granted;
use super::params::Params;
use super::shapes::{DeadLetterShape, ListShape};
use super::{Request, filters};
use crate::app::{self, ReplayCount};
use crate::filter::DeadLetterFilter;
use crate::ports::{Clock, DeadLetters, Replayed};
use crate::problem::Problem;
use crate::settings::Settings;

pub(super) async fn get(
    desk: &impl DeadLetters,
    granted: &Granted,
    id: &str,
    request: &Request,
) -> Result<Answer, Problem> {
    let mut params = Params::of_query(&request.query);
    let generation = filters::generation(&mut params);
    params.finish()?;
    let buried = desk.dead_letter(id, generation, &granted.whose).await?.ok_or_else(unknown)?;
    Ok(Answer::of(200, &DeadLetterShape::whole(&buried)))
}

pub(super) async fn list(desk: &impl DeadLetters, granted: &Granted, request: &Request) -> Result<Answer, Problem> {
    let mut params = Params::of_query(&request.query);
    let mut filter = filters::dead_letters(&mut params, granted.whose.clone());
    filter.replayed = params.flag("replayed");
    let page = filters::page(&mut params);
    params.finish()?;
    let listed = desk.dead_letters(&filter, &page).await?;
    let items = listed.items.iter().map(DeadLetterShape::listed).collect();
    Ok(Answer::of(200, &ListShape { items, next_cursor: listed.next_cursor }))
}

#[derive(Serialize)]
struct ReplayShape {
    matched: u64,
    replayed: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

pub(super) async fn replay(
    desk: &impl DeadLetters,
    settings: &Settings,
    clock: &impl Clock,
    granted: &Granted,
    id: &str,
    request: &Request,
) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    Params::of_body(request)?.finish()?;
    let buried = desk.dead_letter(id, None, &granted.whose).await?.ok_or_else(unknown)?;
    let entry = app::next_generation(&buried.letter, settings, clock.now())
        .map_err(|error| Problem::new(409, error.to_string()))?;
    match app::replay_one(desk, &buried.letter, &entry).await? {
        Replayed::Sent => Ok(Answer::of(202, &ReplayShape { matched: 1, replayed: 1, dry_run: false })),
        Replayed::Already => Err(Problem::new(409, "the dead letter was sent again before")),
        Replayed::Unknown => Err(unknown()),
    }
}

pub(super) async fn replay_all(
    desk: &impl DeadLetters,
    settings: &Settings,
    clock: &impl Clock,
    granted: &Granted,
    request: &Request,
) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let mut params = Params::of_body(request)?;
    let filter = filters::dead_letters(&mut params, granted.whose.clone());
    let anything = DeadLetterFilter { whose: granted.whose.clone(), ..DeadLetterFilter::default() };
    let dry_run = filters::dry_run(&mut params, filter != anything);
    params.finish()?;
    if dry_run {
        let matched = desk.count(&filter).await?;
        return Ok(Answer::of(200, &ReplayShape { matched, replayed: 0, dry_run }));
    }
    let ReplayCount { matched, replayed } =
        app::replay_all(desk, settings, clock.now(), &filter).await.map_err(|stopped| {
            let problem = Problem::from(stopped.error);
            let done = stopped.count.replayed;
            Problem { detail: format!("{}; {done} were sent again until then, and stay so", problem.detail), ..problem }
        })?;
    Ok(Answer::of(202, &ReplayShape { matched, replayed, dry_run }))
}

#[derive(Serialize)]
struct DeletedShape<'a> {
    id: &'a str,
    generation: u32,
    deleted: bool,
}

pub(super) async fn delete(
    desk: &impl DeadLetters,
    granted: &Granted,
    id: &str,
    request: &Request,
) -> Result<Answer, Problem> {
    let mut params = Params::of_query(&request.query);
    let generation = filters::generation(&mut params);
    params.finish()?;
    let buried = desk.dead_letter(id, generation, &granted.whose).await?.ok_or_else(unknown)?;
    let generation = buried.letter.generation;
    if !desk.delete(id, generation, &granted.whose).await? {
        return Err(unknown());
    }
    tracing::info!(
        event.action = "deleted",
        chaski.id = id,
        chaski.generation = generation,
        chaski.by = granted.caller.producer,
        "the dead letter is deleted"
    );
    Ok(Answer::of(200, &DeletedShape { id, generation, deleted: true }))
}

fn unknown() -> Problem {
    Problem::new(404, "there is no such dead letter")
}
