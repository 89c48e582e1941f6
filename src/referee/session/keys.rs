//! The keys of a run, as the plan writes them.

use crate::referee::stop::Stop;

/// 32 bytes from 64 hexadecimal digits; anything else is a fault of the plan.
pub fn parse(name: &str, text: &str) -> Result<[u8; 32], Stop> {
    let bytes: Option<Vec<u8>> = (0..text.len() / 2)
        .map(|n| {
            text.get(2 * n..2 * n + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            Stop::infrastructure(format!("the plan's {name} is not 64 hexadecimal digits"))
        })
}
