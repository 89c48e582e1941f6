//! SIGTERM and SIGINT: the first asks for an end, the second makes one.

use std::io;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `ask` at the first signal; at the second the process ends at once, as if killed: whatever it started dies with
/// it, and the next run goes on from its last whole file.
///
/// # Errors
/// Signals that cannot be caught.
pub fn listen(ask: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut ask = Some(ask);
            for signal in signals.forever() {
                match ask.take() {
                    Some(ask) => ask(),
                    None => signal_hook::low_level::exit(128 + signal),
                }
            }
        })?;
    Ok(())
}
