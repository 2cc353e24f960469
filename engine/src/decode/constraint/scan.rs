//! Where in a JSON text we are: what a grammar leaves open, but no reader of JSON takes.
//!
//! A grammar allows numbers of any length. `1e9999` is JSON and no reader's number; the twentieth digit of a number is
//! lost in an f64, and with it perhaps the bound that the schema set; and readers refuse brackets nested without end. So
//! numbers end in time and brackets stay shallow, if the grammar lets them.

/// An f64 keeps so many decimal digits whole.
const DIGITS_MAX: u32 = 15;

/// `1e99` times any number of [`DIGITS_MAX`] digits is an f64.
const EXPONENT_DIGITS_MAX: u32 = 2;

/// Readers take at least 100 levels.
const DEPTH_MAX: u32 = 64;

/// The state after a part of a JSON text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JsonScan {
    place: Place,
    depth: u32,
    /// Whether the outermost value has ended: a bracket or quote closed it.
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Between values, or in a `true`, `false` or `null`.
    #[default]
    Outside,
    String,
    /// After a backslash.
    Escape,
    Number {
        digits: u32,
    },
    /// Behind an `e`.
    Exponent {
        digits: u32,
    },
}

impl JsonScan {
    /// Whether the outermost value has ended, so that nothing but space could follow.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Reads on.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// Whether no number would become too long, and no bracket too deep.
    pub(super) fn permits(mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.step(*byte))
    }

    fn step(&mut self, byte: u8) -> bool {
        self.place = match (self.place, byte) {
            (Place::String, b'"') => {
                self.is_closed |= self.depth == 0;
                Place::Outside
            }
            (Place::String, b'\\') => Place::Escape,
            (Place::String | Place::Escape, _) => Place::String,
            (Place::Number { digits }, b'0'..=b'9') => Place::Number { digits: digits + 1 },
            (Place::Exponent { digits }, b'0'..=b'9') => Place::Exponent { digits: digits + 1 },
            (Place::Number { .. }, b'e' | b'E') => Place::Exponent { digits: 0 },
            (place @ (Place::Number { .. } | Place::Exponent { .. }), b'.' | b'+' | b'-') => place,
            (_, b'"') => Place::String,
            (_, b'-') => Place::Number { digits: 0 },
            (_, b'0'..=b'9') => Place::Number { digits: 1 },
            (_, b'{' | b'[') => {
                self.depth += 1;
                Place::Outside
            }
            (_, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                self.is_closed |= self.depth == 0;
                Place::Outside
            }
            _ => Place::Outside,
        };
        match self.place {
            Place::Number { digits } => digits <= DIGITS_MAX,
            Place::Exponent { digits } => digits <= EXPONENT_DIGITS_MAX,
            _ => self.depth <= DEPTH_MAX || !matches!(byte, b'{' | b'['),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> JsonScan {
        let mut scan = JsonScan::default();
        scan.push(text.as_bytes());
        scan
    }

    #[test]
    fn numbers_end_in_time() {
        assert!(after("[").permits(b"123456789012345"));
        assert!(!after("[").permits(b"1234567890123456"));
        assert!(!after("[-1.23456789").permits(b"0123456"));
        assert!(after("[1").permits(b"e+99,") && !after("[1").permits(b"e100"));
        assert!(after("[12345678901").permits(b",1234567890"), "each number counts for itself");
        assert!(after(r#"["a\"#).permits(br#"" 12345678901234567890"#), "what a string holds is no number");
        assert!(!after(r#"["a\\"#).permits(br#"",12345678901234567890"#));
    }

    #[test]
    fn brackets_stay_shallow() {
        assert!(after(&"[".repeat(63)).permits(b"{") && !after(&"[".repeat(64)).permits(b"{"));
        assert!(after(&"[".repeat(64)).permits(b"1]") && after(&"[".repeat(64)).permits(b"\"[{\""));
        assert!(after(&"[]".repeat(99)).permits(b"[["));
    }

    #[test]
    fn a_text_is_closed_with_its_outermost_value() {
        for open in ["", "{", r#"{"a": [1]"#, r#"{"a": "}"#, "12", r#""a\""#] {
            assert!(!after(open).is_closed(), "{open}");
        }
        for closed in ["{}", r#"{"a": [1, "}"]}"#, r#""a\"""#, "[[]] "] {
            assert!(after(closed).is_closed(), "{closed}");
        }
    }
}
