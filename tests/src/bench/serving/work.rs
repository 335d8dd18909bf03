//! What is sent: which messages, on which connection, in which order.

use super::mark::{self, Mark, write_digits};

/// Messages of some subjects, shared among connections.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// The number of the first subject, so that two loads on one server do not meet.
    pub(crate) first: usize,
    pub(crate) subjects: usize,
    pub(crate) messages: usize,
    /// What is asked of the targets, in turns: the message's number decides.
    pub(crate) asks: Vec<Ask>,
}

/// One kind of request to a target.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    /// Takes a mark behind it where there is no body.
    pub(crate) url: String,
    /// 0: none.
    pub(crate) body_bytes: usize,
}

impl Work {
    /// The messages of one connection, in order. A subject belongs to one connection and the next of its messages is
    /// sent after the answer to the last, or there would be no order to keep.
    pub(crate) fn of(&self, connection: usize, connections: usize) -> impl Iterator<Item = Mark> + use<> {
        let (first, subjects, messages) = (self.first, self.subjects, self.messages);
        (0..messages.div_ceil(subjects.max(1)))
            .flat_map(move |number| (connection..subjects).step_by(connections.max(1)).map(move |s| (number, s)))
            .filter(move |(number, subject)| number * subjects + subject < messages)
            .map(move |(number, subject)| Mark { subject: cast(first + subject), number: cast(number) })
    }

    /// The place of a mark among all messages; none if it is no mark of this load.
    pub(crate) fn place(&self, mark: Mark) -> Option<usize> {
        let subject = (mark.subject as usize).checked_sub(self.first).filter(|&subject| subject < self.subjects)?;
        Some(mark.number as usize * self.subjects + subject).filter(|&place| place < self.messages)
    }
}

fn cast(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// An envelope with blanks for its subject and its mark.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    text: Vec<u8>,
    subject: usize,
    mark: usize,
}

const SUBJECT: &str = "bench-000000";
const PREFIX: usize = "bench-".len();

impl Template {
    /// The envelope alone, as it stands in a batch.
    pub(crate) fn envelope(ask: &Ask) -> Self {
        let message = if ask.body_bytes == 0 {
            format!(r#"{{"url":"{}{}","method":"{}"}}"#, ask.url, mark::BLANK, ask.method)
        } else {
            let around = r#"{"mark":"","fill":""}"#.len() + mark::BYTES;
            let fill = "x".repeat(ask.body_bytes.saturating_sub(around));
            let body = format!(r#"{{"mark":"{}","fill":"{fill}"}}"#, mark::BLANK);
            format!(r#"{{"url":"{}","method":"{}","body":{body}}}"#, ask.url, ask.method)
        };
        Self::new(format!(r#"{{"subject":"{SUBJECT}","message":{message}}}"#))
    }

    /// The envelope in a request.
    pub(crate) fn request(ask: &Ask, host: &str, path: &str) -> Self {
        let Self { text, .. } = Self::envelope(ask);
        let text = String::from_utf8_lossy(&text);
        Self::new(format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
            text.len()
        ))
    }

    fn new(text: String) -> Self {
        let subject = text.find(SUBJECT).unwrap_or(0) + PREFIX;
        let mark = text.find(mark::BLANK).unwrap_or(0);
        Self { text: text.into_bytes(), subject, mark }
    }

    /// The text with its blanks filled in.
    pub(crate) fn fill(&mut self, mark: Mark) -> &[u8] {
        if let Some(digits) = self.text.get_mut(self.subject..self.subject + SUBJECT.len() - PREFIX) {
            write_digits(mark.subject, digits);
        }
        if let Some(blank) = self.text.get_mut(self.mark..) {
            mark.write(blank);
        }
        &self.text
    }
}

/// The number in a subject's name.
pub(crate) fn subject_number(name: &[u8]) -> Option<u32> {
    mark::number(name.strip_prefix(b"bench-")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(body_bytes: usize) -> Ask {
        Ask { method: "POST", url: "http://t/".to_owned(), body_bytes }
    }

    #[test]
    fn connections_share_all_messages_and_no_subject() {
        let work = Work { first: 5, subjects: 7, messages: 100, asks: vec![post(256)] };
        let mut places = Vec::new();
        for connection in 0..3 {
            let marks: Vec<_> = work.of(connection, 3).collect();
            assert!(marks.iter().all(|mark| (mark.subject as usize - 5) % 3 == connection));
            places.extend(marks.into_iter().filter_map(|mark| work.place(mark)));
        }
        places.sort_unstable();
        assert_eq!(places, (0..100).collect::<Vec<_>>());
        assert_eq!(work.place(Mark { subject: 12, number: 0 }), None);
        assert_eq!(work.place(Mark { subject: 5, number: 15 }), None);
    }

    #[test]
    fn a_body_has_the_size_asked_for_and_an_envelope_is_json() {
        let mut template = Template::envelope(&post(256));
        let envelope: serde_json::Value =
            serde_json::from_slice(template.fill(Mark { subject: 42, number: 7 })).unwrap();
        assert_eq!(envelope["subject"], "bench-000042");
        assert_eq!(subject_number(b"bench-000042"), Some(42));
        let body = serde_json::to_string(&envelope["message"]["body"]).unwrap();
        assert_eq!(body.len(), 256);
        assert_eq!(Mark::find(body.as_bytes()), Some(Mark { subject: 42, number: 7 }));
    }
}
