//! No input makes the review panic or overflow, and what it does for a file is bounded by the file's size: how long that
//! takes is measured by `just bench-review-worst`.

use proptest::prelude::*;

use super::{ROLES, plain_bundle, review_beside_plain};
use crate::review::limits::MAX_FINDINGS_PER_FILE;
use crate::review::{Finding, Review, Verdict, normalised_source, render, review};

/// Syntax nodes that one byte of source can make: `x` is a name and a statement.
const NODES_PER_BYTE: usize = 2;

fn assert_bounded(title: &str, source: &[u8], review: &Review) {
    for file in review.files.iter().filter(|file| file.path == "case.py") {
        let limit = NODES_PER_BYTE * source.len();
        assert!(file.ast_nodes <= limit, "{title}: {}", file.ast_nodes);
    }
    // one of them may say that the steps have run out
    let count = review.findings.len();
    assert!(count <= 2 * MAX_FINDINGS_PER_FILE + 1, "{title}: {count}");
    for finding in &review.findings {
        assert!(finding.line >= 1 && finding.column >= 1, "{title}");
    }
}

#[test]
fn deep_and_long_shapes_are_bounded() {
    let repeat = |part: &str, count: usize| part.repeat(count);
    let shapes: Vec<(&str, String)> = vec![
        ("unary", format!("x = {}1\n", repeat("-", 200_000))),
        ("not", format!("x = {}1\n", repeat("not ", 60_000))),
        (
            "brackets",
            format!("x = {}{}\n", repeat("(", 100_000), repeat(")", 100_000)),
        ),
        (
            "lists",
            format!("x = {}{}\n", repeat("[", 100_000), repeat("]", 100_000)),
        ),
        ("attributes", format!("x = a{}\n", repeat(".a", 120_000))),
        ("calls", format!("x = a{}\n", repeat("()", 120_000))),
        ("subscripts", format!("x = a{}\n", repeat("[0]", 80_000))),
        ("sums", format!("x = 1{}\n", repeat("+1", 120_000))),
        ("powers", format!("x = 1{}\n", repeat("**1", 80_000))),
        (
            "lambdas",
            format!("x = {}1\n", repeat("lambda a,b:", 20_000)),
        ),
        (
            "conditionals",
            format!("x = {}1\n", repeat("1 if 1 else ", 20_000)),
        ),
        ("comparisons", format!("x = 1{}\n", repeat("<1", 120_000))),
        (
            "elifs",
            format!("if 1:\n pass\n{}", repeat("elif 1:\n pass\n", 15_000)),
        ),
        (
            "indents",
            (0..700)
                .map(|depth| format!("{}if 1:\n", " ".repeat(depth)))
                .collect(),
        ),
        (
            "f-strings",
            format!("x = f'{}{}'\n", repeat("{", 100_000), repeat("}", 100_000)),
        ),
        (
            "f-string fields",
            format!("x = f'{{{}1}}'\n", repeat("-", 200_000)),
        ),
        (
            "f-string specs",
            format!("x = f'{}{}'\n", repeat("{a:", 60_000), repeat("}", 60_000)),
        ),
        ("digits", format!("x = {}\n", repeat("9", 250_000))),
        ("one name", repeat("x = x * 1.0 + 1\n", 12_000)),
        (
            "alias chain",
            (0..8_000).map(|n| format!("a{} = a{n}\n", n + 1)).collect(),
        ),
        (
            "alias diamond",
            (0..3_000)
                .map(|n| format!("a{0} = a{n}\na{0} = a{n}.b\n", n + 1))
                .collect(),
        ),
        (
            "alias ring",
            (0..4_000)
                .map(|n| format!("a{} = a{n}\n", (n + 1) % 4_000))
                .collect(),
        ),
        (
            "attribute chains",
            format!("x = a{}\n", repeat(".a", 900)).repeat(50),
        ),
        (
            "call chains",
            format!("x = a{}\n", repeat("()", 900)).repeat(50),
        ),
        (
            "rebound to itself",
            repeat("x = x.a\n", 900) + &repeat("x.b\n", 20_000),
        ),
        (
            "aliases in a tangle",
            (0..8_000)
                .map(|n| {
                    let (one, two) = ((n * 7 + 1) % 8_000, (n * 13 + 5) % 8_000);
                    format!("a{n} = a{one}\na{n} = a{two}\n")
                })
                .collect(),
        ),
        (
            "references and values in turn",
            (0..9_000).map(|n| format!("x = a.b{n}\nx = 1\n")).collect(),
        ),
        (
            "names under many scopes",
            format!(
                "x = {}[{}]\n",
                repeat("lambda a,b:", 250),
                repeat("q,", 45_000)
            ),
        ),
        (
            "nested findings",
            format!("x = {}{}\n", repeat("getattr(", 190), repeat(",n)", 190)).repeat(90),
        ),
        ("many findings", repeat("open(eval)\n", 20_000)),
        ("comments", repeat("#\n", 120_000)),
        ("strings", repeat("'a' ", 60_000)),
        ("unclosed", repeat("(", 250_000)),
        ("quotes", repeat("\"", 250_000)),
        (
            "patterns",
            format!(
                "match x:\n case {}1{}: pass\n",
                repeat("[", 50_000),
                repeat("]", 50_000)
            ),
        ),
        (
            "decorators",
            format!("{}def f(): pass\n", repeat("@a\n", 60_000)),
        ),
        (
            "scopes",
            (0..90)
                .map(|depth| format!("{}def f{depth}(a=lambda: 0):\n", " ".repeat(depth)))
                .collect::<String>()
                + &" ".repeat(90)
                + "pass\n",
        ),
        ("backslashes", repeat("\\\n", 100_000)),
    ];
    for (name, source) in shapes {
        let review = review_beside_plain(source.as_bytes());
        assert_bounded(name, source.as_bytes(), &review);
    }
}

/// What the entry points reach: names that lead in a ring, and as many readers as meanings of one name.
#[test]
fn reach_is_bounded() {
    let sources = [
        (
            "from ring import x\n\n\ndef build_model(ctx):\n    return x(ctx)\n".to_owned(),
            "from ring_two import x\n",
        ),
        (
            "def build_model(ctx): return build_model(ctx)\n".repeat(3_000),
            "",
        ),
        (
            format!(
                "class A:\n{}\n\ndef build_model(ctx):\n    A()\n{}",
                " def f(self): self.f\n".repeat(2_000),
                "    ctx.f\n".repeat(2_000)
            ),
            "",
        ),
        (
            format!(
                "def build_model(ctx):\n    return [{}]\n",
                "0 and ctx, ".repeat(4_000)
            ),
            "",
        ),
    ];
    for (architecture, ring) in sources {
        let mut files = plain_bundle();
        files.insert("architecture.py".to_owned(), architecture.into_bytes());
        files.insert("ring.py".to_owned(), ring.into());
        files.insert(
            "ring_two.py".to_owned(),
            b"from ring import x\nimport ring\n".to_vec(),
        );
        let review = review(&files, &ROLES);
        let is_fault = |finding: &Finding| finding.explanation.contains("internal fault");
        assert!(!review.findings.iter().any(is_fault));
    }
}

#[test]
fn too_many_findings_still_reject() {
    let source = "x = undefined_name\n".repeat(3_000) + "open('/x')\n";
    let review = review_beside_plain(source.as_bytes());
    assert_eq!(review.verdict, Verdict::Rejected);
    assert!(review.findings.len() <= 200, "{}", review.findings.len());
}

#[rustfmt::skip]
const FRAGMENTS: &[&str] = &[
    "import torch\n", "from torch import ", "x = ", "def f(a, b=1):\n    ", "class A(B):\n    ", "lambda x: ", "getattr(",
    "open", "eval", "self._x", ".__class__", "torch.", "nn.", "f\"{", "}\"", "'", "\"\"\"", "(", ")", "[", "]", "{", "}",
    ":", ",", "\n", "\n    ", "if ", "else ", "for ", " in ", "match x:\n case ", "=", ":=", "*", "**", "@", "\\\n", "\u{ff45}",
    "é", "\u{202e}", "\0", "\r", "1", "0x", "1e9", "...", "global x\n", "nonlocal x\n", "yield ", "await ", "async ", "#", "del x",
    "with a as b:\n  ", "try:\n pass\nexcept E as e:\n ", "ctx", "format", "'{0.a}'.format(", "type(", "super()", "*args",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let review = review_beside_plain(&bytes);
        assert_bounded("bytes", &bytes, &review);
        for finding in &review.findings {
            prop_assert!(!render(finding, std::str::from_utf8(&bytes).ok()).is_empty());
        }
    }

    #[test]
    fn random_python_never_panics(parts in proptest::collection::vec(proptest::sample::select(FRAGMENTS), 0..60)) {
        let source = parts.concat();
        let review = review_beside_plain(source.as_bytes());
        assert_bounded("fragments", source.as_bytes(), &review);
        let mut files = plain_bundle();
        files.insert("case.py".to_owned(), source.into_bytes());
        let normalised = normalised_source(&files);
        prop_assert!(normalised.is_ok() || review.verdict == Verdict::Rejected);
    }

    #[test]
    fn mutated_python_never_panics(position in 0usize..2_000, length in 0usize..12, insert in "\\PC{0,6}") {
        let source = include_str!("../cases/accepted/models.py");
        let mut text: Vec<char> = source.chars().collect();
        let start = position.min(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, insert.chars());
        let text: String = text.into_iter().collect();
        let review = review_beside_plain(text.as_bytes());
        assert_bounded("mutations", text.as_bytes(), &review);
    }
}
