//! Looks at an inbox with many files at once. `just bench-arrivals [FILES]`.
//!
//! The first look sees all of them for the first time, the second one that nothing changed, the third one more.

use std::path::Path;
use std::time::{Duration, Instant};

use prism::intake::{Customs, Inbox, Seen};

const EMPTY_ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const FILES_PER_FOLDER: usize = 1_000;

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let count: usize = count.unwrap_or(100_000);
    let root = tempfile::tempdir().expect("a temporary folder");
    let inbox = root.path();
    for number in 0..count {
        if number % FILES_PER_FOLDER == 0 {
            let folder = inbox.join(format!("{}", number / FILES_PER_FOLDER));
            std::fs::create_dir(folder).expect("a folder");
        }
        put(inbox, number);
    }
    std::thread::sleep(Duration::from_millis(20));
    let mut looked = Inbox::new(inbox, Customs::settling(Duration::from_millis(10)));
    look("all of them for the first time", &mut looked, count);
    look("none of them changed", &mut looked, 0);
    put(inbox, count - 1);
    std::thread::sleep(Duration::from_millis(20));
    look("one of them changed", &mut looked, 1);
    println!("resident: {} MiB", resident_bytes() >> 20);
}

fn put(inbox: &Path, number: usize) {
    let folder = number / FILES_PER_FOLDER;
    let path = inbox.join(format!("{folder}/{number}.zip"));
    std::fs::write(path, EMPTY_ZIP).expect("a file");
}

fn look(title: &str, inbox: &mut Inbox, expected: usize) {
    let begun = Instant::now();
    let seen = inbox.look().expect("an inbox");
    let ready = seen.iter().filter(|seen| matches!(seen, Seen::Ready(_)));
    assert_eq!(ready.count(), expected, "{title}");
    println!("{title}: {:.3} s", begun.elapsed().as_secs_f64());
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
