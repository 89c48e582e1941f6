//! The picture: axes by plotters, curves, marks and legend in pixels.

use plotters::coord::Shift;
use plotters::coord::ranged1d::AsRangedCoord;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::layout::{self, Look, Mark};
use super::{Curve, PlotError, Scale};

/// Size at scale 1, in pixels.
const SIZE: (u32, u32) = (1_000, 620);
/// A PNG has no resolution of its own: twice the pixels stay sharp.
const PNG_SCALE: u32 = 2;
/// Marks along a curve; they sit at other places in every curve.
const MARKS_PER_CURVE: usize = 8;
/// Lines of the legend; the rest is counted.
const MAX_LEGEND_LINES: usize = 20;

/// Letters of ASCII from DejaVu Sans: the picture does not depend on the machine's fonts.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-latin.ttf");
const FAMILY: &str = "sans-serif";
const GREY: RGBColor = RGBColor(90, 90, 90);
const GRID: RGBColor = RGBColor(222, 222, 222);

/// As SVG.
pub fn svg(curves: &[Curve], scale: Scale) -> Result<String, PlotError> {
    let mut text = String::new();
    draw(
        SVGBackend::with_string(&mut text, SIZE).into_drawing_area(),
        curves,
        scale,
        1,
    )?;
    Ok(text)
}

/// As PNG.
pub fn png(curves: &[Curve], scale: Scale) -> Result<Vec<u8>, PlotError> {
    let (width, height) = (SIZE.0 * PNG_SCALE, SIZE.1 * PNG_SCALE);
    let mut pixels = vec![255; (width * height * 3) as usize];
    let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
    draw(area, curves, scale, PNG_SCALE)?;
    super::png::encode(width, height, &pixels).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw {
        reason: error.to_string(),
    }
}

type Area<DB> = DrawingArea<DB, Shift>;

fn draw<DB: DrawingBackend>(
    area: Area<DB>,
    curves: &[Curve],
    scale: Scale,
    zoom: u32,
) -> Result<(), PlotError> {
    register_font(FAMILY, FontStyle::Normal, FONT)
        .map_err(|_| broken("the embedded font is damaged"))?;
    area.fill(&WHITE).map_err(broken)?;
    let (x, y) = layout::ranges(curves, scale);
    match scale {
        Scale::Linear => frame(&area, curves, x.0..x.1, y, &in_bytes, zoom)?,
        Scale::Log => frame(
            &area,
            curves,
            (x.0..x.1).log_scale(),
            y,
            &in_round_bytes,
            zoom,
        )?,
    }
    legend(&area, curves, zoom)?;
    area.present().map_err(broken)
}

/// Axes, then every curve in the pixels of these axes.
fn frame<DB: DrawingBackend, X>(
    area: &Area<DB>,
    curves: &[Curve],
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
    let mut chart = ChartBuilder::on(area)
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
        .y_label_formatter(&|bpb| format!("{bpb:.1}"))
        .draw()
        .map_err(broken)?;
    let left_x = chart.plotting_area().get_x_range().start;
    for (index, curve) in curves.iter().enumerate() {
        let look = layout::look(index);
        let pixel = |point: (f64, f64)| {
            let (x, y) = chart.backend_coord(&point);
            (f64::from(x), f64::from(y))
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

fn stroke<DB: DrawingBackend>(
    area: &Area<DB>,
    line: &[(f64, f64)],
    look: Look,
    zoom: u32,
) -> Result<(), PlotError> {
    let style = look.colour.stroke_width(2 * zoom);
    for part in layout::strokes(line, look.dashes, f64::from(zoom)) {
        let path: Vec<(i32, i32)> = part.into_iter().map(whole).collect();
        area.draw(&PathElement::new(path, style)).map_err(broken)?;
    }
    Ok(())
}

fn whole((x, y): (f64, f64)) -> (i32, i32) {
    (x.round() as i32, y.round() as i32)
}

/// One mark; held-out marks are large and open.
fn mark<DB: DrawingBackend>(
    area: &Area<DB>,
    (x, y): (f64, f64),
    look: Look,
    radius: f64,
    is_filled: bool,
    zoom: u32,
) -> Result<(), PlotError> {
    let r = radius * f64::from(zoom);
    let outline = look.colour.stroke_width(2 * zoom);
    let closed = |corners: &[(f64, f64)]| -> Vec<(i32, i32)> {
        let first = corners.first().into_iter();
        let corners = corners.iter().chain(first);
        corners
            .map(|(dx, dy)| whole((x + dx * r, y + dy * r)))
            .collect()
    };
    let polygon = |corners: &[(f64, f64)]| {
        let inside = if is_filled { look.colour } else { WHITE };
        area.draw(&Polygon::new(closed(corners), inside.filled()))
            .and_then(|()| area.draw(&PathElement::new(closed(corners), outline)))
            .map_err(broken)
    };
    let lines = |ends: [[(f64, f64); 2]; 2]| {
        for end in ends {
            let ends = end.map(|(dx, dy)| whole((x + dx * r, y + dy * r)));
            let path = PathElement::new(ends.to_vec(), outline);
            area.draw(&path).map_err(broken)?;
        }
        Ok(())
    };
    match look.mark {
        Mark::Circle => {
            let inside = if is_filled { look.colour } else { WHITE };
            let circle = |style| Circle::new(whole((x, y)), r.round() as i32, style);
            area.draw(&circle(inside.filled()))
                .and_then(|()| area.draw(&circle(outline)))
                .map_err(broken)
        }
        Mark::Square => polygon(&[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]),
        Mark::Triangle => polygon(&[(0.0, -1.1), (1.05, 0.8), (-1.05, 0.8)]),
        Mark::Wedge => polygon(&[(0.0, 1.1), (1.05, -0.8), (-1.05, -0.8)]),
        Mark::Diamond => polygon(&[(0.0, -1.2), (1.1, 0.0), (0.0, 1.2), (-1.1, 0.0)]),
        Mark::Cross => lines([[(-1.0, -1.0), (1.0, 1.0)], [(-1.0, 1.0), (1.0, -1.0)]]),
        Mark::Plus => lines([[(-1.2, 0.0), (1.2, 0.0)], [(0.0, -1.2), (0.0, 1.2)]]),
    }
}

/// In the upper right corner, where curves that fall leave room.
fn legend<DB: DrawingBackend>(
    area: &Area<DB>,
    curves: &[Curve],
    zoom: u32,
) -> Result<(), PlotError> {
    let z = |length: i32| length * zoom as i32;
    let shown = curves.len().min(MAX_LEGEND_LINES);
    let mut lines: Vec<String> = curves
        .iter()
        .take(shown)
        .map(|curve| format!("{}  {:.4}", curve.name, curve.total_bpb))
        .collect();
    if curves.len() > shown {
        lines.push(format!("{} more", curves.len() - shown));
    }
    let notes = [
        "figures: bits per byte, whole stream",
        "open marks: held-out text, before (left)",
        "and after training (right)",
    ];
    let font = (FAMILY, 13 * zoom).into_font();
    let small = (FAMILY, 11 * zoom).into_font();
    let mut width = 0;
    for (text, font) in lines
        .iter()
        .map(|line| (line.as_str(), &font))
        .chain(notes.iter().map(|note| (*note, &small)))
    {
        let (size, _) = font.box_size(text).map_err(broken)?;
        width = width.max(size as i32);
    }
    let (line_height, note_height) = (z(20), z(15));
    let width = width + z(72);
    let height = lines.len() as i32 * line_height + notes.len() as i32 * note_height + z(12);
    let right = (SIZE.0 * zoom) as i32 - z(50);
    let (left, top) = (right - width, z(28));
    let frame = [(left, top), (right, top + height)];
    area.draw(&Rectangle::new(frame, WHITE.filled()))
        .and_then(|()| area.draw(&Rectangle::new(frame, GREY.stroke_width(zoom))))
        .map_err(broken)?;
    let mut y = top + z(17);
    for (index, line) in lines.iter().enumerate() {
        if index < shown {
            let look = layout::look(index);
            let (from, to) = (f64::from(left + z(10)), f64::from(left + z(52)));
            stroke(
                area,
                &[(from, f64::from(y)), (to, f64::from(y))],
                look,
                zoom,
            )?;
            mark(
                area,
                ((from + to) / 2.0, f64::from(y)),
                look,
                4.0,
                true,
                zoom,
            )?;
        }
        let text = Text::new(line.as_str(), (left + z(62), y - z(5)), font.clone());
        area.draw(&text).map_err(broken)?;
        y += line_height;
    }
    for note in notes {
        let place = (left + z(10), y - z(8));
        let text = Text::new(note, place, small.clone().color(&GREY));
        area.draw(&text).map_err(broken)?;
        y += note_height;
    }
    Ok(())
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
        for (count, scale) in [(1, Scale::Linear), (8, Scale::Log), (40, Scale::Linear)] {
            let text = svg(&curves(count), scale).unwrap();
            assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"));
            assert!(text.contains("run-0 &lt;&amp;&gt;"), "names are escaped");
            assert_eq!(text, svg(&curves(count), scale).unwrap());
            let image = png(&curves(count), scale).unwrap();
            assert!(image.starts_with(b"\x89PNG") && image.len() > 10_000);
            assert_eq!(image, png(&curves(count), scale).unwrap());
        }
    }

    #[test]
    fn one_point_is_a_picture_too() {
        let mut one = curves(1);
        one[0].points.truncate(1);
        one[0].twin_bpb = None;
        for scale in [Scale::Linear, Scale::Log] {
            svg(&one, scale).unwrap();
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
