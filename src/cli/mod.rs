//! The command line: arguments in, exit code out. stdout is data, stderr is for people.

mod audit;
mod data;
mod doctor;
mod explain;
mod export;
mod families;
mod generate;
mod guarded;
mod keys;
mod output;
#[cfg(test)]
mod packaging_tests;
mod plot;
mod probe;
mod prune;
mod queue;
mod rescore;
mod rescore_text;
mod review;
mod run;
mod schema;
mod service;
mod signals;
mod submit;
mod tokenizers;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prism::config::Config;
use prism::exit;
use prism::outbox::fault;
use prism::pipeline::requests::Action;

#[derive(Parser)]
#[command(
    name = "prism",
    version,
    about = "Measures untrusted learners honestly: zips in an inbox, bits per byte in an outbox."
)]
#[command(
    after_help = "Exit codes: 0 done (whatever the verdicts), 1 `review` or `submit` rejected, `audit` doubts, `doctor` found a fault, a request was refused or `rescore --strict` could not score \
                        something, 2 usage, 3 configuration, \
                        4 infrastructure (tried again on the next run), 5 another prism holds the outbox, \
                        6 a signal ended `run` early."
)]
struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// Configuration file; `prism config` prints every setting.
    #[arg(long, global = true, env = "PRISM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of what is printed on stdout; sarif is for `review`, csv and parquet for `rescore`, markdown for `explain --all`.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// No progress on stderr.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    /// Of `review` only: SARIF 2.1.0.
    Sarif,
    /// Of `explain --all` only.
    Markdown,
    /// Of `rescore` only.
    Csv,
    /// Of `rescore` only, into a file.
    Parquet,
}

#[derive(Args, Clone)]
struct Folders {
    /// Folder with zips.
    #[arg(long, value_name = "DIR")]
    inbox: Option<PathBuf>,
    /// Folder for results.
    #[arg(long, value_name = "DIR")]
    outbox: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Process what is in the inbox, then exit.
    Run(Folders),
    /// Stay, and process whatever arrives in the inbox.
    Watch(Folders),
    /// Show what is on the device, what waits for it, and what is held and why.
    Queue(Folders),
    /// Keep a submission from the device until it is released; a run of it ends.
    Hold(queue::About),
    /// Let a held submission go on, or rank one that was held for its score.
    Release(queue::About),
    /// Try a submission again at once that the infrastructure failed, with all its attempts.
    Retry(queue::About),
    /// Turn a submission away that has no result yet.
    Reject(queue::About),
    /// Forget submissions, archives or private logs by age, count or size; shows what it would do unless told to.
    Prune(prune::Prune),
    /// Review zips or folders statically; nothing of them runs.
    Review {
        /// Zips, or folders as they would be zipped.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Take each path as one Python file, or a folder of such, without the contract between the two scripts.
        #[arg(long)]
        source: bool,
        /// Compare with what this outbox has accepted, too; it is only read, and may be in use.
        #[arg(long, value_name = "OUTBOX", conflicts_with = "source")]
        against: Option<PathBuf>,
    },
    /// Pack a submission, review it, and drop it into the inbox, signed if a key is named.
    Submit(submit::Submit),
    /// Say what a rule means and what to write instead.
    Explain {
        /// Its id, with or without `prism:`.
        #[arg(required_unless_present = "all")]
        rule: Option<String>,
        /// Every rule of the review.
        #[arg(long, conflicts_with = "rule")]
        all: bool,
    },
    /// Recompute scores of manifests and run folders.
    Rescore(rescore::Arguments),
    /// What `rescore` starts to read streams that may be forged.
    #[command(name = rescore::SUM_STREAMS, hide = true)]
    SumStreams,
    /// Check run folders, wherever they were copied to, against everything that they say about themselves.
    Audit(audit::Audit),
    /// Make one archive of run folders: the same runs are the same bytes.
    Export {
        /// Run folders, or folders of them (an outbox).
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// `.tar.zst`, or `.tar`.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// List architecture families, their trainings and owners, and what each earns.
    Families {
        /// Folder with results.
        #[arg(long, value_name = "DIR")]
        outbox: Option<PathBuf>,
        /// The log of ownership instead, one event a line.
        #[arg(long)]
        events: bool,
    },
    /// Run a submission in many small sizes and say whether what it does holds; nothing is ranked.
    Probe(probe::Arguments),
    /// Draw bits per byte against bytes of text, several runs in one picture.
    Plot {
        /// Run folders, or folders of them (an outbox).
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        /// `.svg` or `.png`.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// Scale of the bytes.
        #[arg(long, value_enum, default_value_t = plot::Axis::Log)]
        x: plot::Axis,
    },
    /// The decoder of `audit`, in a process of its own.
    #[command(name = "audit-streams", hide = true)]
    AuditStreams { folder: PathBuf },
    /// Lock or verify a corpus, or try tokenizers.
    #[command(subcommand)]
    Data(data::Data),
    /// Make or show the key that run folders are signed with.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Print the JSON Schema of a file that prism writes.
    Schema {
        /// Its name; without one, the list of names.
        name: Option<String>,
    },
    /// Look whether this machine can do what the configuration asks for, and print the fix for what it cannot.
    Doctor(Folders),
    /// Print the configuration in force.
    Config,
    /// Man pages and shell completions, for packages.
    #[command(subcommand, hide = true)]
    Generate(generate::Generate),
    /// The process of a submission's own tokenizer; started by prism itself.
    #[command(name = prism::dataset::tokenizer::guarded::COMMAND, hide = true)]
    TokenizeGuarded,
}

/// An error as people read it: what, then what to do.
pub struct Complaint {
    pub code: u8,
    pub message: String,
    pub hint: String,
}

impl Complaint {
    pub fn new(code: u8, message: impl ToString, hint: impl ToString) -> Self {
        Self {
            code,
            message: message.to_string(),
            hint: hint.to_string(),
        }
    }
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.global.format;
    let armed = fault::arm(fault::VARIABLE).map_err(|problem| {
        let hint = "it is for the tests of prism itself: see docs/operation.md";
        Complaint::new(exit::CONFIGURATION, problem, hint)
    });
    match armed.and_then(|()| dispatch(arguments)) {
        Ok(code) => exit::code(code),
        Err(complaint) => {
            output::complain(format, &complaint);
            exit::code(complaint.code)
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<u8, Complaint> {
    let global = arguments.global;
    check_format(global.format, &arguments.command)?;
    match arguments.command {
        Command::Run(folders) => run::run(&load(&global, Some(&folders))?, &global),
        Command::Watch(folders) => watch::watch(&load(&global, Some(&folders))?, &global),
        Command::Queue(folders) => queue::show(&load(&global, Some(&folders))?, &global),
        Command::Hold(about) => ask(&global, Action::Hold, &about),
        Command::Release(about) => ask(&global, Action::Release, &about),
        Command::Retry(about) => ask(&global, Action::Retry, &about),
        Command::Reject(about) => ask(&global, Action::Reject, &about),
        Command::Prune(arguments) => prune::prune(
            &load(&global, Some(&arguments.folders))?,
            &global,
            &arguments,
        ),
        Command::Review {
            paths,
            source,
            against,
        } => review::review(
            &load(&global, None)?,
            &global,
            &paths,
            source,
            against.as_deref(),
        ),
        Command::Submit(arguments) => submit::submit(&load(&global, None)?, &global, &arguments),
        Command::Explain { rule, .. } => explain::explain(&global, rule.as_deref()),
        Command::Rescore(arguments) => rescore::rescore(&global, &arguments),
        Command::Audit(arguments) => audit::audit(&load(&global, None)?, &global, &arguments),
        Command::Export { runs, output } => export::export(&global, &runs, &output),
        Command::Families { outbox, events } => {
            let mut config = load(&global, None)?;
            config.outbox = outbox.unwrap_or(config.outbox);
            families::families(&config, &global, events)
        }
        Command::Probe(arguments) => probe::probe(&load(&global, None)?, &global, &arguments),
        Command::Plot { runs, output, x } => plot::plot(&global, &runs, &output, x),
        Command::AuditStreams { folder } => audit::streams(&folder),
        Command::SumStreams => rescore::sum_streams(),
        Command::Data(command) => data::data(&global, command),
        Command::Keys(command) => keys::keys(&load(&global, None)?, &global, command),
        Command::Generate(what) => generate::generate(what),
        Command::TokenizeGuarded => guarded::answer(),
        Command::Schema { name } => schema::schema(&global, name.as_deref()),
        Command::Doctor(folders) => doctor::examine(&load(&global, Some(&folders))?, &global),
        Command::Config => {
            let config = load(&global, None)?;
            output::config(global.format, &config)?;
            Ok(exit::OK)
        }
    }
}

fn ask(global: &Global, action: Action, about: &queue::About) -> Result<u8, Complaint> {
    queue::ask(&load(global, Some(&about.folders))?, global, action, about)
}

/// Some forms are for one command each.
fn check_format(format: Format, command: &Command) -> Result<(), Complaint> {
    let (fits, only) = match format {
        Format::Text | Format::Json => return Ok(()),
        Format::Sarif => (
            matches!(command, Command::Review { .. }),
            "--format sarif is a form of `prism review`",
        ),
        Format::Markdown => (
            matches!(command, Command::Explain { all: true, .. }),
            "--format markdown is a form of `prism explain --all`",
        ),
        Format::Csv | Format::Parquet => (
            matches!(command, Command::Rescore(_)),
            "--format csv and parquet are forms of `prism rescore`",
        ),
    };
    if fits {
        return Ok(());
    }
    Err(Complaint::new(
        exit::USAGE,
        only,
        "use --format text or json",
    ))
}

fn load(global: &Global, folders: Option<&Folders>) -> Result<Config, Complaint> {
    let mut config = Config::load(global.config.as_deref(), std::env::vars())
        .map_err(|error| Complaint::new(exit::CONFIGURATION, &error, error.hint()))?;
    if let Some(folders) = folders {
        if let Some(inbox) = &folders.inbox {
            config.inbox.clone_from(inbox);
        }
        if let Some(outbox) = &folders.outbox {
            config.outbox.clone_from(outbox);
        }
    }
    Ok(config)
}
