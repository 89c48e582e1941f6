//! What a name or dotted path can refer to.

/// What an expression refers to, as far as names tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A library module, by its dotted name.
    Module(String),
    /// Something inside a library module, by its dotted path.
    Object(String),
    /// A module or package of the submission.
    Own(String),
    /// A builtin, reached under this name.
    Builtin(String),
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

impl Origin {
    /// `path.attribute` inside a library. A path that is too long to be in a table stays as it is.
    pub fn object(path: &str, attribute: &str) -> Origin {
        if path.len() > MAX_PATH_BYTES {
            return Origin::Object(path.to_owned());
        }
        Origin::Object(format!("{path}.{attribute}"))
    }
}

/// Adds an origin that is not there yet.
pub fn push(found: &mut Vec<Origin>, origin: Origin) {
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
