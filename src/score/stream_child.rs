//! Adding up streams in child processes: a parquet file that ends its decoder costs one run, not the rescoring.
//!
//! A decoder trusts the lengths in a file, and one that asks for more memory than there is ends its process. Digests
//! find damage, but not a stream that was forged together with its manifest. So whoever adds up folders of others does
//! it here: parent and child exchange one line for each run.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::error::ScoreError;
use super::totals::{RunTotals, totals_of_each};

/// Address space of a child, bytes: far above what a stream takes, far below what a machine has.
const CHILD_BYTES: u64 = 8 << 30;

/// What a child is asked.
#[derive(Serialize, Deserialize)]
struct Question {
    submission_id: String,
    folder: PathBuf,
}

/// What it says.
#[derive(Serialize, Deserialize)]
enum Answer {
    Totals(Box<RunTotals>),
    Reasons(Vec<String>),
}

/// The child: answers questions until there are no more.
///
/// # Errors
/// Those of reading and writing, and of a question that is none.
pub fn serve(questions: impl BufRead, mut answers: impl Write) -> std::io::Result<()> {
    let limit = rustix::process::Rlimit {
        current: Some(CHILD_BYTES),
        maximum: Some(CHILD_BYTES),
    };
    rustix::process::setrlimit(rustix::process::Resource::As, limit)?;
    for line in questions.lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let mut sums = totals_of_each(&[(question.submission_id, question.folder)]);
        let answer = match sums.pop() {
            Some(Ok(totals)) => Answer::Totals(Box::new(totals)),
            Some(Err(error)) => Answer::Reasons(error.reasons()),
            None => Answer::Reasons(vec!["it was not added up".to_owned()]),
        };
        serde_json::to_writer(&mut answers, &answer)?;
        answers.write_all(b"\n")?;
        answers.flush()?;
    }
    Ok(())
}

/// Totals of every run, or what is wrong with it, in their order. `program` is started with `arguments` to [`serve`],
/// one for each processor; a child that ends costs the run that it was asked about.
pub fn totals_in_children(
    program: &Path,
    arguments: &[&str],
    runs: &[(String, PathBuf)],
) -> Vec<Result<RunTotals, ScoreError>> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let part = runs.len().div_ceil(processors).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = runs
            .chunks(part)
            .map(|runs| (runs, scope.spawn(move || ask_all(program, arguments, runs))))
            .collect();
        parts
            .into_iter()
            .flat_map(|(runs, part)| {
                part.join().unwrap_or_else(|_| {
                    let lost = "the thread that waited for its sums ended".to_owned();
                    runs.iter()
                        .map(|run| Err(without(run, vec![lost.clone()])))
                        .collect()
                })
            })
            .collect()
    })
}

fn without((submission_id, _): &(String, PathBuf), reasons: Vec<String>) -> ScoreError {
    ScoreError::Unscorable {
        submission_id: submission_id.clone(),
        reasons,
    }
}

fn ask_all(
    program: &Path,
    arguments: &[&str],
    runs: &[(String, PathBuf)],
) -> Vec<Result<RunTotals, ScoreError>> {
    let mut helper: Option<Helper> = None;
    runs.iter()
        .map(|run| {
            let asked = match &mut helper {
                Some(helper) => helper.ask(run),
                empty => Helper::start(program, arguments)
                    .and_then(|started| empty.insert(started).ask(run)),
            };
            match asked {
                Ok(Answer::Totals(totals)) => Ok(*totals),
                Ok(Answer::Reasons(reasons)) => Err(without(run, reasons)),
                Err(error) => {
                    helper = None;
                    let what = format!(
                        "the process that decoded its streams ended on them: they are forged or damaged ({error})"
                    );
                    Err(without(run, vec![what]))
                }
            }
        })
        .collect()
}

struct Helper {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Helper {
    fn start(program: &Path, arguments: &[&str]) -> std::io::Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // what a decoder says when it gives up is no news for people
            .stderr(Stdio::null())
            .spawn()?;
        let gone = || std::io::Error::other("a pipe to the helper is missing");
        let questions = child.stdin.take().ok_or_else(gone)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        Ok(Self {
            child,
            questions,
            answers,
        })
    }

    fn ask(&mut self, (submission_id, folder): &(String, PathBuf)) -> std::io::Result<Answer> {
        let question = Question {
            submission_id: submission_id.clone(),
            folder: folder.clone(),
        };
        let mut line = serde_json::to_vec(&question)?;
        line.push(b'\n');
        self.questions.write_all(&line)?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(std::io::Error::other("it gave no answer"));
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // it has ended, or has nothing more to do; how it ended is of no interest
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::super::run_fixture::write_run;
    use super::super::totals::totals;
    use super::*;

    #[test]
    fn an_answer_carries_every_bit_of_the_sums() {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path());
        let runs = [("x".to_owned(), folder.path().to_path_buf())];
        let mut sums = totals(&runs).unwrap().remove(0);
        sums.charged.nats_q32 = i128::from(i64::MAX) * 5;
        sums.blind_nats_q32 = -i128::from(i64::MAX) * 5;
        let text = serde_json::to_string(&Answer::Totals(Box::new(sums.clone()))).unwrap();
        match serde_json::from_str(&text).unwrap() {
            Answer::Totals(read) => assert_eq!(*read, sums),
            Answer::Reasons(reasons) => panic!("{reasons:?}"),
        }
    }

    #[test]
    fn helpers_that_end_cost_the_run_they_were_asked_about() {
        let runs = ["a", "b", "c"].map(|id| (id.to_owned(), PathBuf::from(id)));
        for (program, what) in [
            ("/bin/true", "ended on them"),
            ("/nonexistent", "No such file"),
        ] {
            let sums = totals_in_children(Path::new(program), &[], &runs);
            assert_eq!(sums.len(), 3);
            for sum in sums {
                let reasons = sum.unwrap_err().reasons().join("; ");
                assert!(reasons.contains(what), "{reasons}");
            }
        }
    }
}
