//! GGML's numbers for the types of tensors.

use crate::tensor::Format;

/// The formats that this engine reads. Figures from `ggml.h` of llama.cpp (MIT).
const FORMATS: [(u32, Format); Format::ALL.len()] = [
    (0, Format::F32),
    (1, Format::F16),
    (2, Format::Q4_0),
    (3, Format::Q4_1),
    (6, Format::Q5_0),
    (7, Format::Q5_1),
    (8, Format::Q8_0),
    (10, Format::Q2_K),
    (11, Format::Q3_K),
    (12, Format::Q4_K),
    (13, Format::Q5_K),
    (14, Format::Q6_K),
    (16, Format::IQ2_XXS),
    (17, Format::IQ2_XS),
    (18, Format::IQ3_XXS),
    (20, Format::IQ4_NL),
    (21, Format::IQ3_S),
    (22, Format::IQ2_S),
    (23, Format::IQ4_XS),
    (30, Format::BF16),
    (34, Format::TQ1_0),
    (35, Format::TQ2_0),
    (39, Format::MXFP4),
];

/// The types that it does not read.
const OTHERS: [(u32, &str); 10] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (19, "IQ1_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (40, "NVFP4"),
];

/// The format of a type; its name if it is none that this engine reads.
pub(super) fn format_of(type_id: u32) -> Result<Format, String> {
    if let Some((_, format)) = FORMATS.iter().find(|(id, _)| *id == type_id) {
        return Ok(*format);
    }
    let name = OTHERS.iter().find(|(id, _)| *id == type_id).map(|(_, name)| (*name).to_owned());
    Err(name.unwrap_or_else(|| format!("GGML type {type_id}")))
}

/// The type of a format.
pub(super) fn type_of(format: Format) -> u32 {
    FORMATS.iter().find(|(_, known)| *known == format).map_or(u32::MAX, |(id, _)| *id)
}
