//! Runs that are too good to be taken as they are: a person looks at them before they are ranked.

use super::paired::Curve;

/// Places along the stream where learning is compared with the references: each eighth of the text.
const PLACES: u32 = 8;

/// What is beyond belief.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Prequential bits per byte that no run from scratch reaches.
    pub floor_bpb: f64,
    /// How much lower than the best reference the bits per byte may be at any place.
    pub margin_bpb: f64,
}

/// Why a run is held, or nothing. `references` are runs whose learning is believed.
pub fn too_good(run: &Curve, references: &[Curve], bounds: &Bounds) -> Option<String> {
    let bpb = |curve: &Curve, bytes: f64| curve.bits_at(bytes) / bytes;
    let total = run.total_bytes() as f64;
    if total <= 0.0 {
        return None;
    }
    let whole = bpb(run, total);
    if whole < bounds.floor_bpb {
        return Some(format!(
            "{whole:.4} bits per byte, below the floor of {}",
            bounds.floor_bpb
        ));
    }
    (1..=PLACES).find_map(|place| {
        let bytes = total * f64::from(place) / f64::from(PLACES);
        // a reference over less text says nothing about what comes after it
        let best = references
            .iter()
            .filter(|reference| reference.total_bytes() as f64 >= bytes)
            .map(|reference| bpb(reference, bytes))
            .min_by(f64::total_cmp)?;
        let here = bpb(run, bytes);
        (here < best - bounds.margin_bpb).then(|| {
            format!(
                "{here:.4} bits per byte over the first {bytes:.0} bytes, where the best reference needs {best:.4}: more than {} better",
                bounds.margin_bpb
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::stream_rows::{OnlineRow, nats_to_q32};
    use super::*;

    /// 80 steps of 1,000 bytes; `bits(step)` bits a byte.
    fn curve(steps: u32, bits: impl Fn(u32) -> f64) -> Curve {
        let rows: Vec<OnlineRow> = (0..steps)
            .map(|step| OnlineRow {
                step,
                bytes: 1_000,
                nats_q32: nats_to_q32(1_000.0 * bits(step) * std::f64::consts::LN_2).unwrap(),
                ..OnlineRow::default()
            })
            .collect();
        Curve::of(&rows)
    }

    #[test]
    fn the_floor_and_the_references_hold_a_run() {
        let bounds = Bounds {
            floor_bpb: 0.5,
            margin_bpb: 0.3,
        };
        let learned = |step: u32| 2.0 + 4.0 / f64::from(step + 1);
        let references = [curve(80, learned), curve(40, |_| 1.0)];
        for (name, run, reason) in [
            ("as the reference", curve(80, learned), None),
            (
                "a little better",
                curve(80, |step| learned(step) - 0.2),
                None,
            ),
            (
                "below the floor",
                curve(80, |_| 0.4),
                Some("below the floor"),
            ),
            // the second reference covers the first half: 1.0 is as good as it there, too good after it
            (
                "too fast later",
                curve(80, |_| 1.0),
                Some("first 50000 bytes"),
            ),
            (
                "too fast at once",
                curve(80, |_| 0.6),
                Some("first 10000 bytes"),
            ),
            ("nothing charged", Curve::default(), None),
        ] {
            let found = too_good(&run, &references, &bounds);
            match reason {
                None => assert_eq!(found, None, "{name}"),
                Some(reason) => assert!(found.unwrap().contains(reason), "{name}"),
            }
        }
        assert_eq!(too_good(&curve(80, |_| 0.6), &[], &bounds), None);
    }
}
