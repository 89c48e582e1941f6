//! Programs that a run starts: python with torch, the referee, the sandbox, and the GPU's driver.

use std::time::Duration;

use super::asked::ask;
use super::{Check, Machine};
use crate::config::{Config, Device, Isolation};
use crate::pipeline::referee_executable;
use crate::sandbox;

/// The version that the referee's bindings and `requirements.txt` are made for.
const TORCH: &str = "2.11.";
const MAKE_PYTHON: &str = "./prism-dev build";

const VERSION: &str = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
const TORCH_QUESTION: &str = "import torch; print(torch.__version__, int(torch.cuda.is_available()), torch.cuda.device_count())";

/// Why the host's python is of no interest.
fn in_image(config: &Config) -> bool {
    matches!(
        config.sandbox.isolation,
        Isolation::Docker | Isolation::Podman
    )
}

pub(super) fn python(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "python";
    if in_image(config) {
        return Check::skipped(NAME, "it is in sandbox.image");
    }
    let python = &config.run.python;
    match ask(python, &["-I", "-c", VERSION], machine.patience)
        .and_then(super::asked::Answer::success)
    {
        Ok(version) => Check::ok(NAME, format!("Python {version} at {}", python.display())),
        Err(reason) => Check::failed(
            NAME,
            format!("run.python: {reason}"),
            format!("{MAKE_PYTHON}   # or name another environment as run.python"),
        ),
    }
}

/// Imports torch, as every run does; the same time is given.
fn ask_torch(config: &Config) -> Result<(String, bool, u64), String> {
    let patience = Duration::from_secs(config.run.startup_s);
    let said = ask(&config.run.python, &["-I", "-c", TORCH_QUESTION], patience)?.success()?;
    let last = said.lines().last().unwrap_or_default();
    let words: Vec<&str> = last.split(' ').collect();
    match words[..] {
        [version, sees, count] => Ok((
            version.to_owned(),
            sees == "1",
            count.parse().unwrap_or_default(),
        )),
        _ => Err(format!("it answered {last:?}")),
    }
}

/// The end of a traceback says what is wrong.
fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text)
}

pub(super) fn torch(config: &Config) -> Check {
    const NAME: &str = "torch";
    if in_image(config) {
        return Check::skipped(NAME, "it is in sandbox.image");
    }
    let fix = format!(
        "{} -m pip install --require-hashes -r requirements.txt",
        config.run.python.display()
    );
    match ask_torch(config) {
        Ok((version, ..)) if version.starts_with(TORCH) => {
            Check::ok(NAME, format!("torch {version}"))
        }
        Ok((version, ..)) => {
            Check::failed(NAME, format!("torch {version}, expected {TORCH}x"), fix)
        }
        Err(reason) => Check::failed(NAME, last_line(&reason).to_owned(), fix),
    }
}

pub(super) fn referee(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "referee";
    let fix = "./prism-dev build   # or name the executable as run.referee";
    let path = match referee_executable(config) {
        Ok(path) => path,
        Err(error) => return Check::failed(NAME, error.to_string(), fix),
    };
    // Without a plan it says how it is used; until then its libraries were loaded.
    match ask(&path, &[], machine.patience) {
        Ok(answer) if answer.status.code() == Some(2) => {
            Check::ok(NAME, path.display().to_string())
        }
        Ok(answer) => Check::failed(
            NAME,
            format!("{}: {}: {}", path.display(), answer.status, answer.said),
            fix,
        ),
        Err(reason) => Check::failed(NAME, reason, fix),
    }
}

pub(super) fn gpu(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "gpu";
    if config.run.device == Device::Cpu {
        return Check::skipped(NAME, "run.device is cpu");
    }
    let fix = "nvidia-smi   # install a driver that torch's CUDA supports, or set run.device: cpu";
    let cards =
        ask(&machine.nvidia_smi, &["-L"], machine.patience).and_then(super::asked::Answer::success);
    let cards = match cards {
        Ok(cards) => cards,
        Err(reason) => return Check::failed(NAME, format!("the driver: {reason}"), fix),
    };
    if in_image(config) {
        return Check::ok(NAME, cards);
    }
    let needed = u64::from(config.run.world_size);
    match ask_torch(config) {
        Ok((_, true, count)) if count >= needed => Check::ok(NAME, cards),
        Ok((version, sees, count)) => Check::failed(
            NAME,
            format!(
                "torch {version} sees {} devices, run.world_size needs {needed}; {cards}",
                if sees { count } else { 0 }
            ),
            fix,
        ),
        Err(reason) => Check::failed(NAME, last_line(&reason).to_owned(), fix),
    }
}

/// Whether the wall stands: bwrap builds one around `true`, or the engine has the image.
pub(super) fn wall(config: &Config, machine: &Machine) -> Check {
    const NAME: &str = "sandbox";
    let wall = &config.sandbox;
    match wall.isolation {
        Isolation::None => Check::warning(
            NAME,
            "sandbox.isolation is none: submissions run without a wall and are never ranked",
            "set sandbox.isolation: bwrap",
        ),
        Isolation::Bwrap => {
            let version = match ask(&machine.bwrap, &["--version"], machine.patience)
                .and_then(super::asked::Answer::success)
            {
                Ok(version) => version,
                Err(reason) => {
                    return Check::failed(
                        NAME,
                        reason,
                        "sudo apt-get install bubblewrap   # or dnf, pacman, apk, zypper",
                    );
                }
            };
            let built = ask(&machine.bwrap, sandbox::BWRAP_TRIAL, machine.patience)
                .and_then(super::asked::Answer::success);
            match built {
                Ok(_) => Check::ok(NAME, format!("{version} builds a wall")),
                Err(reason) => Check::failed(
                    NAME,
                    format!("{version}: {reason}"),
                    "see the check user-namespaces",
                ),
            }
        }
        Isolation::Docker | Isolation::Podman => {
            let program = wall.isolation.to_string();
            let image = wall.image.as_deref().unwrap_or_default();
            let found = ask(
                &program,
                &["image", "inspect", "--format", "{{.Id}}", image],
                machine.patience,
            )
            .and_then(super::asked::Answer::success);
            match found {
                Ok(id) => Check::ok(NAME, format!("{program} has the image {id}")),
                Err(reason) => Check::failed(
                    NAME,
                    format!("{program}: {reason}"),
                    format!("{program} pull {image}"),
                ),
            }
        }
    }
}
