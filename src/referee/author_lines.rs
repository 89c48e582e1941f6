//! From a line of the source as it runs back to the author's: in a fault's place and in the tracebacks of a log.

use std::collections::BTreeMap;

use super::plan::Source;

/// `training.py:17` with the author's line; what names no line of these files comes back as it is.
pub fn place(sources: &BTreeMap<String, Source>, place: &str) -> String {
    place
        .rsplit_once(':')
        .and_then(|(path, line)| {
            let line = author_line(sources.get(path)?, line.parse().ok()?)?;
            Some(format!("{path}:{line}"))
        })
        .unwrap_or_else(|| place.to_owned())
}

fn author_line(source: &Source, line: usize) -> Option<u32> {
    source.lines.get(line.checked_sub(1)?).copied()
}

/// A file of the submission in both forms.
pub struct Forms<'a> {
    pub source: &'a Source,
    pub bare: &'a str,
    pub author: &'a str,
}

/// A log in which tracebacks and warnings name the author's lines and quote them. `projects` are the folders that the
/// processes may have seen the files in. Whatever else is in the log stays as it is, byte by byte.
pub fn log(bytes: &[u8], projects: &[&str], files: &BTreeMap<String, Forms<'_>>) -> Vec<u8> {
    let mut output = Vec::with_capacity(bytes.len());
    // the quoted line that the next line of the log may be, and the author's instead
    let mut quoted: Option<(&str, &str)> = None;
    let mut drop_marks = false;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let text = std::str::from_utf8(line).unwrap_or("");
        let content = text.trim();
        if std::mem::take(&mut drop_marks)
            && !content.is_empty()
            && content
                .bytes()
                .all(|byte| matches!(byte, b'~' | b'^' | b' '))
        {
            continue;
        }
        if let Some((bare, author)) = quoted.take()
            && content == bare
        {
            let indent = text.len() - text.trim_start().len();
            output.extend_from_slice(&line[..indent]);
            output.extend_from_slice(author.as_bytes());
            output.push(b'\n');
            drop_marks = true;
            continue;
        }
        match named(text, projects, files) {
            Some((start, end, number, quotes)) => {
                output.extend_from_slice(&line[..start]);
                output.extend_from_slice(number.to_string().as_bytes());
                output.extend_from_slice(&line[end..]);
                quoted = quotes;
            }
            None => output.extend_from_slice(line),
        }
    }
    output
}

/// Where the digits of a line number stand, the number to write there, and how that line reads in both forms.
type Named<'a> = (usize, usize, u32, Option<(&'a str, &'a str)>);

/// `File "FOLDER/training.py", line 17` or `FOLDER/training.py:17:` in a line of a log.
fn named<'a>(
    text: &str,
    projects: &[&str],
    files: &'a BTreeMap<String, Forms<'_>>,
) -> Option<Named<'a>> {
    projects.iter().find_map(|project| {
        let after_project = text.find(project)? + project.len();
        let rest = text.get(after_project..)?.strip_prefix('/')?;
        files.iter().find_map(|(path, forms)| {
            let tail = rest.strip_prefix(path.as_str())?;
            let digits = tail
                .strip_prefix("\", line ")
                .or_else(|| tail.strip_prefix(':'))?;
            let length = digits.bytes().take_while(u8::is_ascii_digit).count();
            let line: usize = digits.get(..length)?.parse().ok()?;
            let number = author_line(forms.source, line)?;
            let start = text.len() - digits.len();
            let quotes = forms.bare.lines().nth(line - 1).zip(
                (number as usize)
                    .checked_sub(1)
                    .and_then(|index| forms.author.lines().nth(index)),
            );
            let quotes = quotes.map(|(bare, author)| (bare.trim(), author.trim()));
            Some((start, start + length, number, quotes))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: &str = "# why\n\nimport torch\n\n\ndef train(ctx):\n    \"\"\"Trains.\"\"\"\n    raise ValueError(  # now\n        1)\n";
    const BARE: &str = "import torch\ndef train ( ctx ) :\n raise ValueError ( 1 )\n";

    fn source() -> Source {
        Source {
            ast_sha256: String::new(),
            lines: vec![3, 6, 8],
        }
    }

    #[test]
    fn a_place_is_the_authors() {
        let sources = BTreeMap::from([("a/training.py".to_owned(), source())]);
        for (told, expected) in [
            ("a/training.py:3", "a/training.py:8"),
            ("a/training.py:4", "a/training.py:4"),
            ("a/training.py:0", "a/training.py:0"),
            ("a/training.py:x", "a/training.py:x"),
            (
                "a/training.py:99999999999999999999",
                "a/training.py:99999999999999999999",
            ),
            ("other.py:3", "other.py:3"),
            ("", ""),
            (":", ":"),
        ] {
            assert_eq!(place(&sources, told), expected);
        }
    }

    #[test]
    fn a_traceback_reads_as_if_the_authors_file_had_run() {
        let source = source();
        let forms = Forms {
            source: &source,
            bare: BARE,
            author: AUTHOR,
        };
        let files = BTreeMap::from([("a/training.py".to_owned(), forms)]);
        let mapped = |text: &[u8]| log(text, &["/prism/project", "/host/it"], &files);
        let told = b"x\n  File \"/prism/project/a/training.py\", line 3, in train\n    raise ValueError ( 1 )\n    ^^^^^^^~~\n\xff\nValueError: 1\n";
        let expected = b"x\n  File \"/prism/project/a/training.py\", line 8, in train\n    raise ValueError(  # now\n\xff\nValueError: 1\n";
        assert_eq!(mapped(told), expected);
        let warning = b"/host/it/a/training.py:1: UserWarning: w\n  import torch\n";
        assert_eq!(
            mapped(warning),
            b"/host/it/a/training.py:3: UserWarning: w\n  import torch\n"
        );
        // what only looks like one stays: another file, another line behind it, no such line
        for text in [
            &b"  File \"/prism/project/b.py\", line 3, in f\n    g()\n"[..],
            b"  File \"/prism/project/a/training.py\", line 9\n    g()\n    ^^^\n",
            b"/prism/project/a/training.py\n^^^\n",
            b"    ^^^^\n",
        ] {
            assert_eq!(mapped(text), text);
        }
    }
}
