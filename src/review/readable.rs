//! One file on its way from bytes to a syntax tree.

use std::borrow::Cow;

use super::decode;
use super::finding::{Finding, Place, Severity};
use super::limits;
use super::parse::{self, ParseProblem, ParsedModule};

/// A file that could be read.
pub struct Decoded<'a> {
    pub path: &'a str,
    pub text: Cow<'a, str>,
    pub module: ParsedModule,
}

/// Decodes and parses one file.
pub fn read<'a>(path: &'a str, bytes: &'a [u8]) -> Result<Decoded<'a>, Box<Finding>> {
    let text = decode::decode(bytes).map_err(|problem| {
        let lossy = String::from_utf8_lossy(
            bytes
                .get(..bytes.len().min(limits::MAX_FILE_BYTES))
                .unwrap_or(bytes),
        );
        let place = Place {
            path,
            text: &lossy,
            span: (problem.offset, problem.offset),
            ast_node: "Module",
        };
        Box::new(Finding::at(
            problem.rule_id,
            Severity::Reject,
            &place,
            &problem.message,
        ))
    })?;
    match parse::parse_module(&text) {
        Ok(module) => Ok(Decoded { path, text, module }),
        Err(problem) => {
            let (rule_id, detail, offset) = match problem {
                ParseProblem::Syntax { message, offset } => ("prism:syntax-error", message, offset),
                ParseProblem::Unsupported { message, offset } => {
                    ("prism:unsupported-syntax", message, offset)
                }
                ParseProblem::Limit(exceeded) => (
                    "prism:source-limit",
                    format!(
                        "{} {}, limit {}",
                        exceeded.got, exceeded.what, exceeded.limit
                    ),
                    exceeded.offset,
                ),
            };
            let place = Place {
                path,
                text: &text,
                span: (offset, offset),
                ast_node: "Module",
            };
            Err(Box::new(Finding::at(
                rule_id,
                Severity::Reject,
                &place,
                &detail,
            )))
        }
    }
}
