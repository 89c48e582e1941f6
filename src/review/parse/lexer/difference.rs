//! Our tokens against the library's.

use rustpython_parser::Mode;
use rustpython_parser::lexer::lex;

use super::Lexer;

/// The first token that differs from the library's, up to the first error; none where all are the same.
pub fn difference(source: &str) -> Option<String> {
    let mut ours = Lexer::new(source);
    for (index, expected) in lex(source, Mode::Module).enumerate() {
        let got = ours.next();
        if got.as_ref() != Some(&expected) {
            return Some(format!("token {index}: expected {expected:?}, got {got:?}"));
        }
        if expected.is_err() {
            return None;
        }
    }
    ours.next()
        .map(|got| format!("expected the end of the file, got {got:?}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of which most texts are no Python at all.
    const PIECES: &[&str] = &[
        "x",
        "self",
        "if",
        "match",
        "case",
        "type",
        "None",
        "r",
        "rb",
        "f",
        "u",
        "é",
        "\u{feff}",
        "🙂",
        "_",
        "e",
        "j",
        "0",
        "1",
        "7",
        "00",
        "0x1f",
        "1_0",
        "1e5",
        "1.e",
        ".5",
        "1.",
        "1j",
        "9999999999999999999",
        "18446744073709551616",
        "'",
        "\"",
        "'''",
        "\"\"\"",
        "'a'",
        "\"b\\\"\"",
        "\\",
        "\\\n",
        "\n",
        "\n\n",
        "\n ",
        "\n    ",
        "\n\t",
        "\n \t",
        " ",
        "\t",
        "#",
        "# c\n",
        "\r",
        "\r\n",
        "\x0c",
        "\0",
        "$",
        "?",
        "!",
        "!=",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ";",
        ".",
        "...",
        "=",
        "==",
        "+",
        "-",
        "->",
        "*",
        "**",
        "**=",
        "/",
        "//",
        "//=",
        "%",
        "|",
        "^",
        "&",
        "@",
        "<",
        "<<",
        "<<=",
        ">",
        ">>",
        ">>=",
        ":=",
        "~",
        "lambda",
    ];

    #[test]
    fn every_token_of_the_sources_here_is_the_librarys() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/review/cases");
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
        let mut count = 0;
        for entry in [folder, root].iter().flat_map(walkdir::WalkDir::new) {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|suffix| suffix == "py") {
                let source = std::fs::read_to_string(&path).unwrap();
                assert_eq!(difference(&source), None, "{}", path.display());
                // cut in the middle of anything
                for (end, _) in source.char_indices().step_by(97) {
                    assert_eq!(difference(&source[..end]), None, "{}:{end}", path.display());
                }
                count += 1;
            }
        }
        assert!(count > 10, "{count}");
    }

    #[test]
    fn what_comes_first_is_told_first() {
        for source in [
            "",
            "\n",
            "x",
            "  x",
            "if x:\n  y",
            "if x:\n  y\n z\n",
            "if x:\n  y\n\tz\n",
            "if x:\n  $\n",
            "if x:\n  y\n$\n",
            "if x:\n  \\\n $\n",
            "if x:\n  if y:\n    z\n\n# end",
            "if x:\n  match y:\n    case 1: pass\n  type z = int\n",
            "match = case = type = 1\n",
            "x.match(y.type)\nmatch(x)\n",
            ")",
            "(",
            "x = (\n  1,\n\n # c\n  2)\ny",
            "x \\\n = 1",
            "x \\",
            "x \\\n",
            "'a\\\nb' 'é' rb'\\'' Rf\"{x}\" x'' bu''",
            "'''a''b\n''''",
            "'a",
            "'''a\\",
            "1if x else 2",
            "1.real, 1..real, 1.5.real, 0xfor, 1__0, 1_000, 0_0, 007, 1e5j, 1.5E-3",
        ] {
            assert_eq!(difference(source), None, "{source:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn whatever_the_text(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..24)) {
            let source = pieces.concat();
            prop_assert_eq!(difference(&source), None, "{:?}", source);
        }
    }
}
