//! What is fuzzed: each gives a short description of the outcome, or a fault.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use prism::bundle::{self, BundleError, Limits};
use prism::duplicates::{Index, Newcomer, Thresholds, check};
use prism::review::{self, Roles};
use zip::write::SimpleFileOptions;

use super::seeds;

pub struct Target {
    pub name: &'static str,
    pub seeds: fn() -> Vec<Vec<u8>>,
    pub words: &'static [&'static str],
    pub run: fn(&[u8]) -> Result<String, String>,
}

/// Pieces of Python.
const PYTHON: &[&str] = &[
    "import torch\n",
    "from torch import ",
    " = ",
    "def f(a, b=1):\n    ",
    "class A(B):\n    ",
    "lambda x: ",
    "getattr(",
    "open",
    "eval",
    "self.",
    "__class__",
    ".",
    "f\"{",
    "}\"",
    "'",
    "\"\"\"",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "\n",
    "\n    ",
    "\n        ",
    "if ",
    "else ",
    "elif x:\n ",
    "for ",
    " in ",
    "match x:\n case ",
    ":=",
    "*",
    "**",
    "@",
    "\\\n",
    "\u{ff45}",
    "\u{202e}",
    "\0",
    "\r",
    "0x",
    "1e9",
    "...",
    "global x\n",
    "nonlocal x\n",
    "yield ",
    "await ",
    "async ",
    "#",
    "del x\n",
    "with a as b:\n  ",
    "try:\n pass\nexcept E as e:\n ",
    "ctx",
    "ctx.data_dir",
    "rank == 0",
    "not ",
    "-",
    "~",
    " and ",
    " or ",
    "type X = ",
    "[T]",
    "return ",
    "while True:\n ",
    "break\n",
    "torch.save(x, ctx.artifacts_dir)",
    "dist.init_process_group()",
    "build_model",
    "train",
];

pub const TARGETS: [Target; 4] = [
    Target {
        name: "zip",
        seeds: seeds::archives,
        words: &[
            "PK\u{1}\u{2}",
            "PK\u{3}\u{4}",
            "PK\u{5}\u{6}",
            "PK\u{7}\u{8}",
            "PK\u{6}\u{6}",
            "PK\u{6}\u{7}",
            "training.py",
            "../",
            "\0",
        ],
        run: archive,
    },
    Target {
        name: "source",
        seeds: seeds::sources,
        words: PYTHON,
        run: source,
    },
    Target {
        name: "tokens",
        seeds: seeds::sources,
        words: PYTHON,
        run: tokens,
    },
    Target {
        name: "manifest",
        seeds: seeds::manifests,
        words: &[
            ": ",
            "- ",
            "? ",
            "&a ",
            "*a",
            "!!x ",
            "<<: ",
            "---\n",
            "...\n",
            "|\n",
            ">\n",
            "[",
            "]",
            "{",
            "}",
            ",",
            "\"",
            "'",
            "#",
            "\n",
            "\n  ",
            "%YAML 1.1\n",
            "\t",
            "\u{85}",
            "\u{feff}",
            "~",
            "0x1f",
            "1e400",
            ".inf",
        ],
        run: manifest,
    },
];

fn told(error: &BundleError) -> String {
    // numbers and names make every message new; the words are the outcome
    let text = error.to_string();
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| word.len() > 3)
        .take(8)
        .collect::<Vec<_>>()
        .join(" ")
}

fn archive(input: &[u8]) -> Result<String, String> {
    match bundle::open(input, &Limits::default()) {
        Err(error) => {
            if error.hint().is_empty() {
                return Err("a rejection without a hint".to_owned());
            }
            Ok(told(&error))
        }
        Ok(bundle) => {
            let bytes: usize = bundle.files.values().map(Vec::len).sum();
            if bytes as u64 > Limits::default().max_unpacked_bytes {
                return Err(format!("{bytes} bytes came out"));
            }
            Ok(format!("accepted, {} files", bundle.files.len()))
        }
    }
}

/// The input plays both roles, once each, beside a plain partner.
fn source(input: &[u8]) -> Result<String, String> {
    let roles = Roles {
        architecture: ("architecture.py", "build_model"),
        training: ("training.py", "train"),
        contract: prism::bundle::ContractVersion::V2,
    };
    let plain: [&[u8]; 2] = [
        b"def build_model(ctx):\n    return None\n",
        b"def train(ctx):\n    pass\n",
    ];
    let mut rules: Vec<&str> = Vec::new();
    for [architecture, training] in [[input, plain[1]], [plain[0], input]] {
        let files = BTreeMap::from([
            ("architecture.py".to_owned(), architecture.to_vec()),
            ("training.py".to_owned(), training.to_vec()),
        ]);
        let policy = review::Policy {
            distributed: review::DistributedPolicy::Reject,
        };
        let review = review::review_under(&files, &roles, policy);
        for finding in &review.findings {
            if finding.explanation.contains("internal fault") {
                return Err(format!("{}: {}", finding.path, finding.explanation));
            }
            if finding.line == 0 || finding.column == 0 {
                return Err(format!(
                    "{} at {}:{}",
                    finding.rule_id, finding.line, finding.column
                ));
            }
            let text =
                String::from_utf8_lossy(files.get(&finding.path).map_or(&[][..], Vec::as_slice));
            if review::render(finding, Some(&text)).is_empty() {
                return Err("an empty rendering".to_owned());
            }
        }
        compare(&review)?;
        rules.extend(review.findings.iter().map(|finding| finding.rule_id));
    }
    rules.sort_unstable();
    rules.dedup();
    Ok(rules.join(" "))
}

/// The review's tokens are the library's.
fn tokens(input: &[u8]) -> Result<String, String> {
    match review::token_difference(&String::from_utf8_lossy(input)) {
        Some(difference) => Err(difference),
        None => Ok("the same".to_owned()),
    }
}

/// A submission is always like itself, if it is like anything.
fn compare(review: &review::Review) -> Result<(), String> {
    let fingerprints = &review.fingerprints;
    let mut index = Index::default();
    let earlier = prism::duplicates::Earlier {
        id: "earlier".to_owned(),
        owner: None,
        accepted_at: String::new(),
    };
    index.add(earlier, fingerprints);
    let newcomer = Newcomer {
        id: "new",
        owner: None,
        fingerprints,
    };
    let thresholds = Thresholds {
        source: 0.85,
        graph: 0.82,
        structure: 0.85,
    };
    let found = check(&index, &newcomer, thresholds, &mut |_| {
        Some(fingerprints.clone())
    });
    if fingerprints.grams.len() > 200 && found.is_none() {
        return Err("a long submission is not like itself".to_owned());
    }
    Ok(())
}

fn manifest(input: &[u8]) -> Result<String, String> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [
        ("architecture.py", &b"x = 1\n"[..]),
        ("parts.py", b"x = 1\n"),
        ("prism.yaml", input),
        ("training.py", b"x = 1\n"),
    ] {
        writer
            .start_file(name, options)
            .map_err(|error| error.to_string())?;
        writer
            .write_all(content)
            .map_err(|error| error.to_string())?;
    }
    let bytes = writer
        .finish()
        .map_err(|error| error.to_string())?
        .into_inner();
    archive(&bytes)
}
