//! A checksum over a row's values: CRC-32 (IEEE 802.3), which finds every single flipped bit and every burst
//! up to 32 bits.

use crc32fast::Hasher;

/// Takes values one by one; each with its length or a mark of its absence, so that no two rows read the same.
#[derive(Default)]
pub(crate) struct Sum(Hasher);

impl Sum {
    pub(crate) fn number(mut self, value: i64) -> Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    pub(crate) fn number_if(self, value: Option<i64>) -> Self {
        match value {
            None => self.number(0),
            Some(value) => self.number(1).number(value),
        }
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self = self.number(i64::try_from(value.len()).unwrap_or(i64::MAX));
        self.0.update(value);
        self
    }

    pub(crate) fn text(self, value: &str) -> Self {
        self.bytes(value.as_bytes())
    }

    pub(crate) fn text_if(self, value: Option<&str>) -> Self {
        match value {
            None => self.number(-1),
            Some(value) => self.text(value),
        }
    }

    pub(crate) fn bytes_if(self, value: Option<&[u8]>) -> Self {
        match value {
            None => self.number(-1),
            Some(value) => self.bytes(value),
        }
    }

    pub(crate) fn finish(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_say_something_else_have_another_sum() {
        let sums = [
            Sum::default().text("ab").text("c"),
            Sum::default().text("a").text("bc"),
            Sum::default().text("abc").text_if(None),
            Sum::default().text("abc").text_if(Some("")),
            Sum::default().number_if(None),
            Sum::default().number_if(Some(0)),
        ]
        .map(Sum::finish);
        let distinct: std::collections::HashSet<_> = sums.into_iter().collect();
        assert_eq!(distinct.len(), sums.len());
    }
}
