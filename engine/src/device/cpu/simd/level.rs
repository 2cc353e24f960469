//! Which instruction sets there are, and which of them this machine has.

use super::{Integers, Task, integers::IntegerTask, scalar::Scalar};
#[cfg(target_arch = "x86_64")]
use super::{
    avx2::Avx2,
    avx512::Avx512,
    integers::{Avx2Integers, Avx512Vbmi, Avx512Vnni, AvxVnni},
};
#[cfg(target_arch = "aarch64")]
use super::{
    integers::{NeonDotprod, NeonI8mm, NeonIntegers},
    neon::Neon,
};

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SimdLevel {
    /// Plain Rust, as the compiler sees fit.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C (2013 and later).
    Avx2,
    /// The same, and AVX-VNNI for products of bytes (2021 and later).
    AvxVnni,
    /// x86-64 with AVX-512 F; products of bytes as with AVX2.
    Avx512,
    /// The same with BW, and VNNI for products of bytes (2019 and later).
    Avx512Vnni,
    /// 64-bit ARM.
    Neon,
    /// The same, and ARMv8.2's products of bytes (2018 and later).
    NeonDotprod,
    /// The same, and ARMv8.6's products of matrices of bytes (2021 and later).
    NeonI8mm,
    /// WebAssembly.
    Simd128,
}

impl SimdLevel {
    /// All of them, the best last.
    pub const ALL: [Self; 9] = [
        Self::Scalar,
        Self::Avx2,
        Self::AvxVnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Neon,
        Self::NeonDotprod,
        Self::NeonI8mm,
        Self::Simd128,
    ];

    /// The best that this machine has.
    pub fn detect() -> Self {
        Self::ALL.into_iter().rfind(|level| level.is_available()).unwrap_or(Self::Scalar)
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => Avx2::detect().is_some() && AvxVnni::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512::detect().is_some() && Avx512Vnni::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => Neon::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => Neon::detect().is_some() && NeonDotprod::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => Neon::detect().is_some() && NeonI8mm::detect().is_some(),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => true,
            #[allow(unreachable_patterns, reason = "no target has all of them")]
            _ => false,
        }
    }

    /// For a person, and for the report of a probe.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDotprod => "neon-dotprod",
            Self::NeonI8mm => "neon-i8mm",
            Self::Simd128 if cfg!(target_feature = "relaxed-simd") => "simd128-relaxed",
            Self::Simd128 => "simd128",
        }
    }

    /// What its products add to weights with a sign; see [`Integers::BIAS`].
    pub(crate) fn bias(self) -> i32 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => AvxVnni::BIAS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512Vnni::BIAS,
            // The others multiply bytes with a sign.
            _ => Scalar::BIAS,
        }
    }

    /// How many groups its products read at the same time; see [`Integers::STREAMS`].
    pub(crate) fn streams(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni | Self::Avx512 => Avx2Integers::STREAMS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => Avx512Vnni::STREAMS,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => super::simd128::Simd128::STREAMS,
            _ => Scalar::STREAMS,
        }
    }

    /// Does the work with it, or in plain Rust where this machine has it not. Those that differ in their products of
    /// bytes alone are one here.
    pub(crate) fn run(self, task: impl Task) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::AvxVnni => {
                if let Some(simd) = Avx2::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx512Vnni => {
                if let Some(simd) = Avx512::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon | Self::NeonDotprod | Self::NeonI8mm => {
                if let Some(simd) = Neon::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => return task.run(super::simd128::Simd128),
            _ => {}
        }
        task.run(Scalar);
    }

    /// The same for work on the windows of a trellis, for which one more instruction is worth code of its own.
    pub(crate) fn run_windows(self, task: impl IntegerTask) {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx512Vnni
            && let Some(simd) = Avx512Vbmi::detect()
        {
            return simd.run(task);
        }
        self.run_integers(task);
    }

    /// The same for work on whole numbers.
    pub(crate) fn run_integers(self, task: impl IntegerTask) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 | Self::Avx512 => {
                if let Some(simd) = Avx2Integers::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => {
                if let Some(simd) = AvxVnni::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                if let Some(simd) = Avx512Vnni::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => {
                if let Some(simd) = NeonIntegers::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::NeonDotprod => {
                if let Some(simd) = NeonDotprod::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(target_arch = "aarch64")]
            Self::NeonI8mm => {
                if let Some(simd) = NeonI8mm::detect() {
                    return simd.run(task);
                }
            }
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => return task.run(super::simd128::Simd128),
            _ => {}
        }
        task.run(Scalar);
    }
}
