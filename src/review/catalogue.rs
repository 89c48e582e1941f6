//! The table of rules: what each finding means and what to write instead.

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The submission is not run.
    Reject,
    /// Worth knowing; changes nothing.
    Warn,
}

/// One rule of the review.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub id: &'static str,
    pub title: &'static str,
    pub why: &'static str,
    pub next_step: &'static str,
}

const fn rule(
    id: &'static str,
    title: &'static str,
    why: &'static str,
    next_step: &'static str,
) -> Rule {
    Rule {
        id,
        title,
        why,
        next_step,
    }
}

impl Rule {
    /// What a finding of the rule does, except that [`Severity::Warn`] is also that of small literal blobs.
    pub fn severity(&self) -> Severity {
        match self.id {
            "prism:undefined-name" => Severity::Warn,
            _ => Severity::Reject,
        }
    }
}

/// All rules, sorted by id.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule("prism:build-model-purity", "build_model that reads more than its context",
        "The model is built several times, in places without data; what it knows must come from training.",
        "Build from `ctx.vocab_size`, `ctx.sequence_length` and constants; read data and files in train()."),
    rule("prism:cannot-decide", "The reviewer cannot decide",
        "What the reviewer cannot follow to its end is refused, because it could be anything.",
        "Write it more directly: fewer indirections, shallower nesting."),
    rule("prism:context-tamper", "The context is read-only",
        "The context belongs to the harness; its values are read where they are enforced, not from this object.",
        "Read the context and keep your own settings in your own variables."),
    rule("prism:distributed-contract", "Training script that is not ready for several ranks",
        "With more than one rank the ranks must meet, share the model and the data, and part again.",
        "Add the missing calls where train() reaches them; code that cannot run does not count."),
    rule("prism:distributed-rank0-guard", "Write by every rank",
        "Ranks that write the same file at once destroy it.",
        "Put it under `if ctx.rank == 0:`, or write a file of its own for each rank."),
    rule("prism:duplicate", "Says again what an earlier submission said",
        "Each work counts once, for whoever sent it first; names, formatting and unused code make no other work of it.",
        "Send work of your own; versions of your own work are free under the same owner, and so are the shipped examples."),
    rule("prism:entrypoint-signature", "Entry point with a wrong signature",
        "The harness calls every function of the contract with its positional arguments and no others.",
        "Define `def build_model(ctx):` and `def train(ctx):`, hooks as the first contract lists them; give further parameters defaults."),
    rule("prism:identifier-encoding", "Identifier that Python would rename",
        "Python normalises identifiers (NFKC), so this one is another name than the one on the screen.",
        "Use ASCII letters, digits and underscores in names."),
    rule("prism:literal-blob", "Large literal",
        "Knowledge must be learned from the stream, not carried in the source; the source counts towards the score.",
        "Compute tables from a formula, and let the model learn the rest."),
    rule("prism:missing-entrypoint", "Entry point not found",
        "The harness needs a top-level function under the declared name.",
        "Define it with `def` at the top level of the file, not inside a condition, class or assignment."),
    rule("prism:missing-file", "Declared file not found",
        "A role names a file that the bundle does not hold as a Python source.",
        "Add the file, or correct the entrypoint in prism.yaml."),
    rule("prism:module-shadow", "File named like a library module",
        "An import of that name could reach either the file or the library.",
        "Rename the file."),
    rule("prism:module-surface", "Outside the public surface of a module",
        "Modules carry more than they publish, other modules among it; only the listed names may be used.",
        "Import what you need from the module that publishes it."),
    rule("prism:module-value", "Module used as a value",
        "A module that is passed around, stored or returned can be used where the reviewer no longer sees it.",
        "Import it where it is used and write `module.name` directly."),
    rule("prism:no-attribute-escape", "Attribute that leads into the interpreter",
        "Frames, code objects, class hierarchies and module references lead out of the submission.",
        "Rename your own attribute if it only happens to have this name; otherwise do without it."),
    rule("prism:no-deserialization", "Loading objects from outside",
        "Unpickling runs code, and files from outside would carry knowledge that was not learned here.",
        "Use `torch.load(ctx.artifacts_dir + \"/name.pt\", weights_only=True)` on a file that this run has written."),
    rule("prism:no-dynamic-attr", "Attribute chosen at run time",
        "An attribute name that is computed cannot be reviewed.",
        "Write the attribute out, use a constant name, or keep the choices in a dict."),
    rule("prism:no-dynamic-code", "Code from text",
        "Text that becomes code cannot be reviewed.",
        "Write the code out as functions."),
    rule("prism:no-dynamic-import", "Import at run time",
        "A module chosen at run time cannot be reviewed.",
        "Use an import statement at the top of the file."),
    rule("prism:no-ffi", "Native code",
        "Foreign functions leave Python and its review.",
        "Use torch operations, or torch.compile for speed."),
    rule("prism:no-filesystem", "File access",
        "The corpus arrives through the context; files are read and written only below the run's own directories.",
        "Use `ctx.iter_train_batches(...)` for data and `torch.save(obj, ctx.artifacts_dir + \"/name.pt\")` for state."),
    rule("prism:no-forbidden-import", "Module that is not on the list",
        "Imports are an allow-list: torch, numpy and harmless parts of the standard library.",
        "Use torch or write the few lines you need yourself."),
    rule("prism:no-network", "Network access",
        "Runs have no network; only the stream may teach the model.",
        "Remove it."),
    rule("prism:no-patching", "Change to code that is not yours",
        "Replacing a part of a library changes what other code does.",
        "Subclass or wrap it instead, and change only your own objects."),
    rule("prism:no-process", "Processes, signals and the interpreter",
        "A submission runs in the processes that the harness starts.",
        "Use torch.distributed among the ranks you are given; return from train() to end."),
    rule("prism:no-torch-escape", "Part of torch that loads or runs foreign code",
        "torch.hub, C++ extensions, TorchScript, FX and packages bring in or generate code that was not reviewed.",
        "Define the module in Python; torch.compile is available."),
    rule("prism:private-attribute", "Private attribute of another class",
        "Underscore names are internals; only those that your own classes define may be used.",
        "Use the public name, or define the attribute in your own class."),
    rule("prism:source-encoding", "Source that does not read as it runs",
        "The bytes could mean something else to the interpreter than to a reader.",
        "Save the file as plain UTF-8 with LF or CRLF line ends, no BOM and no coding cookie."),
    rule("prism:source-limit", "Source too large or too deep",
        "Sources are bounded so that review always ends.",
        "Split the expression or the file."),
    rule("prism:special-method", "Special method that changes the interpreter's rules",
        "These methods let an object pose as something else, run on deserialisation or intercept library calls.",
        "Use an ordinary method."),
    rule("prism:star-import", "Star import",
        "The names it binds are not visible in the source.",
        "Import the names you use."),
    rule("prism:syntax-error", "Not valid Python",
        "The file cannot be parsed.",
        "Run `python -m py_compile` on it."),
    rule("prism:undefined-name", "Name without a definition",
        "Nothing in the file defines this name, so reading it raises NameError.",
        "Define or import it."),
    rule("prism:unsupported-syntax", "Syntax that submissions do not need",
        "Coroutines, custom metaclasses and what only the newest parsers read are outside the reviewed language.",
        "Use ordinary functions and classes; put the value of an f-string's field into a variable first; indent with spaces."),
];

/// Looks a rule up by its id.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_sorted() {
        for pair in RULES.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
        }
    }
}
