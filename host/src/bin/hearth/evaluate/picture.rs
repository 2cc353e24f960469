//! The frontier as a picture.

use hearth_engine::Error;
use plotters::prelude::*;

use super::frontier::Point;

const SIZE: (u32, u32) = (840, 520);

/// Divergence, on a scale of powers, over bits a weight, as SVG.
pub fn draw(points: &[Point]) -> Result<String, Error> {
    let mut svg = String::new();
    draw_into(points, &mut svg).map_err(|error| Error::invalid("the picture", error))?;
    Ok(svg)
}

fn draw_into(points: &[Point], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let bits = points.iter().map(|point| point.bits_per_weight).fold(1.0, f64::max);
    // A model that lost nothing has no place on such a scale: it lies at the bottom.
    let least = points.iter().map(|point| point.kl_mean).filter(|kl| *kl > 0.0).fold(1e-1, f64::min) / 2.0;
    let most = points.iter().map(|point| point.kl_mean).fold(least * 10.0, f64::max) * 2.0;
    let mut chart = ChartBuilder::on(&root)
        .caption("Divergence from the reference over size", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..bits * 1.25, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("bits a weight, whole model")
        .y_desc("mean KL divergence, nats")
        .y_label_formatter(&|kl| format!("{kl:.0e}"))
        .draw()?;
    let at = |point: &Point| (point.bits_per_weight, point.kl_mean.max(least));
    chart.draw_series(points.iter().map(|point| Circle::new(at(point), 4, BLUE.filled())))?;
    let name = |point: &Point| point.model.rsplit('/').next().unwrap_or_default().to_owned();
    let label = |point: &Point| EmptyElement::at(at(point)) + Text::new(name(point), (8, -6), ("sans-serif", 12));
    chart.draw_series(points.iter().map(label))?;
    root.present()?;
    Ok(())
}
