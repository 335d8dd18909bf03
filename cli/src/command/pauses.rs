//! `chaski pause`, `resume` and `pauses`: hold deliveries back, and let them go on.

use clap::Args;

use super::{Context, Failure, filters};
use crate::client::{List, Pause as Held, Scope};
use crate::output::{Column, Table, count, plain, time};

/// Hold deliveries back: of everything, a queue, a route, a subject or a target
///
/// Messages are accepted and wait; nothing is lost, and waiting is no attempt.
#[derive(Debug, Args)]
#[command(override_usage = "chaski pause <--all|--queue|--route|--subject|--target>")]
#[command(after_help = "\
Examples:
  chaski pause --target example.org
  chaski pause --subject pc_send_88
  chaski pause --all")]
pub(super) struct Pause {
    #[command(flatten)]
    scope: ScopeArgs,
}

/// Let deliveries go on: end one pause by its id or its scope, or all of them
#[derive(Debug, Args)]
#[command(override_usage = "chaski resume <ID|--all-pauses|--all|--queue|--route|--subject|--target>")]
#[command(after_help = "\
Examples:
  chaski resume --target example.org
  chaski resume 0193a4f2-7c1b-7e3a-9d52-1f0c8e6b4a21
  chaski resume --all-pauses

--all ends the pause of everything and leaves narrower ones; --all-pauses ends every one.")]
pub(super) struct Resume {
    /// The pause's id
    #[arg(required_unless_present_any = RESUMED, conflicts_with_all = RESUMED, value_parser = filters::id)]
    id: Option<String>,
    /// End every pause
    #[arg(long, conflicts_with_all = SCOPES)]
    all_pauses: bool,
    #[command(flatten)]
    scope: OptionalScopeArgs,
}

/// List the pauses
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  chaski pauses")]
pub(super) struct Pauses {}

const SCOPES: [&str; 5] = ["all", "queue", "route", "subject", "target"];
const RESUMED: [&str; 6] = ["all_pauses", "all", "queue", "route", "subject", "target"];

/// What is held; one of them.
#[derive(Debug, Args)]
#[group(id = "scope", required = true, multiple = false, args = SCOPES)]
struct ScopeArgs {
    #[command(flatten)]
    scope: ScopeFlags,
}

/// What is held, where it may be said otherwise.
#[derive(Debug, Args)]
#[group(id = "scope", required = false, multiple = false, args = SCOPES)]
struct OptionalScopeArgs {
    #[command(flatten)]
    scope: ScopeFlags,
}

#[derive(Debug, Args)]
#[group(skip)]
struct ScopeFlags {
    /// Everything
    #[arg(long)]
    all: bool,
    /// One queue, by its short name
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,
    /// All queues of a route
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// One subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// The tenant whose subject it is
    #[arg(long, value_name = "TENANT", requires = "subject", conflicts_with_all = ["all", "queue", "route", "target"])]
    tenant: Option<String>,
    /// All messages to one host
    #[arg(long, value_name = "HOST")]
    target: Option<String>,
}

impl ScopeFlags {
    fn scope(self) -> Scope {
        let Self { all, queue, route, subject, tenant, target } = self;
        Scope { all, queue, route, subject, tenant, target }
    }
}

const COLUMNS: [Column; 3] = [Column::whole("ID"), Column::whole("SINCE (UTC)"), Column::shrinks("PAUSED")];

impl Pause {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let answer = context.client.pause(&self.scope.scope.scope()).await?;
        let held: Held = answer.read()?;
        let already = if answer.status == 200 { " already" } else { "" };
        context.say(&answer, &format!("{} paused{already}: {}", words(&held.scope), plain(&held.id)))
    }
}

impl Pauses {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self {} = self;
        let answer = context.client.pauses().await?;
        if context.output.json {
            return Ok(context.output.line(&answer.text)?);
        }
        let list: List<Held> = answer.read()?;
        let row = |held: &Held| vec![held.id.clone(), time(&held.created_at), words(&held.scope)];
        let rows: Vec<Vec<String>> = list.items.iter().map(row).collect();
        Ok(context.output.table(&mut Table::new(&COLUMNS), &rows)?)
    }
}

impl Resume {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let held = match &self.id {
            Some(id) => return end(context, id, &format!("{} resumed", plain(id))).await,
            None => context.client.pauses().await?.read::<List<Held>>()?.items,
        };
        if self.all_pauses {
            return all(context, &held).await;
        }
        let scope = self.scope.scope.scope().normal();
        match held.into_iter().find(|pause| pause.scope.clone().normal() == scope) {
            Some(pause) => end(context, &pause.id, &format!("{} resumed", words(&scope))).await,
            None => Err(Failure::Failed(format!("{} is not paused; `chaski pauses` lists what is", words(&scope)))),
        }
    }
}

async fn end(context: &Context, id: &str, words: &str) -> Result<(), Failure> {
    let answer = context.client.resume(id).await?;
    context.say(&answer, words)
}

/// Ends each of them. One that somebody else has ended in the meantime is ended as well.
async fn all(context: &Context, held: &[Held]) -> Result<(), Failure> {
    let mut ended = 0;
    for pause in held {
        match context.client.resume(&pause.id).await {
            Ok(answer) if context.output.json => context.output.line(&answer.text)?,
            Ok(_) => ended += 1,
            Err(error) if error.refusal().is_some_and(|refusal| refusal.status == 404) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if context.output.json { Ok(()) } else { Ok(context.output.line(&format!("{} ended", count(ended, "pause")))?) }
}

/// A scope in words.
fn words(scope: &Scope) -> String {
    let of_tenant = scope.tenant.as_deref().filter(|tenant| !tenant.is_empty());
    let named =
        [("queue", &scope.queue), ("route", &scope.route), ("subject", &scope.subject), ("target", &scope.target)];
    let one = named.into_iter().find_map(|(kind, name)| name.as_deref().map(|name| format!("{kind} {}", plain(name))));
    let tenant = of_tenant.map(|tenant| format!(" of tenant {}", plain(tenant))).unwrap_or_default();
    one.map_or_else(|| "everything".to_owned(), |one| one + &tenant)
}
