//! A WHERE clause, put together of what a filter asks for.

use chaski_core::filter::{TargetFilter, Whose};
use chaski_core::time::Timestamp;
use rusqlite::types::Value;

/// Conditions with their values, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Clause {
    conditions: Vec<String>,
    pub(super) values: Vec<Value>,
}

impl Clause {
    /// Adds a condition with one `?`, where there is a value.
    pub(super) fn and(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.conditions.push(condition.to_owned());
            self.values.push(value.into());
        }
    }

    /// Adds a condition without a value.
    pub(super) fn and_always(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    pub(super) fn whose(&mut self, whose: &Whose) {
        self.and("tenant = ?", whose.tenant.clone());
        self.and("coalesce(producer, '') = ?", whose.producer.clone());
    }

    /// The target, as the columns `host` and `target` of a table have it.
    pub(super) fn target(&mut self, table: &str, target: Option<&TargetFilter>) {
        match target {
            None => {}
            Some(TargetFilter::Host(host)) => self.and(&format!("{table}.host = ?"), Some(host.clone())),
            Some(TargetFilter::Prefix { prefix, host }) => {
                self.and(&format!("{table}.host = ?"), Some(host.clone()));
                self.conditions.push(format!("substr({table}.target, 1, length(?)) = ?"));
                self.values.extend([Value::from(prefix.clone()), Value::from(prefix.clone())]);
            }
        }
    }

    pub(super) fn between(&mut self, column: &str, from: Option<Timestamp>, to: Option<Timestamp>) {
        self.and(&format!("{column} >= ?"), from.map(Timestamp::millis));
        self.and(&format!("{column} < ?"), to.map(Timestamp::millis));
    }

    /// The same with one more condition, before the others.
    pub(super) fn with<const N: usize>(&self, condition: &str, values: [i64; N]) -> Self {
        let conditions = std::iter::once(condition.to_owned()).chain(self.conditions.iter().cloned()).collect();
        let values = values.into_iter().map(Value::from).chain(self.values.iter().cloned()).collect();
        Self { conditions, values }
    }

    /// The text, from WHERE on.
    pub(super) fn text(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("WHERE {}", self.conditions.join(" AND ")) }
    }
}
