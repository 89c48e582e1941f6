//! The legend: which dashes and marks are which run.

use plotters::prelude::*;

use super::draw::{Area, FAMILY, SIZE, broken};
use super::marks::{mark, stroke};
use super::{Curve, PlotError, layout};

/// Lines of the legend; the rest is counted.
const MAX_LEGEND_LINES: usize = 20;
const GREY: RGBColor = RGBColor(90, 90, 90);

/// In the upper right corner, where curves that fall leave room.
pub fn legend<DB: DrawingBackend>(
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
