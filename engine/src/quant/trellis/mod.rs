//! The trellis formats: K = 2 to 6 bits a weight, each weight a number that is computed from a window of 16 bits of
//! which K are its own. `docs/formats/trellis.md` has the layout byte by byte.
//!
//! The method is the bit-shift trellis of QTIP (Tseng et al. 2024, "Quantization with Trellises and Incoherence
//! Processing", section 3); the integer code in place of its floats, the multiplier and the 16 by 16 tiles are those of
//! exllamav3's "mul1", with masked bytes so that every byte fits a signed one.
//!
//! A matrix is cut in strips of 16 rows. A strip is 16 F16 row scales and then its tiles, 16 columns each, in the order
//! of the columns:
//!
//! ```text
//! strip  byte 0              32               32 + 32 K           32 + 2 K columns
//!             | scales of 16 rows | tile 0 (32 K bytes) | tile 1 | ... |
//! tile   a ring of 256 K bits, the lowest bit of each byte first; weight t = 16 column + row has
//!        the window of bits t K .. t K + 16, wrapping round at the tile's end
//! weight scale of the row x (sum of the bytes of (window x 0x83DCD12D & mask) - offset) x unit
//! ```
//!
//! The quantizer encodes; here is what decoding means.

mod code;
mod strip;

pub use code::{Code, Codebook, MULTIPLIER, WINDOW_BITS};
pub use strip::{
    SCALES_BYTES, STRIP_ROWS, TILE_COLUMNS, TILE_WEIGHTS, decode_rows, decode_strip, decode_strip_row, decode_tile,
    row_scales, strip_bytes, tile_bytes, windows,
};
