//! The mark that every message carries, so that the target knows it again whoever carries it.

/// How a mark is spelled: `~SSSSSS.NNNNNNN`. Only characters that stand for themselves in a URL and in JSON.
pub(crate) const BYTES: usize = 15;
const SUBJECT: std::ops::Range<usize> = 1..7;
const NUMBER: std::ops::Range<usize> = 8..15;
/// What a template holds where its mark goes.
pub(crate) const BLANK: &str = "~000000.0000000";

/// Which message of which subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) subject: u32,
    /// From 0 in each subject, in the order of sending.
    pub(crate) number: u32,
}

impl Mark {
    /// The first mark in the text.
    pub(crate) fn find(text: &[u8]) -> Option<Self> {
        let at = text.iter().position(|&byte| byte == b'~')?;
        let mark = text.get(at..at + BYTES)?;
        Some(Self { subject: number(mark.get(SUBJECT)?)?, number: number(mark.get(NUMBER)?)? })
    }

    /// Writes itself over a blank.
    pub(crate) fn write(self, over: &mut [u8]) {
        if let Some(digits) = over.get_mut(SUBJECT) {
            write_digits(self.subject, digits);
        }
        if let Some(digits) = over.get_mut(NUMBER) {
            write_digits(self.number, digits);
        }
    }
}

/// Digits to a number.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    digits.iter().try_fold(0_u32, |sum, byte| sum.checked_mul(10)?.checked_add(digit(byte)?))
}

/// The number's last digits, as many as there is room for.
pub(crate) fn write_digits(mut number: u32, over: &mut [u8]) {
    for place in over.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        let mut text = format!("{{\"mark\": \"{BLANK}\"}}").into_bytes();
        let mark = Mark { subject: 999, number: 1_234_567 };
        mark.write(&mut text[10..10 + BYTES]);
        assert_eq!(text, b"{\"mark\": \"~000999.1234567\"}");
        assert_eq!(Mark::find(&text), Some(mark));
        assert_eq!(Mark::find(b"{\"mark\":\"~00099x.1234567\"}"), None);
        assert_eq!(Mark::find(b"~0009"), None);
    }
}
