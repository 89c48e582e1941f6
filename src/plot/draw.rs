//! The picture: axes by plotters, curves and marks in their pixels.

use plotters::coord::Shift;
use plotters::coord::ranged1d::AsRangedCoord;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::layout;
use super::legend::legend;
use super::marks::{mark, stroke};
use super::{Curve, PlotError, Scale};

/// Size at scale 1, in pixels.
pub(super) const SIZE: (u32, u32) = (1_000, 620);
/// A PNG has no resolution of its own: twice the pixels stay sharp.
const PNG_SCALE: u32 = 2;
/// Marks along a curve; they sit at other places in every curve.
const MARKS_PER_CURVE: usize = 8;

/// Letters of ASCII from DejaVu Sans: the picture does not depend on the machine's fonts.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-latin.ttf");
pub(super) const FAMILY: &str = "sans-serif";
const GRID: RGBColor = RGBColor(222, 222, 222);

/// One pair of axes.
#[derive(Debug)]
pub struct Axes {
    /// Above them; empty: nothing.
    pub title: String,
    pub curves: Vec<Curve>,
}

/// As SVG: all axes, one below the other.
pub fn svg(axes: &[Axes], scale: Scale) -> Result<String, PlotError> {
    let mut text = String::new();
    let size = (SIZE.0, SIZE.1 * rows(axes));
    draw(
        SVGBackend::with_string(&mut text, size).into_drawing_area(),
        axes,
        scale,
        1,
    )?;
    Ok(text)
}

fn rows(axes: &[Axes]) -> u32 {
    u32::try_from(axes.len()).unwrap_or(u32::MAX).max(1)
}

/// As PNG.
pub fn png(axes: &[Axes], scale: Scale) -> Result<Vec<u8>, PlotError> {
    let (width, height) = (SIZE.0 * PNG_SCALE, SIZE.1 * PNG_SCALE * rows(axes));
    let mut pixels = vec![255; (width * height * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
    draw(area, axes, scale, PNG_SCALE)?;
    super::png::encode(width, height, &pixels).map_err(broken)
}

pub(super) fn broken(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw {
        reason: error.to_string(),
    }
}

/// The whole picture, in pixels.
pub(super) type Area<DB> = DrawingArea<DB, Shift>;

fn draw<DB: DrawingBackend>(
    area: Area<DB>,
    axes: &[Axes],
    scale: Scale,
    zoom: u32,
) -> Result<(), PlotError> {
    register_font(FAMILY, FontStyle::Normal, FONT)
        .map_err(|_| broken("the embedded font is damaged"))?;
    area.fill(&WHITE).map_err(broken)?;
    let parts = area.split_evenly((axes.len().max(1), 1));
    for (part, axes) in parts.iter().zip(axes) {
        let (x, y) = layout::ranges(&axes.curves, scale);
        match scale {
            Scale::Linear => frame(part, axes, x.0..x.1, y, &in_bytes, zoom)?,
            Scale::Log => {
                let x = (x.0..x.1).log_scale();
                frame(part, axes, x, y, &in_round_bytes, zoom)?;
            }
        }
        legend(part, &axes.curves, zoom)?;
    }
    area.present().map_err(broken)
}

/// Axes, then every curve in the pixels of these axes.
fn frame<DB: DrawingBackend, X>(
    area: &Area<DB>,
    axes: &Axes,
    x: X,
    y: (f64, f64),
    x_label: &dyn Fn(f64) -> String,
    zoom: u32,
) -> Result<(), PlotError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let font = |size: u32| (FAMILY, size * zoom).into_font();
    // Curves that lie close together: no label twice.
    let decimals = if y.1 - y.0 < 0.8 { 2 } else { 1 };
    let mut builder = ChartBuilder::on(area);
    if !axes.title.is_empty() {
        builder.caption(&axes.title, font(17));
    }
    let mut chart = builder
        .margin(14 * zoom)
        .margin_top(20 * zoom)
        .margin_right(34 * zoom)
        .x_label_area_size(44 * zoom)
        .y_label_area_size(58 * zoom)
        .build_cartesian_2d(x, y.0..y.1)
        .map_err(broken)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(zoom))
        .axis_style(BLACK.stroke_width(zoom))
        .label_style(font(13))
        .axis_desc_style(font(15))
        .x_desc("text predicted so far, bytes")
        .y_desc("bits per byte")
        .x_label_formatter(&|bytes| x_label(*bytes))
        .y_label_formatter(&|bpb| format!("{bpb:.decimals$}"))
        .draw()
        .map_err(broken)?;
    let left_x = chart.plotting_area().get_x_range().start;
    // Places on axes are those of the whole picture, marks are drawn in this part of it.
    let corner = area.get_base_pixel();
    for (index, curve) in axes.curves.iter().enumerate() {
        let look = layout::look(index);
        let pixel = |point: (f64, f64)| {
            let (x, y) = chart.backend_coord(&point);
            (f64::from(x - corner.0), f64::from(y - corner.1))
        };
        let line: Vec<(f64, f64)> = curve.points.iter().map(|point| pixel(*point)).collect();
        stroke(area, &line, look, zoom)?;
        for place in mark_places(&line, index) {
            mark(area, place, look, 4.0, true, zoom)?;
        }
        if let Some(bpb) = curve.twin_bpb {
            mark(area, pixel((left_x, bpb)), look, 6.5, false, zoom)?;
        }
        if let (Some(bpb), Some(last)) = (curve.trained_bpb, curve.points.last()) {
            let place = pixel((last.0, bpb));
            mark(
                area,
                (place.0 + 9.0 * f64::from(zoom), place.1),
                look,
                6.5,
                false,
                zoom,
            )?;
        }
    }
    Ok(())
}

/// Evenly along the pixels, shifted from curve to curve so that marks of close curves do not cover each other.
fn mark_places(line: &[(f64, f64)], index: usize) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (line.first(), line.last()) else {
        return Vec::new();
    };
    let gap = (last.0 - first.0) / MARKS_PER_CURVE as f64;
    let shift = (index as f64 * 0.37).fract();
    (0..MARKS_PER_CURVE)
        .filter_map(|number| {
            let wanted = first.0 + gap * (number as f64 + shift);
            line.iter().copied().find(|place| place.0 >= wanted)
        })
        .collect()
}

/// On a logarithmic axis the labels of 4 and of 6 to 9 would run into each other.
fn in_round_bytes(bytes: f64) -> String {
    let text = in_bytes(bytes);
    let is_round = text.starts_with(['1', '2', '3', '5']);
    if is_round { text } else { String::new() }
}

/// `250 kB`, `1.5 MB`.
fn in_bytes(bytes: f64) -> String {
    let (value, unit) = match bytes {
        bytes if bytes >= 1e9 => (bytes / 1e9, "GB"),
        bytes if bytes >= 1e6 => (bytes / 1e6, "MB"),
        bytes if bytes >= 1e3 => (bytes / 1e3, "kB"),
        bytes => (bytes, "B"),
    };
    // three digits, and no zeros that say nothing
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if bytes == 0.0 {
        "0".to_owned()
    } else {
        format!("{text} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(count: usize) -> Vec<Curve> {
        (0..count)
            .map(|index| Curve {
                name: format!("run-{index} <&>"),
                points: (1..60)
                    .map(|step| {
                        let bytes = f64::from(step) * 1_000.0;
                        (bytes, 2.0 + index as f64 * 0.2 + 6.0 / f64::from(step))
                    })
                    .collect(),
                total_bpb: 2.5,
                twin_bpb: Some(8.1),
                trained_bpb: (index % 2 == 0).then_some(2.2),
            })
            .collect()
    }

    #[test]
    fn pictures_are_whole_and_the_same_every_time() {
        for (count, scale) in [
            (1usize, Scale::Linear),
            (8, Scale::Log),
            (40, Scale::Linear),
        ] {
            let all = || {
                let title = if count > 20 { "many" } else { "" };
                let one = |curves| Axes {
                    title: title.to_owned(),
                    curves,
                };
                (0..count.div_ceil(20))
                    .map(|_| one(curves(count)))
                    .collect::<Vec<_>>()
            };
            let text = svg(&all(), scale).unwrap();
            assert_eq!(text.contains("many"), count > 20);
            assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
            assert!(text.contains("run-0 &lt;&amp;&gt;"), "names are escaped");
            assert_eq!(text, svg(&all(), scale).unwrap());
            let image = png(&all(), scale).unwrap();
            assert!(image.starts_with(b"\x89PNG") && image.len() > 10_000);
            assert_eq!(image, png(&all(), scale).unwrap());
        }
    }

    #[test]
    fn one_point_is_a_picture_too() {
        let mut one = curves(1);
        one[0].points.truncate(1);
        one[0].twin_bpb = None;
        for scale in [Scale::Linear, Scale::Log] {
            let axes = Axes {
                title: String::new(),
                curves: one.clone(),
            };
            svg(&[axes], scale).unwrap();
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0.0, "0"),
            (5.0, "5 B"),
            (2_500.0, "2.5 kB"),
            (1e6, "1 MB"),
            (1.25e9, "1.25 GB"),
        ] {
            assert_eq!(in_bytes(bytes), text);
        }
    }
}
