//! Lines and marks of a run, in pixels.

use plotters::prelude::*;

use super::PlotError;
use super::draw::{Area, broken};
use super::layout::{self, Look, Mark};

/// A line in the run's dashes.
pub fn stroke<DB: DrawingBackend>(
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
pub fn mark<DB: DrawingBackend>(
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
