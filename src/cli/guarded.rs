//! `prism tokenize-guarded`, hidden: the inside of the process that a submission's own tokenizer runs in.

use std::io::Write;

use prism::dataset::tokenizer::guarded;
use prism::exit;

use super::Complaint;

/// A request on stdin, an answer on stdout; started by the referee and `prism data tokenizers`, behind a wall.
pub fn answer() -> Result<u8, Complaint> {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    guarded::answer(&mut std::io::stdin().lock(), &mut output)
        .and_then(|()| output.flush())
        .map_err(|error| Complaint::new(exit::USAGE, error, "this command is prism's own"))?;
    Ok(exit::OK)
}
