//! The command line: arguments in, exit code out. stdout is data, stderr is for people.

mod data;
mod output;
mod rescore;
mod rescore_text;
mod review;
mod run;
mod schema;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prism::config::Config;
use prism::exit;

#[derive(Parser)]
#[command(
    name = "prism",
    version,
    about = "Measures untrusted learners honestly: zips in an inbox, bits per byte in an outbox."
)]
#[command(
    after_help = "Exit codes: 0 done (whatever the verdicts), 1 `review` rejected something or `rescore --strict` could not \
                        score something, 2 usage, 3 configuration, \
                        4 infrastructure (tried again on the next run), 5 another prism holds the outbox."
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
    /// Form of what is printed on stdout; csv and parquet are for `rescore`.
    #[arg(long = "format", global = true, value_enum, default_value_t = Form::Text, value_name = "FORMAT")]
    form: Form,
    /// The same, for commands that print no tables.
    #[arg(skip)]
    format: Format,
    /// No progress on stderr.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Text,
    Json,
}

/// Every form that some command prints.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Csv,
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
    /// Review zips or folders statically; nothing of them runs.
    Review {
        /// Zips, or folders as they would be zipped.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Recompute scores of manifests and run folders.
    Rescore(rescore::Arguments),
    /// What `rescore` starts to read streams that may be forged.
    #[command(name = rescore::SUM_STREAMS, hide = true)]
    SumStreams,
    /// Lock or verify a corpus.
    #[command(subcommand)]
    Data(data::Data),
    /// Print the JSON Schema of a file that prism writes.
    Schema {
        /// Its name; without one, the list of names.
        name: Option<String>,
    },
    /// Print the configuration in force.
    Config,
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
    let mut arguments = Arguments::parse();
    let form = arguments.global.form;
    let format = if form == Form::Json {
        Format::Json
    } else {
        Format::Text
    };
    arguments.global.format = format;
    match dispatch(arguments) {
        Ok(code) => exit::code(code),
        Err(complaint) => {
            output::complain(format, &complaint);
            exit::code(complaint.code)
        }
    }
}

fn dispatch(arguments: Arguments) -> Result<u8, Complaint> {
    let global = arguments.global;
    if matches!(global.form, Form::Csv | Form::Parquet)
        && !matches!(arguments.command, Command::Rescore(_))
    {
        return Err(Complaint::new(
            exit::USAGE,
            "--format csv and parquet are for `prism rescore` only",
            "choose text or json",
        ));
    }
    match arguments.command {
        Command::Run(folders) => run::run(&load(&global, Some(&folders))?, &global),
        Command::Watch(folders) => watch::watch(&load(&global, Some(&folders))?, &global),
        Command::Review { paths } => review::review(&load(&global, None)?, &global, &paths),
        Command::Rescore(arguments) => rescore::rescore(&global, &arguments),
        Command::SumStreams => rescore::sum_streams(),
        Command::Data(command) => data::data(&global, command),
        Command::Schema { name } => schema::schema(&global, name.as_deref()),
        Command::Config => {
            let config = load(&global, None)?;
            output::config(global.format, &config)?;
            Ok(exit::OK)
        }
    }
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
