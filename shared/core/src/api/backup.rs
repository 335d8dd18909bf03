//! A copy of the store, written beside it while it is used.

use std::path::Path;

use serde::Serialize;

use super::Request;
use super::answer::Answer;
use super::auth::Granted;
use super::params::Params;
use crate::ports::Backup;
use crate::problem::Problem;

#[derive(Serialize)]
struct BackupShape<'a> {
    to: &'a str,
    bytes: u64,
}

pub(super) async fn write(desk: &impl Backup, granted: &Granted, request: &Request) -> Result<Answer, Problem> {
    Params::of_query(&request.query).finish()?;
    let mut params = Params::of_body(request)?;
    let given = params.has("to");
    let to = params.read("to", |path| {
        let usable = Path::new(path).is_absolute() && !path.contains('\0');
        if usable { Ok(path.to_owned()) } else { Err("must be an absolute path of a new file".to_owned()) }
    });
    if !given {
        params.wrong("to", "is missing");
    }
    params.finish()?;
    // A path that is not read has left a mistake behind.
    let to = to.ok_or_else(|| Problem::new(500, ""))?;
    let bytes = desk.backup(Path::new(&to)).await?;
    let by = &granted.caller.producer;
    tracing::info!(event.action = "backed_up", chaski.by = by, "copied {bytes} bytes to {to}");
    Ok(Answer::of(200, &BackupShape { to: &to, bytes }))
}
