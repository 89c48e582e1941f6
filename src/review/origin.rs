//! What a name or dotted path can refer to.

use std::borrow::Cow;

/// What an expression refers to, as far as names tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// A library module, by its dotted name.
    Module(Cow<'a, str>),
    /// Something inside a library module, by its dotted path.
    Object(Cow<'a, str>),
    /// A module or package of the submission.
    Own(Cow<'a, str>),
    /// A builtin, reached under this name.
    Builtin(&'a str),
    /// The context that the harness passes in.
    Context,
    /// A function of the submission.
    Function,
    /// A value of the submission.
    Value,
    /// More indirections than the reviewer follows.
    Undecided,
}

/// Origins of one expression that are told apart.
const MAX_ORIGINS: usize = 16;
/// Bytes of a dotted path; what is longer is in no table.
const MAX_PATH_BYTES: usize = 256;

impl<'a> Origin<'a> {
    /// `path.attribute` inside a library. A path that is too long to be in a table stays as it is.
    pub fn object(path: &Cow<'a, str>, attribute: &str) -> Origin<'a> {
        if path.len() > MAX_PATH_BYTES {
            return Origin::Object(path.clone());
        }
        Origin::Object(Cow::Owned(format!("{path}.{attribute}")))
    }
}

/// Adds an origin that is not there yet.
pub fn push<'a>(found: &mut Vec<Origin<'a>>, origin: Origin<'a>) {
    if found.contains(&origin) {
        return;
    }
    if found.len() >= MAX_ORIGINS {
        if let Some(last) = found.last_mut() {
            *last = Origin::Undecided;
        }
        return;
    }
    found.push(origin);
}
