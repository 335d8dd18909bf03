//! One thing with its fields, one a line, and what belongs to it below.

use super::text::plain;

/// Names and values, one a line.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    fields: Vec<(&'static str, String)>,
}

impl Sheet {
    /// A field; an empty value is left out. Control characters in it are shown, not sent to the terminal.
    pub(crate) fn field(&mut self, name: &'static str, value: impl AsRef<str>) -> &mut Self {
        if !value.as_ref().is_empty() {
            self.fields.push((name, plain(value.as_ref())));
        }
        self
    }

    /// As text.
    pub(crate) fn render(&self) -> String {
        let width = self.fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let lines: Vec<String> = self.fields.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
        lines.join("\n")
    }
}
