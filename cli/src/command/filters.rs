//! Which messages and dead letters are meant.

use chaski_core::ledger::MessageState;
use clap::Args;
use clap::builder::PossibleValuesParser;

use super::when::When;
use crate::client::Fields;

/// Reads an id. What a URL would not carry as a part of its path is none.
pub(super) fn id(text: &str) -> Result<String, String> {
    if matches!(text, "" | "." | "..") { Err("it is no id".to_owned()) } else { Ok(text.to_owned()) }
}

/// Which messages.
#[derive(Debug, Args)]
pub(super) struct MessageFilter {
    /// Of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Of this client
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// With this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// In this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(MessageState::ALL.map(MessageState::name)))]
    state: Option<String>,
    /// To this host, or to URLs that begin with this
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Accepted at this time or later: 2026-12-01, RFC 3339, or an age like 2h
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Accepted before this time
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
}

impl MessageFilter {
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.add_some("subject", self.subject.as_deref());
        fields.add_some("client", self.client.as_deref());
        fields.add_some("label", self.label.as_deref());
        fields.add_some("state", self.state.as_deref());
        fields.add_some("target", self.target.as_deref());
        fields.add_some("from", self.from.map(When::rfc3339));
        fields.add_some("to", self.to.map(When::rfc3339));
        fields
    }
}

/// Which dead letters.
#[derive(Debug, Args)]
pub(super) struct DeadLetterFilter {
    /// Of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Of this client
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// To this host, or to URLs that begin with this
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Ended by this class of error (http_5xx, timeout, …) or by this status (503)
    #[arg(long, value_name = "ERROR")]
    error: Option<String>,
    /// Died at this time or later: 2026-12-01, RFC 3339, or an age like 2h
    #[arg(long, value_name = "TIME")]
    from: Option<When>,
    /// Died before this time
    #[arg(long, value_name = "TIME")]
    to: Option<When>,
}

impl DeadLetterFilter {
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Fields::default();
        fields.add_some("subject", self.subject.as_deref());
        fields.add_some("client", self.client.as_deref());
        fields.add_some("target", self.target.as_deref());
        fields.add_some("error", self.error.as_deref());
        fields.add_some("from", self.from.map(When::rfc3339));
        fields.add_some("to", self.to.map(When::rfc3339));
        fields
    }
}
