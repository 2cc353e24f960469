//! How well the trellis holds a Gaussian source, and how long its encoder takes:
//! `cargo run --release -p hearth-quantizer --example gaussian -- [tiles] [seam] [L]`.
#![allow(clippy::print_stdout, reason = "a measurement is for reading")]

use std::time::Instant;

use hearth_engine::quant::trellis::{Code, Codebook, TILE_WEIGHTS, WINDOW_BITS, decode_tile, tile_bytes};
use hearth_quantizer::{
    random::Random,
    trellis::{SEAM_WEIGHTS, Scratch, Trellis},
};

fn main() -> hearth_engine::Result<()> {
    let mut given = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let (tiles, seam) = (given.next().unwrap_or(24), given.next().unwrap_or(SEAM_WEIGHTS));
    let only = given.next().and_then(|only| u32::try_from(only).ok());
    println!("{tiles} tiles, {seam} weights on each side of the seam");
    println!("code  L  K  scale    MSE      ms/tile  ns/branch");
    for codebook in Codebook::ALL {
        for window_bits in WINDOW_BITS.into_iter().filter(|window_bits| only.is_none_or(|only| only == *window_bits)) {
            for bits in 2..=6 {
                let code = Code::new(codebook, window_bits)?;
                let trellis = Trellis::new(bits, code)?.with_seam_weights(seam);
                let (mut best, mut tile_ms) = ((f64::INFINITY, 0.0), f64::INFINITY);
                for scale in [0.8f32, 0.84, 0.88, 0.92, 0.96, 1.0, 1.04, 1.08, 1.12] {
                    let started = Instant::now();
                    let found = error(&trellis, scale, tiles);
                    tile_ms = tile_ms.min(started.elapsed().as_secs_f64() * 1e3 / tiles as f64);
                    best = if found < best.0 { (found, scale) } else { best };
                }
                let branches = (TILE_WEIGHTS + 2 * seam) as f64 * f64::from(1u32 << window_bits);
                let (name, branch_ns) = (codebook.name(), tile_ms * 1e6 / branches);
                println!(
                    "{name} {window_bits:2} {bits:2}  {:.2}  {:.6}  {tile_ms:8.3}  {branch_ns:.3}",
                    best.1, best.0
                );
            }
        }
    }
    Ok(())
}

/// Mean squared error of tiles of the normal distribution, as a part of their mean square.
fn error(trellis: &Trellis, scale: f32, tiles: usize) -> f64 {
    let (mut random, mut scratch, mut sum, mut square) = (Random::new(7), Scratch::default(), 0.0, 0.0);
    let mut ring = vec![0; tile_bytes(trellis.bits())];
    for _ in 0..tiles {
        let numbers: [f32; TILE_WEIGHTS] = std::array::from_fn(|_| random.normal() as f32);
        trellis.encode(&numbers.map(|number| number / scale), &mut scratch, &mut ring);
        let decoded = decode_tile(trellis.bits(), trellis.code(), &ring);
        let unit = scale * trellis.code().codebook.unit();
        for (number, decoded) in numbers.iter().zip(decoded) {
            sum += f64::from(number - unit * f32::from(decoded)).powi(2);
            square += f64::from(number * number);
        }
    }
    sum / square
}
