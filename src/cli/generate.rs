//! `prism generate`: man pages and shell completions from the definitions of the command line itself.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory, Subcommand};
use clap_complete::Shell;
use prism::exit;

use super::{Arguments, Complaint};

#[derive(Subcommand)]
pub enum Generate {
    /// `prism.1` and one page for each command.
    Man { folder: PathBuf },
    /// For bash, zsh and fish.
    Completions { folder: PathBuf },
}

pub fn generate(what: Generate) -> Result<u8, Complaint> {
    let (folder, result) = match &what {
        Generate::Man { folder } => (folder, man(folder)),
        Generate::Completions { folder } => (folder, completions(folder)),
    };
    result.map_err(|error| {
        Complaint::new(
            exit::INFRASTRUCTURE,
            format!("{}: {error}", folder.display()),
            "name a folder that can be written",
        )
    })?;
    Ok(exit::OK)
}

fn man(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut command = Arguments::command();
    command.build();
    // No recursion: what is still to be written is a list. Names of pages are those of git: prism-data-lock.1.
    let mut pages = vec![("prism".to_owned(), command)];
    while let Some((name, command)) = pages.pop() {
        let visible = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
        for below in command.get_subcommands().filter(visible) {
            pages.push((format!("{name}-{}", below.get_name()), below.clone()));
        }
        let page = clap_mangen::Man::new(command.display_name(&name))
            .title(name.to_uppercase())
            .source(concat!("prism ", env!("CARGO_PKG_VERSION")));
        let mut text = Vec::new();
        page.render(&mut text)?;
        fs::write(folder.join(format!("{name}.1")), text)?;
    }
    Ok(())
}

fn completions(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Arguments::command(), "prism", folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_hold() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_visible_command_has_a_page_and_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        man(folder.path()).unwrap();
        completions(folder.path()).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        let bash = read("prism.bash");
        for command in Arguments::command().get_subcommands() {
            let name = command.get_name();
            let page = folder.path().join(format!("prism-{name}.1"));
            assert_eq!(page.exists(), !command.is_hide_set(), "{name}");
            assert!(command.is_hide_set() || bash.contains(name), "{name}");
        }
        assert!(read("prism.1").contains("prism\\-watch"));
        let page = read("prism-data-lock.1");
        assert!(
            page.contains("prism\\-data\\-lock") && page.contains("output"),
            "{page}"
        );
        assert!(read("_prism").starts_with("#compdef prism"));
        assert!(read("prism.fish").contains("complete -c prism"));
    }
}
