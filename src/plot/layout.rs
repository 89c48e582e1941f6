//! What tells runs apart, and the ranges of the axes.

use plotters::style::RGBColor;

use super::{Curve, Scale};

/// Okabe and Ito's colours (2008), dark ones first: they differ for colour-blind eyes.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(160, 110, 0),
];

/// Lengths of strokes and gaps, in pixels at scale 1; an empty pattern is a solid line.
const DASHES: [&[f64]; 5] = [
    &[],
    &[9.0, 4.0],
    &[2.0, 3.0],
    &[11.0, 3.0, 2.0, 3.0],
    &[5.0, 2.5],
];

/// Shapes of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    Plus,
    Wedge,
}

const MARKS: [Mark; 7] = [
    Mark::Circle,
    Mark::Square,
    Mark::Triangle,
    Mark::Diamond,
    Mark::Cross,
    Mark::Plus,
    Mark::Wedge,
];

/// How a run is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    pub colour: RGBColor,
    pub dashes: &'static [f64],
    pub mark: Mark,
}

/// The look of the n-th run: dashes and marks alone repeat after 35 runs, with colours after 210.
pub fn look(index: usize) -> Look {
    Look {
        colour: COLOURS[index % COLOURS.len()],
        dashes: DASHES[index % DASHES.len()],
        mark: MARKS[index % MARKS.len()],
    }
}

/// Ranges of the two axes.
pub fn ranges(curves: &[Curve], scale: Scale) -> ((f64, f64), (f64, f64)) {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let marks = curves
        .iter()
        .flat_map(|curve| [curve.twin_bpb, curve.trained_bpb])
        .flatten();
    let y = || points().map(|point| point.1).chain(marks.clone());
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let left = match scale {
        Scale::Linear => 0.0,
        Scale::Log => points().map(|point| point.0).fold(right, f64::min) / 1.15,
    };
    let margin = match scale {
        Scale::Linear => right * 1.03,
        Scale::Log => right * 1.15,
    };
    let low = y().fold(f64::INFINITY, f64::min);
    let high = y().fold(0.0, f64::max);
    let pad = ((high - low) * 0.06).max(0.05);
    ((left, margin), ((low - pad).max(0.0), high + pad))
}

/// Cuts a line of pixels into its strokes. `phase` patterns begin with a stroke.
pub fn strokes(line: &[(f64, f64)], dashes: &[f64], scale: f64) -> Vec<Vec<(f64, f64)>> {
    if dashes.is_empty() {
        return vec![line.to_vec()];
    }
    let (mut index, mut left) = (0, dashes[0] * scale);
    let mut strokes = Vec::new();
    let mut stroke: Vec<(f64, f64)> = line.first().copied().into_iter().collect();
    for pair in line.windows(2) {
        let (mut from, to) = (pair[0], pair[1]);
        loop {
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            let is_drawn = index % 2 == 0;
            if length < left {
                left -= length;
                if is_drawn {
                    stroke.push(to);
                }
                break;
            }
            let part = left / length.max(f64::MIN_POSITIVE);
            from = (
                from.0 + (to.0 - from.0) * part,
                from.1 + (to.1 - from.1) * part,
            );
            if is_drawn {
                stroke.push(from);
                strokes.push(std::mem::take(&mut stroke));
            } else {
                stroke = vec![from];
            }
            index = (index + 1) % dashes.len();
            left = dashes[index] * scale;
        }
    }
    if stroke.len() > 1 {
        strokes.push(stroke);
    }
    strokes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_differ_without_colour() {
        let plain: std::collections::BTreeSet<String> = (0..35)
            .map(|index| format!("{:?}{:?}", look(index).dashes, look(index).mark))
            .collect();
        assert_eq!(plain.len(), 35);
    }

    #[test]
    fn strokes_follow_the_pattern_around_corners() {
        let line = [(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)];
        let found = strokes(&line, &[8.0, 4.0], 1.0);
        assert_eq!(
            found,
            [
                vec![(0.0, 0.0), (8.0, 0.0)],
                vec![(10.0, 2.0), (10.0, 10.0)],
            ]
        );
        assert_eq!(strokes(&line, &[], 1.0), [line.to_vec()]);
        assert!(strokes(&[], &[8.0, 4.0], 1.0).is_empty());
    }
}
