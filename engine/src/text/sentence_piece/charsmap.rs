//! The map of characters that SentencePiece compiles: which characters become which before a text is cut.
//!
//! ```text
//! bytes of the array u32 | double array of u32 (Aoe 1989, as darts-clone lays it out) | texts, each ended by a zero
//! ```

/// Where a unit's children lie, relative to itself.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}

/// Which byte leads to a unit; a leaf's is out of every byte's reach.
fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

/// Whether a key ends at a unit.
fn has_leaf(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

/// A map that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charsmap {
    units: Vec<u32>,
    texts: String,
}

impl Charsmap {
    /// From its bytes; says what is wrong.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        check(bytes)?;
        let (array, texts) =
            bytes[4..].split_at(bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize);
        let units = array.as_chunks().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(Self { units, texts: String::from_utf8_lossy(texts).into_owned() })
    }

    /// The text with each longest key replaced, from the front on; what no key begins stays as it is.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let taken = match self.longest(rest) {
                // Keys are texts; should one end within a character, the character stays.
                Some((bytes, by)) if rest.is_char_boundary(bytes) => {
                    out.push_str(by);
                    bytes
                }
                _ => {
                    out.push(first);
                    first.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        out
    }

    /// How many bytes the longest key at the front takes, and what it becomes.
    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let unit = |at: usize| self.units.get(at).copied().unwrap_or_default();
        let mut at = offset(unit(0));
        let mut found = None;
        for (index, &byte) in text.as_bytes().iter().enumerate() {
            at ^= usize::from(byte);
            let node = unit(at);
            if byte == 0 || label(node) != u32::from(byte) {
                break;
            }
            at ^= offset(node);
            if has_leaf(node) {
                let start = (unit(at) & (u32::MAX >> 1)) as usize;
                let by = self.texts.get(start..).unwrap_or_default();
                found = Some((index + 1, by.split('\0').next().unwrap_or_default()));
            }
        }
        found
    }
}

/// Follows every path from the root, so that whoever reads the map need not look where it leads. Says what is wrong.
pub(crate) fn check(charsmap: &[u8]) -> Result<(), &'static str> {
    let (length, rest) = charsmap.split_first_chunk::<4>().ok_or("the map of characters is cut short")?;
    let bytes = u32::from_le_bytes(*length) as usize;
    let (array, texts) = rest.split_at_checked(bytes).ok_or("the map of characters is cut short")?;
    let texts = std::str::from_utf8(texts).map_err(|_| "the map of characters leads to what is no text")?;
    let (units, []) = array.as_chunks::<4>() else { return Err("the map of characters is no array") };
    let unit = |at: usize| units.get(at).map(|unit| u32::from_le_bytes(*unit));
    let mut seen = vec![false; units.len()];
    let mut open = vec![0usize];
    const OUTSIDE: &str = "the map of characters points out of itself";
    while let Some(at) = open.pop() {
        let node = unit(at).ok_or(OUTSIDE)?;
        let base = at ^ offset(node);
        if at != 0 && has_leaf(node) {
            let leaf = unit(base).ok_or(OUTSIDE)?;
            let text = (leaf & (u32::MAX >> 1)) as usize;
            if !texts.is_char_boundary(text) {
                return Err(OUTSIDE);
            }
        }
        // A reader looks at a child before it knows whether there is one.
        if base | 0xff >= units.len() {
            return Err(OUTSIDE);
        }
        for byte in 1..=0xff_usize {
            let child = base ^ byte;
            if unit(child).is_some_and(|unit| label(unit) == byte as u32) && !std::mem::replace(&mut seen[child], true)
            {
                open.push(child);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(units: &[u32], texts: &str) -> Vec<u8> {
        let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(texts.as_bytes());
        bytes
    }

    #[test]
    fn a_map_stays_within_itself() {
        // "a" leads to unit 0x61, whose leaf is unit 0x61 ^ 1 = 0x60.
        let mut units = vec![0; 256];
        units[0x61] = 1 << 10 | 1 << 8 | 0x61;
        units[0x60] = 1 << 31 | 2;
        let charsmap = Charsmap::parse(&map(&units, "b\0é\0")).unwrap();
        assert_eq!(charsmap.apply("xaa\0y"), "xéé\0y");
        assert!(check(&map(&units, "é\0\0")).is_ok() && check(&map(&units, "xé\0")).is_err());
        units[0x60] = 1 << 31 | 9;
        assert!(check(&map(&units, "b\0é\0")).is_err(), "a text behind the end");
        units[0x61] = 1 << 20 | 0x61;
        assert!(check(&map(&units, "b")).is_err(), "children behind the end");
        assert!(check(&map(&units[..255], "b")).is_err() && check(&[]).is_err() && check(&[9, 0, 0, 0]).is_err());
    }
}
