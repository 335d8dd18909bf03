//! How far long work is. Shown on standard error while that is a terminal, and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often what is shown moves on by itself.
const TICK: Duration = Duration::from_millis(120);

/// A bar, or a wheel where the end is not known.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of `total` units; of an unknown number without it.
    pub(crate) fn new(total: Option<u64>) -> Self {
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{bar:30} {percent:>3} %  {msg}  {elapsed}, {eta} left"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}"),
        };
        // The templates are ours; with the library's own the work goes on as well.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// So far, and in words.
    pub(crate) fn at(&self, position: u64, words: String) {
        self.bar.set_position(position);
        self.bar.set_message(words);
    }

    /// Says something without tearing what is shown.
    pub(crate) fn talk(&self, text: &str) {
        self.bar.suspend(|| super::talk(text));
    }

    /// Writes data without tearing what is shown.
    pub(crate) fn around<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
