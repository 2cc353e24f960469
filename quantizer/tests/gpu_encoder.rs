//! Tiles encoded on a GPU: the very bytes of the encoder in Rust.

use hearth_engine::{
    Error,
    device::{GpuDevice, GpuOptions, Serial},
    quant::trellis::{Code, Codebook, TILE_WEIGHTS, tile_bytes},
};
use hearth_quantizer::{
    GpuEncoder,
    linear::{Feedback, Hessian, Rounding, quantize},
    random::Random,
    trellis::{EncodesTiles, Scratch, Trellis},
};

/// A GPU whose kernels find numbers in shared memory that nobody wrote. None only where a machine is said to have none.
fn gpu() -> Option<GpuDevice> {
    let options = GpuOptions { fill_shared: Some(f32::NAN.to_bits()), ..GpuOptions::default() };
    match pollster::block_on(GpuDevice::open(&options)) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(std::env::var_os("HEARTH_TEST_NO_GPU").is_some(), "{error}; or set HEARTH_TEST_NO_GPU=1");
            None
        }
    }
}

fn trellis(bits: u32, window_bits: u32) -> Trellis {
    Trellis::new(bits, Code::new(Codebook::Sum7, window_bits).unwrap()).unwrap()
}

/// Gaussian numbers; one tile of zeros, whose ways all cost the same; one of numbers that no level reaches.
fn tiles() -> Vec<[f32; TILE_WEIGHTS]> {
    let mut random = Random::new(11);
    let mut tiles: Vec<[f32; TILE_WEIGHTS]> = (0..3).map(|_| std::array::from_fn(|_| random.normal() as f32)).collect();
    tiles.push([0.0; TILE_WEIGHTS]);
    tiles.push(std::array::from_fn(|at| if at % 3 == 0 { 1e9 } else { -7.5 }));
    tiles
}

#[test]
fn a_gpu_finds_the_same_rings() {
    let Some(gpu) = gpu() else { return };
    let encoder = GpuEncoder::new(gpu);
    for bits in 2..=6 {
        for seam in [1, 32, 128] {
            let trellis = trellis(bits, 12).with_seam_weights(seam);
            let targets: Vec<u16> = tiles().iter().flat_map(|numbers| trellis.targets(numbers)).collect();
            let found = encoder.encode(&trellis, &targets).unwrap_or_else(|| panic!("{:?}", encoder.fault()));
            let rings = found.chunks_exact(tile_bytes(bits));
            assert_eq!(rings.len(), tiles().len());
            for (at, (ring, targets)) in rings.zip(targets.as_chunks::<TILE_WEIGHTS>().0).enumerate() {
                let mut expected = vec![0; tile_bytes(bits)];
                trellis.encode_targets(targets, &mut Scratch::default(), &mut expected);
                assert_eq!(ring, expected, "{bits} bits, {seam} weights at the seam, tile {at}");
            }
        }
    }
}

#[test]
fn a_matrix_is_the_same_whoever_encodes_it() {
    const COLUMNS: usize = 32;
    let Some(gpu) = gpu() else { return };
    let encoder = GpuEncoder::new(gpu);
    let mut random = Random::new(12);
    let weights: Vec<f32> = (0..40 * COLUMNS).map(|_| random.normal() as f32).collect();
    let inputs: Vec<f32> = (0..100 * COLUMNS).map(|at| random.normal() as f32 + (at / COLUMNS) as f32 * 0.01).collect();
    let mut hessian = Hessian::new(COLUMNS);
    hessian.add(&Serial, &inputs);
    let feedback = Feedback::new(&Serial, &hessian, 0.01);
    for window_bits in [12, 14] {
        let trellis = trellis(3, window_bits);
        let [alone, helped] = [None, Some(&encoder as &dyn EncodesTiles)].map(|encoder| {
            let is_cancelled = &|| false;
            let (trellis, hessian, feedback) = (&trellis, &hessian, &feedback);
            let rounding = Rounding { trellis, hessian, feedback, encoder, tries_scales: false, is_cancelled };
            quantize(&Serial, &rounding, &weights).unwrap()
        });
        assert_eq!(alone, helped, "{window_bits}");
        assert_eq!(encoder.fault(), None);
    }
}

#[test]
fn what_a_gpu_cannot_encode_it_says() {
    let Some(mut gpu) = gpu() else { return };
    let levels = trellis(2, 12).levels().to_vec();
    for (bits, levels, seam) in
        [(1, &levels[..], 32), (7, &levels, 32), (2, &levels[1..], 32), (2, &levels, 0), (2, &levels, 129)]
    {
        let made = pollster::block_on(gpu.tile_encoder(bits, levels, seam));
        assert!(matches!(made, Err(Error::InvalidRequest { .. })), "{bits} bits, {seam} weights");
    }
    let mut encoder = pollster::block_on(gpu.tile_encoder(2, &levels, 32)).unwrap();
    assert!(pollster::block_on(encoder.encode(&[0; 255])).is_err());
    assert_eq!(pollster::block_on(encoder.encode(&[])), Ok(Vec::new()));
}
