//! What people see on stderr while the pipeline works: bars on a terminal, one line per change of state elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::logging;
use crate::outbox::status::Verdict;
use crate::referee::events::{Event, RunStage};

/// Shows news. All methods may be called from any thread.
#[derive(Debug)]
pub struct Progress {
    bars: MultiProgress,
    on_terminal: bool,
    quiet: bool,
    /// What is said goes to the log for programs; nothing is drawn.
    to_log: bool,
}

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Bars if stderr is a terminal, else lines.
    News,
    /// Nothing but errors.
    Quiet,
}

impl Progress {
    pub fn new(show: Show) -> Self {
        use std::io::IsTerminal;
        let to_log = logging::is_json();
        let on_terminal = std::io::stderr().is_terminal() && !to_log;
        let bars = MultiProgress::with_draw_target(if on_terminal && show == Show::News {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        });
        Self {
            bars,
            on_terminal,
            quiet: show == Show::Quiet,
            to_log,
        }
    }

    /// One line that stays.
    pub fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.to_log {
            tracing::info!("{}", text.trim_start());
        } else if self.on_terminal {
            // If the terminal is gone there is nobody to tell.
            let _ = self.bars.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// A line that says what does not work.
    pub fn warn(&self, text: &str) {
        if self.to_log {
            tracing::warn!("{text}");
        } else {
            self.line(text);
        }
    }

    /// A submission came to a verdict. The log for programs has a line of its own for every state.
    pub fn verdict(&self, name: &str, verdict: Verdict, reason: Option<&str>) {
        if self.to_log {
            return;
        }
        let word = match verdict {
            Verdict::Scored => "scored  ",
            Verdict::Rejected => "rejected",
            Verdict::Failed => "failed  ",
            Verdict::Held => "held    ",
        };
        match reason {
            Some(reason) => self.line(&format!("{word} {name}: {reason}")),
            None => self.line(&format!("{word} {name}")),
        }
    }

    /// A bar for the examination of `count` files.
    pub fn examining(&self, count: u64) -> ProgressBar {
        let style = "examining {wide_bar} {pos}/{len} files";
        self.bar(ProgressBar::new(count), style)
    }

    /// A bar for one run.
    pub fn run(&self, name: &str, place: usize, of: usize) -> RunProgress<'_> {
        let template = "{prefix} {msg} {wide_bar} {binary_bytes}/{binary_total_bytes}, {eta} left";
        let bar = self.bar(ProgressBar::new(0), template);
        bar.set_prefix(format!("[{place}/{of}] {name}"));
        bar.enable_steady_tick(Duration::from_millis(250));
        self.line(&format!("measuring [{place}/{of}] {name}"));
        RunProgress {
            progress: self,
            bar,
            name: name.to_owned(),
            said_percent: 0,
        }
    }

    /// A bar for work that is counted in bytes.
    pub fn bytes(&self, what: &str, total_bytes: u64) -> ByteProgress<'_> {
        let template = "{prefix} {wide_bar} {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";
        let bar = self.bar(ProgressBar::new(total_bytes), template);
        bar.set_prefix(what.to_owned());
        ByteProgress {
            progress: self,
            bar,
            what: what.to_owned(),
            total_bytes,
            done_bytes: AtomicU64::new(0),
            started: Instant::now(),
            said: Mutex::new(Instant::now()),
        }
    }

    fn bar(&self, bar: ProgressBar, template: &str) -> ProgressBar {
        let bar = self.bars.add(bar);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar
    }
}

/// Without a terminal, work that is counted in bytes tells this often how far it is.
const BYTES_NEWS: Duration = Duration::from_secs(10);

/// How far some work is. May be advanced from any thread.
#[derive(Debug)]
pub struct ByteProgress<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    what: String,
    total_bytes: u64,
    done_bytes: AtomicU64,
    started: Instant,
    said: Mutex<Instant>,
}

impl ByteProgress<'_> {
    /// Counts bytes as done.
    pub fn advance(&self, bytes: u64) {
        let done = self.done_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bar.set_position(done);
        if self.progress.on_terminal {
            return;
        }
        // Whoever finds it taken leaves the news to the other.
        if let Ok(mut said) = self.said.try_lock()
            && said.elapsed() >= BYTES_NEWS
        {
            *said = Instant::now();
            self.progress
                .line(&self.news(done, self.started.elapsed().as_secs_f64()));
        }
    }

    fn news(&self, done: u64, elapsed_s: f64) -> String {
        let bytes_per_s = done as f64 / elapsed_s.max(1e-3);
        let left_s = self.total_bytes.saturating_sub(done) as f64 / bytes_per_s.max(1.0);
        format!(
            "{}: {done} of {} bytes, {:.1} MB/s, {left_s:.0} s left",
            self.what,
            self.total_bytes,
            bytes_per_s / 1e6
        )
    }
}

impl Drop for ByteProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// One run's news.
#[derive(Debug)]
pub struct RunProgress<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    name: String,
    said_percent: u64,
}

impl RunProgress<'_> {
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Stage { stage } => {
                self.bar.set_message(stage.name());
                if *stage != RunStage::Train && !self.progress.on_terminal {
                    self.progress
                        .line(&format!("  {}: {}", self.name, stage.name()));
                }
            }
            Event::Progress {
                bytes,
                total_bytes,
                bpb,
                elapsed_s,
            } => {
                self.bar.set_length(*total_bytes);
                self.bar.set_position(*bytes);
                self.bar.set_message(format!("train, {bpb:.3} bpb"));
                self.quarters(*bytes, *total_bytes, *bpb, *elapsed_s);
            }
            Event::Infrastructure { message, .. } => {
                self.progress.line(&format!("  {}: {message}", self.name))
            }
        }
    }

    /// Without a terminal a line every quarter says that it lives, and how long it will.
    fn quarters(&mut self, bytes: u64, total_bytes: u64, bpb: f64, elapsed_s: f64) {
        let percent = (bytes * 100).checked_div(total_bytes).unwrap_or(0);
        if self.progress.on_terminal || percent < self.said_percent + 25 {
            return;
        }
        self.said_percent = percent - percent % 25;
        let left_s = elapsed_s * (total_bytes.saturating_sub(bytes)) as f64 / bytes.max(1) as f64;
        self.progress.line(&format!(
            "  {}: train, {bytes} of {total_bytes} bytes, {bpb:.3} bpb, {left_s:.0} s left",
            self.name
        ));
    }
}

impl Drop for RunProgress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_of_bytes_tell_speed_and_what_is_left() {
        let progress = Progress::new(Show::Quiet);
        let bytes = progress.bytes("reading", 400_000_000);
        assert_eq!(
            bytes.news(100_000_000, 2.0),
            "reading: 100000000 of 400000000 bytes, 50.0 MB/s, 6 s left"
        );
        assert_eq!(
            bytes.news(0, 0.0),
            "reading: 0 of 400000000 bytes, 0.0 MB/s, 400000000 s left"
        );
    }
}
