//! Lists, page by page.

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::{Context, Failure};
use crate::client::{Answer, ClientError, Fields, List};
use crate::output::{Table, talk};

/// The largest page that a server gives.
const LARGEST: u16 = 1_000;

/// Which part of a list.
#[derive(Debug, Args)]
pub(super) struct Pages {
    /// At most so many (of each page, with --all-pages)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(LARGEST)))]
    limit: Option<u16>,
    /// Go on where a page before ended
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
    /// All of them, page by page; with --json one item a line
    #[arg(long)]
    all_pages: bool,
}

impl Pages {
    /// Prints the list that `fetch` gives a page of.
    pub(super) async fn print<T: DeserializeOwned>(
        &self,
        context: &Context,
        filter: &Fields,
        fetch: impl AsyncFn(Fields) -> Result<Answer, ClientError>,
        mut table: Table,
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Failure> {
        let limit = self.limit.or(self.all_pages.then_some(LARGEST));
        let mut cursor = self.cursor.clone();
        loop {
            let mut query = filter.clone();
            query.add_some("limit", limit);
            query.add_some("cursor", cursor.as_deref());
            let answer = fetch(query).await?;
            if context.output.json && !self.all_pages {
                return Ok(context.output.line(&answer.text)?);
            }
            cursor = if context.output.json {
                lines(context, &answer)?
            } else {
                let list: List<T> = answer.read()?;
                context.output.table(&mut table, &list.items.iter().map(&row).collect::<Vec<_>>())?;
                list.next_cursor
            };
            match &cursor {
                None => return Ok(()),
                Some(next) if !self.all_pages => {
                    talk(&format!("there are more: --all-pages, or --cursor {next}"));
                    return Ok(());
                }
                Some(_) => {}
            }
        }
    }
}

/// Prints a page's items as they came, one a line; answers where the next page begins.
fn lines(context: &Context, answer: &Answer) -> Result<Option<String>, Failure> {
    let list: List<Box<RawValue>> = answer.read()?;
    let mut text = String::new();
    for item in &list.items {
        text.push_str(item.get());
        text.push('\n');
    }
    if !text.is_empty() {
        context.output.line(&text)?;
    }
    Ok(list.next_cursor)
}
