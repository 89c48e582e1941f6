//! Times of acceptance, as manifests and indexes write them.

use std::time::UNIX_EPOCH;

/// Numbers from here on are milliseconds: as seconds they would lie after the year 5000.
const MILLISECONDS_FROM: f64 = 1e11;

/// Milliseconds since 1970 of a number: seconds, or milliseconds when it is too large for them.
pub fn unix_ms_of_number(number: f64) -> Option<u64> {
    let ms = if number < MILLISECONDS_FROM {
        number * 1_000.0
    } else {
        number
    };
    // 2^53: the first whole number that f64 does not tell from the next
    (0.0..=9_007_199_254_740_992.0)
        .contains(&ms)
        .then(|| ms.round() as u64)
}

/// Milliseconds since 1970 of a text: RFC 3339 with `Z` or an offset, without either UTC; or a number as a text.
pub fn unix_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return unix_ms_of_number(number);
    }
    let (clock, offset_minutes) = split_offset(text)?;
    let time = humantime::parse_rfc3339_weak(clock).ok()?;
    let ms = i128::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    u64::try_from(ms - i128::from(offset_minutes) * 60_000).ok()
}

/// The time without its offset, and the offset in minutes.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let Some(at) = text
        .char_indices()
        .skip(11)
        .find_map(|(at, letter)| matches!(letter, '+' | '-').then_some(at))
    else {
        return Some((text.strip_suffix(['Z', 'z']).unwrap_or(text), 0));
    };
    let (clock, offset) = text.split_at(at);
    let digits: String = offset
        .chars()
        .skip(1)
        .filter(|letter| *letter != ':')
        .collect();
    if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some((
        clock,
        if offset.starts_with('-') {
            -minutes
        } else {
            minutes
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        let noon = 1_795_262_400_000;
        for text in [
            "2026-11-21T12:00:00Z",
            "2026-11-21T12:00:00.000Z",
            "2026-11-21T12:00:00+00:00",
            "2026-11-21T14:30:00+02:30",
            "2026-11-21T07:00:00-0500",
            "2026-11-21 12:00:00",
            "1795262400",
            "1795262400000",
            "1795262400.0004",
        ] {
            assert_eq!(unix_ms(text), Some(noon), "{text}");
        }
        assert_eq!(unix_ms("2026-11-21T12:00:00.25Z"), Some(noon + 250));
        assert_eq!(unix_ms("1970-01-01T00:00:00Z"), Some(0));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "NaN",
            "-1",
            "inf",
            "1970-01-01T00:00:00+01:00",
            "2026-11-21T12:00:00+1",
            "2026-11-21T12:00:00+aa:bb",
            "2026-11-2\u{e9}T12:00:00Z",
        ] {
            assert_eq!(unix_ms(text), None, "{text}");
        }
    }
}
