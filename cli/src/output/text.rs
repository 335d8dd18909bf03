//! Numbers, times and foreign texts, as a person reads them.

use std::fmt::Write;
use std::time::Duration;

use chaski_core::time::Timestamp;

/// A text from outside in one line: control characters, which could steer the terminal, are shown and not sent.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_invisible(character) {
            // Writing to a string can't fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Characters that turn the direction of writing, with which a text can look like another one.
const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// A point in time as `2026-12-01 09:00:00`, in UTC; what is none is shown as it is.
pub(crate) fn time(rfc3339: &str) -> String {
    shortened(rfc3339, "2026-12-01T09:00:00".len())
}

/// The same to the millisecond.
pub(crate) fn precise(rfc3339: &str) -> String {
    shortened(rfc3339, "2026-12-01T09:00:00.000".len())
}

fn shortened(rfc3339: &str, length: usize) -> String {
    let Some(at) = Timestamp::parse(rfc3339) else { return plain(rfc3339) };
    at.to_string().replace('T', " ").chars().take(length).collect()
}

/// A point in time and how far it is from `now`: `2026-12-01 09:00:00 UTC, in 42s`.
pub(crate) fn time_and_distance(rfc3339: &str, now: Timestamp) -> String {
    let Some(at) = Timestamp::parse(rfc3339) else { return plain(rfc3339) };
    let distance = if at > now { format!("in {}", age(at.since(now))) } else { format!("{} ago", age(now.since(at))) };
    format!("{} UTC, {distance}", time(rfc3339))
}

/// How old something is, by its two largest units: `45s`, `3m 12s`, `2h 5m`, `3d 4h`.
pub(crate) fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    let (large, small) = match seconds {
        0..=59 => return format!("{seconds}s"),
        60..=3_599 => ((60, "m"), (1, "s")),
        3_600..=86_399 => ((3_600, "h"), (60, "m")),
        _ => ((86_400, "d"), (3_600, "h")),
    };
    let rest = seconds % large.0 / small.0;
    let whole = format!("{}{}", seconds / large.0, large.1);
    if rest == 0 { whole } else { format!("{whole} {rest}{}", small.1) }
}

/// How long something took: `12 ms`, `1.25 s`, `3m 12s`.
pub(crate) fn span_ms(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1_000..=59_999 => format!("{}.{:02} s", ms / 1_000, ms % 1_000 / 10),
        _ => age(Duration::from_millis(ms)),
    }
}

/// `1 message`, `12,000 messages`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A JSON document over many lines: only the space between its parts is ours, order and spelling stay.
pub(crate) fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let mut before = ' ';
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    for character in json.chars() {
        if in_string {
            text.push(character);
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(character, '}' | ']');
        if closes {
            depth = depth.saturating_sub(1);
        }
        if matches!(before, '{' | '[') != closes && (closes || matches!(before, '{' | '[')) || before == ',' {
            line(&mut text, depth);
        }
        text.push(character);
        match character {
            '{' | '[' => depth += 1,
            ':' => text.push(' '),
            '"' => in_string = true,
            _ => {}
        }
        before = character;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units_at_most() {
        let shown = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(59), "59s");
        assert_eq!(shown(60), "1m");
        assert_eq!(shown(192), "3m 12s");
        assert_eq!(shown(7_500), "2h 5m");
        assert_eq!(shown(273_600), "3d 4h");
        assert_eq!(span_ms(999), "999 ms");
        assert_eq!(span_ms(1_250), "1.25 s");
        assert_eq!(span_ms(192_000), "3m 12s");
    }

    #[test]
    fn a_foreign_text_can_not_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(plain("ñandú 日本語 🦙"), "ñandú 日本語 🦙");
        assert_eq!(plain("\u{202e}gnp.exe"), "\\u{202e}gnp.exe");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time("2026-12-01T10:00:00.123+01:00"), "2026-12-01 09:00:00");
        assert_eq!(precise("2026-12-01T09:00:00Z"), "2026-12-01 09:00:00.000");
        assert_eq!(time("soon"), "soon");
        let now = Timestamp::parse("2026-12-01T09:00:00Z").unwrap();
        assert_eq!(time_and_distance("2026-12-01T09:00:42Z", now), "2026-12-01 09:00:42 UTC, in 42s");
        assert_eq!(time_and_distance("2026-12-01T08:00:00Z", now), "2026-12-01 08:00:00 UTC, 1h ago");
    }

    #[test]
    fn json_keeps_its_order_and_its_spelling() {
        let json = r#"{"b" :1.0e+2,"a":[ ],"c":{},"d":[{"x":"a, {\"b\\" }, true],"a":"\u00f1"}"#;
        let wanted = r#"{
  "b": 1.0e+2,
  "a": [],
  "c": {},
  "d": [
    {
      "x": "a, {\"b\\"
    },
    true
  ],
  "a": "\u00f1"
}"#;
        assert_eq!(indented(json), wanted);
        assert_eq!(indented("[1, [2]]"), "[\n  1,\n  [\n    2\n  ]\n]");
        assert_eq!(indented(" \"x y\" "), "\"x y\"");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(0, "message"), "0 messages");
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!(count(1_234_567, "message"), "1,234,567 messages");
    }
}
