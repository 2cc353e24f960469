//! The frontier as a picture.

use hearth_engine::{
    Error,
    protocol::{FrontierPoint, Quantizer},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::frontier::last;

const SIZE: (u32, u32) = (880, 560);
const OURS: RGBColor = RGBColor(0xad, 0x44, 0x0c);
const OTHERS: RGBColor = RGBColor(0x2f, 0x5d, 0x8a);
const INK: RGBColor = RGBColor(0x2a, 0x24, 0x20);
const GRID: RGBColor = RGBColor(0xe2, 0xd8, 0xca);

/// Who made a model, its colour, and whether its points are joined: those of one quantizer lie on one line.
const SERIES: [(Quantizer, &str, RGBColor, bool); 3] = [
    (Quantizer::Hearth, "hearth quantize", OURS, true),
    (Quantizer::Gguf, "GGUF files", OTHERS, false),
    (Quantizer::None, "not quantised", INK, false),
];

/// Divergence, on a scale of powers, over bits a weight, as SVG.
pub fn draw(points: &[FrontierPoint]) -> Result<String, Error> {
    let mut svg = String::new();
    draw_into(points, &mut svg).map_err(|error| Error::invalid("the picture", error))?;
    Ok(svg)
}

fn draw_into(points: &[FrontierPoint], svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let bits = || points.iter().map(|point| point.bits_per_weight);
    let (fewest, most_bits) = (bits().fold(f64::MAX, f64::min), bits().fold(1.0, f64::max));
    // A model that lost nothing has no place on such a scale: it lies at the bottom.
    let losses = || points.iter().map(|point| point.kl_mean).filter(|kl| *kl > 0.0);
    let least = losses().fold(1e-1, f64::min) / 1.8;
    let most = losses().fold(least * 10.0, f64::max) * 1.8;
    // The last label needs room on its right.
    let across = (fewest.min(most_bits) - 0.5).max(0.0)..most_bits + 0.14 * (most_bits - fewest) + 0.5;
    let mut chart = ChartBuilder::on(&root)
        .caption("What fewer bits cost", ("sans-serif", 20).into_font().color(&INK))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(across, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(("sans-serif", 13).into_font().color(&INK))
        .x_desc("bits a weight, whole model")
        .y_desc("mean divergence from the reference, nats")
        .x_label_formatter(&|bits| format!("{bits:.1}"))
        .y_label_formatter(&|kl| shown(*kl))
        .draw()?;
    for (quantizer, name, colour, is_joined) in SERIES {
        let mut series: Vec<&FrontierPoint> = points.iter().filter(|point| point.quantizer == quantizer).collect();
        if series.is_empty() {
            continue;
        }
        series.sort_by(|one, other| one.bits_per_weight.total_cmp(&other.bits_per_weight));
        let at = |point: &FrontierPoint| (point.bits_per_weight, point.kl_mean.max(least));
        if is_joined {
            let corners: Vec<(f64, f64)> = series.iter().map(|point| at(point)).collect();
            chart.draw_series([PathElement::new(corners, colour.stroke_width(2))])?;
        }
        let dots = chart.draw_series(series.iter().map(|point| Circle::new(at(point), 5, colour.filled())))?;
        dots.label(name).legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled()));
        // Ours lie below the others, and so do their names.
        let (place, anchor) = match is_joined {
            true => ((-9, 4), Pos::new(HPos::Right, VPos::Top)),
            false => ((9, -4), Pos::new(HPos::Left, VPos::Bottom)),
        };
        let font = ("sans-serif", 13).into_font().color(&colour).pos(anchor);
        let label =
            |point: &&FrontierPoint| EmptyElement::at(at(point)) + Text::new(called(&point.model), place, font.clone());
        chart.draw_series(series.iter().map(label))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(12)
        .border_style(GRID)
        .background_style(WHITE)
        .label_font(("sans-serif", 14).into_font().color(&INK))
        .draw()?;
    root.present()?;
    Ok(())
}

/// A model's name without what all of them have.
fn called(model: &str) -> String {
    let name = last(model);
    name.strip_suffix(".gguf").unwrap_or(name).to_owned()
}

/// A number on a scale of powers: 0.02, 0.3, 1, 20.
fn shown(number: f64) -> String {
    let digits = (-number.log10()).ceil().clamp(0.0, 9.0) as usize;
    format!("{number:.digits$}")
}
