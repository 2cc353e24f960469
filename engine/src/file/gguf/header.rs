//! Parses the header of a GGUF file from the bytes that have been read so far.

use super::{GgufArray, GgufMetadata, GgufValue};

/// The longest key or name of a tensor.
const NAME_MAX_BYTES: u64 = u16::MAX as u64;
/// The longest text; chat templates take some 20 KiB.
const TEXT_MAX_BYTES: u64 = 16 << 20;
/// The most keys.
const KEYS_MAX: u64 = 1 << 16;
/// The most tensors.
const TENSORS_MAX: u64 = 1 << 20;
/// The most sides of a tensor.
const SIDES_MAX: u32 = 4;
/// How deep arrays may lie in arrays.
const ARRAY_DEPTH_MAX: u32 = 4;

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    pub metadata: GgufMetadata,
    pub tensors: Vec<TensorEntry>,
    /// Where the header ends.
    pub len_bytes: u64,
}

/// A tensor as the header describes it.
#[derive(Debug)]
pub(super) struct TensorEntry {
    pub name: String,
    /// Rows first; the file has it the other way round.
    pub shape: Vec<u64>,
    pub type_id: u32,
    /// From the end of the header's padding.
    pub offset: u64,
}

/// Why parsing stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// More bytes are needed, at least up to this one.
    Truncated { needed_bytes: u64 },
    /// More bytes would not help.
    Malformed(String),
}

type Parse<T> = Result<T, Stop>;

/// Parses a header that may be cut short.
pub(super) fn parse(bytes: &[u8]) -> Parse<Header> {
    let mut reader = Reader { bytes, position: 0 };
    if reader.array::<4>()? != *b"GGUF" {
        return Err(Stop::Malformed("it does not begin with \"GGUF\"".to_owned()));
    }
    match u32::from_le_bytes(reader.array()?) {
        2 | 3 => {}
        version if (1..=3).contains(&version.swap_bytes()) => {
            return Err(Stop::Malformed(
                "it is in big-endian byte order; fetch or convert to little-endian".to_owned(),
            ));
        }
        version => {
            return Err(Stop::Malformed(format!("it is GGUF version {version}; versions 2 and 3 are read")));
        }
    }
    let tensor_count = reader.count("tensors", TENSORS_MAX)?;
    let key_count = reader.count("keys", KEYS_MAX)?;
    let mut metadata = GgufMetadata::default();
    for _ in 0..key_count {
        let key = reader.string("a key", NAME_MAX_BYTES)?;
        let value = reader.value(&key)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(Stop::Malformed(format!("the key {key:?} is there twice")));
        }
    }
    let mut tensors = Vec::new();
    for _ in 0..tensor_count {
        tensors.push(reader.tensor()?);
    }
    Ok(Header { metadata, tensors, len_bytes: reader.position as u64 })
}

/// A place in the bytes. Nothing is allocated beyond what the bytes at hand can fill.
struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// The next bytes.
    fn take(&mut self, count: u64) -> Parse<&'a [u8]> {
        let needed_bytes = (self.position as u64).saturating_add(count);
        let found = usize::try_from(needed_bytes).ok().and_then(|end| self.bytes.get(self.position..end));
        let taken = found.ok_or(Stop::Truncated { needed_bytes })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// The next `N` bytes.
    fn array<const N: usize>(&mut self) -> Parse<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn u32(&mut self) -> Parse<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Parse<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number of things, none of which takes less than a byte.
    fn count(&mut self, what: &str, max: u64) -> Parse<u64> {
        match self.u64()? {
            count if count <= max => Ok(count),
            count => Err(Stop::Malformed(format!("it claims {count} {what}; at most {max} are read"))),
        }
    }

    /// A length and so many bytes of UTF-8.
    fn string(&mut self, what: &str, max_bytes: u64) -> Parse<String> {
        let len_bytes = self.u64()?;
        if len_bytes > max_bytes {
            return Err(Stop::Malformed(format!("{what} claims {len_bytes} bytes; at most {max_bytes} are read")));
        }
        let bytes = self.take(len_bytes)?;
        str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|error| Stop::Malformed(format!("{what} is not UTF-8 text: {error}")))
    }

    fn bool(&mut self, key: &str) -> Parse<bool> {
        let [byte] = self.array()?;
        to_bool(byte, key)
    }

    /// A type and a value of that type.
    fn value(&mut self, key: &str) -> Parse<GgufValue> {
        Ok(match self.u32()? {
            0 => GgufValue::U8(u8::from_le_bytes(self.array()?)),
            1 => GgufValue::I8(i8::from_le_bytes(self.array()?)),
            2 => GgufValue::U16(u16::from_le_bytes(self.array()?)),
            3 => GgufValue::I16(i16::from_le_bytes(self.array()?)),
            4 => GgufValue::U32(u32::from_le_bytes(self.array()?)),
            5 => GgufValue::I32(i32::from_le_bytes(self.array()?)),
            6 => GgufValue::F32(f32::from_le_bytes(self.array()?)),
            7 => GgufValue::Bool(self.bool(key)?),
            8 => GgufValue::String(self.string(&format!("the value of {key:?}"), TEXT_MAX_BYTES)?),
            9 => GgufValue::Array(self.values(key, ARRAY_DEPTH_MAX)?),
            10 => GgufValue::U64(u64::from_le_bytes(self.array()?)),
            11 => GgufValue::I64(i64::from_le_bytes(self.array()?)),
            12 => GgufValue::F64(f64::from_le_bytes(self.array()?)),
            other => return Err(unknown_type(key, other)),
        })
    }

    /// A type, a count, and so many values of that type.
    fn values(&mut self, key: &str, depth_left: u32) -> Parse<GgufArray> {
        let element_type = self.u32()?;
        let count = self.u64()?;
        Ok(match element_type {
            0 => GgufArray::U8(self.numbers(count, u8::from_le_bytes)?),
            1 => GgufArray::I8(self.numbers(count, i8::from_le_bytes)?),
            2 => GgufArray::U16(self.numbers(count, u16::from_le_bytes)?),
            3 => GgufArray::I16(self.numbers(count, i16::from_le_bytes)?),
            4 => GgufArray::U32(self.numbers(count, u32::from_le_bytes)?),
            5 => GgufArray::I32(self.numbers(count, i32::from_le_bytes)?),
            6 => GgufArray::F32(self.numbers(count, f32::from_le_bytes)?),
            7 => {
                let bytes = self.take(count)?;
                GgufArray::Bool(bytes.iter().map(|byte| to_bool(*byte, key)).collect::<Parse<_>>()?)
            }
            8 => {
                self.holds(count, 8)?;
                let what = format!("a value of {key:?}");
                GgufArray::String((0..count).map(|_| self.string(&what, TEXT_MAX_BYTES)).collect::<Parse<_>>()?)
            }
            9 if depth_left == 0 => {
                return Err(Stop::Malformed(format!("{key:?} has arrays more than {ARRAY_DEPTH_MAX} deep")));
            }
            9 => {
                self.holds(count, 12)?;
                GgufArray::Array((0..count).map(|_| self.values(key, depth_left - 1)).collect::<Parse<_>>()?)
            }
            10 => GgufArray::U64(self.numbers(count, u64::from_le_bytes)?),
            11 => GgufArray::I64(self.numbers(count, i64::from_le_bytes)?),
            12 => GgufArray::F64(self.numbers(count, f64::from_le_bytes)?),
            other => return Err(unknown_type(key, other)),
        })
    }

    /// Checks that so many elements of at least that size can follow, before room is made for them.
    fn holds(&self, count: u64, least_bytes: u64) -> Parse<()> {
        let needed_bytes = (self.position as u64).saturating_add(count.saturating_mul(least_bytes));
        if needed_bytes > self.bytes.len() as u64 { Err(Stop::Truncated { needed_bytes }) } else { Ok(()) }
    }

    /// So many numbers of `N` bytes each.
    fn numbers<const N: usize, T>(&mut self, count: u64, read: impl Fn([u8; N]) -> T) -> Parse<Vec<T>> {
        let bytes = self.take(count.saturating_mul(N as u64))?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| read(*bytes)).collect())
    }

    /// A tensor's entry.
    fn tensor(&mut self) -> Parse<TensorEntry> {
        let name = self.string("a tensor's name", NAME_MAX_BYTES)?;
        let sides = self.u32()?;
        if sides > SIDES_MAX {
            return Err(Stop::Malformed(format!(
                "the tensor {name:?} has {sides} sides; at most {SIDES_MAX} are read"
            )));
        }
        let mut shape = (0..sides).map(|_| self.u64()).collect::<Parse<Vec<_>>>()?;
        shape.reverse();
        Ok(TensorEntry { name, shape, type_id: self.u32()?, offset: self.u64()? })
    }
}

fn to_bool(byte: u8, key: &str) -> Parse<bool> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Stop::Malformed(format!("{key:?} is {byte}, which is neither true nor false"))),
    }
}

fn unknown_type(key: &str, type_id: u32) -> Stop {
    Stop::Malformed(format!("{key:?} has a value of the unknown type {type_id}"))
}
