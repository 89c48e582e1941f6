use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::work_folder::WorkFolder;
use super::*;
use crate::dataset::manifest::is_open;
use crate::dataset::{read, verify};
use crate::progress::Show;

fn quiet() -> Progress {
    Progress::new(Show::Quiet)
}

fn options(root: PathBuf, sources: &[PathBuf]) -> LockOptions {
    LockOptions {
        sources: sources.to_vec(),
        root,
        name: "test".to_owned(),
        license: "none".to_owned(),
        revision: None,
        docs_per_shard: 64,
        limit: None,
    }
}

/// Locks and gives the corpus's folder back.
fn locked(folder: &Path, name: &str, sources: &[PathBuf]) -> PathBuf {
    let root = folder.join(name);
    lock(&options(root.clone(), sources), &quiet()).unwrap();
    root
}

fn failure(folder: &Path, sources: &[PathBuf]) -> DatasetError {
    let root = folder.join("corpus");
    let error = lock(&options(root.clone(), sources), &quiet()).unwrap_err();
    assert!(!root.exists(), "{error}");
    error
}

/// Distinct documents: ids and texts.
fn documents(numbers: std::ops::Range<u32>) -> Vec<(String, String)> {
    numbers
        .map(|n| {
            (
                format!("doc-{n}"),
                format!("text number {n}, é \"and\" \n {}", n * n),
            )
        })
        .collect()
}

fn json_lines(documents: &[(String, String)]) -> String {
    let line = |(id, text): &(String, String)| {
        format!(
            "{}\n",
            serde_json::json!({"id": id, "text": text, "url": 7})
        )
    };
    documents.iter().map(line).collect()
}

fn write(path: PathBuf, bytes: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

fn write_parquet(
    path: &Path,
    documents: &[(String, String)],
    rows: usize,
    codec: ParquetCompression,
) {
    let column = |name: &str, pick: fn(&(String, String)) -> &str| {
        Column::new(
            name.into(),
            documents.iter().map(pick).collect::<Vec<&str>>(),
        )
    };
    let score = Column::new("score".into(), vec![2.5f64; documents.len()]);
    let columns = vec![column("text", |d| &d.1), column("id", |d| &d.0), score];
    let mut frame = DataFrame::new(documents.len(), columns).unwrap();
    ParquetWriter::new(fs::File::create(path).unwrap())
        .with_compression(codec)
        .with_row_group_size(Some(rows))
        .finish(&mut frame)
        .unwrap();
}

/// Every file of a corpus but the proof, which tells times.
fn contents(root: &Path) -> BTreeMap<PathBuf, String> {
    walkdir::WalkDir::new(root)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file() && entry.file_name() != "PROOF.json")
        .map(|entry| {
            let name = entry.path().strip_prefix(root).unwrap().to_owned();
            let text = fs::read_to_string(entry.path()).unwrap();
            let shown = if name.ends_with("MANIFEST.json") {
                text
            } else {
                hex(&Sha256::digest(text))
            };
            (name, shown)
        })
        .collect()
}

#[test]
fn a_locked_corpus_verifies_and_reads_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = json_lines(&documents(0..500));
    text.push_str("{\"id\":\"\",\"text\":\"x\"}\n\n{\"text\":7}\n{\"id\":\"y\"}\n");
    let source = write(folder.path().join("source.jsonl"), text);
    let options = options(folder.path().join("corpus"), &[source]);
    let report = lock(&options, &quiet()).unwrap();
    assert_eq!(report.left_out.no_id_or_text, 3);
    assert_eq!(report.left_out.total(), 3);
    assert_eq!(report.doc_counts.values().sum::<u64>(), 500);
    let corpus = Corpus::open(&options.root).unwrap();
    assert_eq!(corpus.manifest.left_out, Some(report.left_out));
    let verified = verify::verify(&corpus, &Split::ALL, &quiet()).unwrap();
    assert_eq!((verified.documents, verified.warnings.len()), (500, 0));
    let train = read::prefix(&corpus, Split::Train, u64::MAX).unwrap();
    assert!(train.is_sorted_by(|a, b| a.id < b.id));
    assert!(train.iter().all(|document| !is_open(&document.id)));
    let open = corpus.manifest.open.as_ref().unwrap().doc_count;
    assert!(open > 0);
    assert_eq!(train.len() as u64 + open, report.doc_counts["train"]);
    for (name, mode) in [
        ("train", 0o755),
        ("open", 0o755),
        ("val", 0o700),
        ("test", 0o700),
    ] {
        let path = options.root.join(name);
        let found = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{name}");
        let shard = fs::metadata(path.join(format!("{name}-00000.jsonl"))).unwrap();
        assert_eq!(shard.permissions().mode() & 0o777, mode & 0o666, "{name}");
    }
    // Nothing else is left beside the source and the corpus.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn the_form_and_the_order_of_the_sources_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let all = documents(0..900);
    let plain = write(folder.path().join("all.jsonl"), json_lines(&all));
    let expected = contents(&locked(folder.path(), "plain", &[plain]));

    let mixed = folder.path().join("mixed");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(json_lines(&all[600..800]).as_bytes())
        .unwrap();
    // Several members in one file are one text.
    let mut gzip = gzip.finish().unwrap();
    let mut second = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    second
        .write_all(json_lines(&all[800..820]).as_bytes())
        .unwrap();
    gzip.extend(second.finish().unwrap());
    write(mixed.join("deep/c.jsonl.gz"), gzip);
    let zstd = zstd::encode_all(json_lines(&all[820..900]).as_bytes(), 3).unwrap();
    write(mixed.join("b.jsonl.zst"), zstd);
    write(mixed.join(".hidden.jsonl"), "not JSON");
    write(mixed.join("README.md"), "not a source");
    let codecs = [
        ParquetCompression::Snappy,
        ParquetCompression::Zstd(None),
        ParquetCompression::Gzip(None),
        ParquetCompression::Lz4Raw,
        ParquetCompression::Uncompressed,
    ];
    for (part, codec) in codecs.into_iter().enumerate() {
        let slice = &all[part * 100..part * 100 + 100];
        write_parquet(&mixed.join(format!("{part}.parquet")), slice, 30, codec);
    }
    let rest = write(folder.path().join("rest.jsonl"), json_lines(&all[500..600]));
    // What a download leaves is often a link into a store of files.
    std::os::unix::fs::symlink(&rest, mixed.join("a.jsonl")).unwrap();
    assert_eq!(
        expected,
        contents(&locked(
            folder.path(),
            "mixed-corpus",
            std::slice::from_ref(&mixed)
        ))
    );
    let twice = [rest, mixed];
    assert_eq!(expected, contents(&locked(folder.path(), "again", &twice)));
}

#[test]
fn text_files_are_documents_named_by_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts");
    for n in 0..60 {
        write(
            texts.join(format!("{}/{n}.txt", n % 3)),
            format!("chapter {n}"),
        );
    }
    write(texts.join("empty.txt"), "");
    let root = folder.path().join("corpus");
    let report = lock(&options(root.clone(), &[texts]), &quiet()).unwrap();
    assert_eq!(report.left_out.no_id_or_text, 1);
    let corpus = Corpus::open(&root).unwrap();
    let train = read::prefix(&corpus, Split::Train, u64::MAX).unwrap();
    let document = train
        .iter()
        .find(|document| document.text == "chapter 7")
        .unwrap();
    assert_eq!(document.id, "1/7.txt");
}

/// The first ids of each split, by their hash.
fn ids(split: Split, count: usize) -> Vec<String> {
    (0..)
        .map(|n| format!("id-{n:05}"))
        .filter(|id| Split::of(id) == split && !is_open(id))
        .take(count)
        .collect()
}

#[test]
fn of_equals_one_stays_whatever_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let (train, val, test) = (
        ids(Split::Train, 4),
        ids(Split::Val, 2),
        ids(Split::Test, 1),
    );
    let record = |id: &str, text: &str| (id.to_owned(), text.to_owned());
    let mut records = vec![
        record(&train[0], "in all three"),
        record(&val[0], "in all three"),
        record(&test[0], "in all three"),
        record(&val[1], "of val"),
        record(&train[1], "twice in train"),
        record(&train[2], "twice in train"),
        record(&train[3], "first text"),
        record(&train[3], "second text"),
    ];
    let source = write(folder.path().join("a.jsonl"), json_lines(&records));
    let root = locked(folder.path(), "a", &[source]);
    records.reverse();
    let source = write(folder.path().join("b.jsonl"), json_lines(&records));
    assert_eq!(
        contents(&root),
        contents(&locked(folder.path(), "b", &[source]))
    );
    let corpus = Corpus::open(&root).unwrap();
    let left_out = corpus.manifest.left_out.unwrap();
    assert_eq!(
        (
            left_out.duplicate_id,
            left_out.duplicate_text,
            left_out.near_duplicate
        ),
        (1, 3, 0)
    );
    let of = |split| read::prefix(&corpus, split, u64::MAX).unwrap();
    let texts = |split| of(split).into_iter().map(|d| d.text).collect::<Vec<_>>();
    assert_eq!(texts(Split::Test), ["in all three"]);
    assert_eq!(texts(Split::Val), ["of val"]);
    // Its sha256 is the smaller one.
    assert_eq!(texts(Split::Train), ["twice in train", "second text"]);
    assert_eq!(of(Split::Train)[0].id, train[1]);
}

#[test]
fn train_holds_nothing_much_like_val_or_test() {
    let folder = tempfile::tempdir().unwrap();
    let text = |seed: u32| -> Vec<String> {
        (0..300u32)
            .map(|n| format!("w{}", (seed * 7_919 + n * n * 31 + n) % 9_973))
            .collect()
    };
    let (train, val, test) = (
        ids(Split::Train, 5),
        ids(Split::Val, 2),
        ids(Split::Test, 2),
    );
    let mut like_val = text(1);
    like_val[150] = "changed".to_owned();
    let like_test = text(2).join("  ").to_uppercase() + "!";
    let records = [
        (val[0].clone(), text(1).join(" ")),
        // Of the held-out documents themselves none is left out for likeness.
        (val[1].clone(), text(1)[1..].join(" ")),
        (test[0].clone(), text(2).join(" ")),
        (test[1].clone(), text(3).join(" ")),
        (train[0].clone(), like_val.join(" ")),
        (train[1].clone(), like_test),
        (train[2].clone(), text(4).join(" ")),
        // Near-duplicates within train stay: the issue is what is held out.
        (train[3].clone(), text(4)[1..].join(" ")),
        (
            train[4].clone(),
            format!("{} {}", text(5).join(" "), text(3)[..60].join(" ")),
        ),
    ];
    let source = write(folder.path().join("a.jsonl"), json_lines(&records));
    let corpus = Corpus::open(&locked(folder.path(), "a", &[source])).unwrap();
    let left_out = corpus.manifest.left_out.unwrap();
    assert_eq!((left_out.near_duplicate, left_out.total()), (2, 2));
    let kept = read::prefix(&corpus, Split::Train, u64::MAX).unwrap();
    let kept: Vec<&str> = kept.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(kept, train[2..]);
    assert_eq!(corpus.shards(Split::Val)[0].doc_count, 2);
}

#[test]
fn a_limit_takes_the_first_usable_records() {
    let folder = tempfile::tempdir().unwrap();
    let all = documents(0..300);
    let mut text = String::from("{}\n");
    text.push_str(&json_lines(&all[..200]));
    let first = write(folder.path().join("a.jsonl"), text);
    let second = write(folder.path().join("b.jsonl"), json_lines(&all[200..]));
    let mut wanted = options(folder.path().join("limited"), &[first, second]);
    wanted.limit = Some(250);
    lock(&wanted, &quiet()).unwrap();
    let source = write(folder.path().join("c.jsonl"), json_lines(&all[..250]));
    let mut limited = contents(&wanted.root);
    let mut plain = contents(&locked(folder.path(), "plain", &[source]));
    let manifest = Path::new("MANIFEST.json");
    let text = limited.remove(manifest).unwrap();
    assert!(text.contains("\"source_doc_limit\": 250"));
    plain.remove(manifest);
    assert_eq!(limited, plain);
}

#[test]
fn a_lock_that_failed_goes_on_and_makes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let sources: Vec<PathBuf> = (0..4)
        .map(|part| {
            let documents = documents(part * 100..part * 100 + 100);
            write(
                folder.path().join(format!("{part}.jsonl")),
                json_lines(&documents),
            )
        })
        .collect();
    let expected = contents(&locked(folder.path(), "whole", &sources));
    let good = fs::read(&sources[2]).unwrap();
    fs::write(
        &sources[2],
        [&good[..], b"{\"id\":\"x\",\"text\":\"SECRET"].concat(),
    )
    .unwrap();
    let error = failure(folder.path(), &sources).to_string();
    assert!(
        error.ends_with("2.jsonl:101: not a JSON object (column 24)"),
        "{error}"
    );
    let work = folder.path().join(".corpus.prism-lock");
    assert_eq!(
        fs::metadata(&work).unwrap().permissions().mode() & 0o777,
        0o700
    );
    // What a kill can leave: half a line of the journal, a run that nobody knows, half a corpus.
    let mut journal = fs::OpenOptions::new()
        .append(true)
        .open(work.join("journal.jsonl"))
        .unwrap();
    journal.write_all(b"{\"what\":\"finished\",\"iden").unwrap();
    write(work.join("00000099.run"), "half a run");
    write(work.join("corpus/train/train-00000.jsonl"), "half a shard");
    fs::write(&sources[2], good).unwrap();
    // A source that changed in between is read again.
    fs::write(&sources[0], fs::read(&sources[0]).unwrap()).unwrap();
    let report = lock(&options(folder.path().join("corpus"), &sources), &quiet()).unwrap();
    assert_eq!(report.resumed_sources, 1);
    assert_eq!(contents(&folder.path().join("corpus")), expected);
    assert!(!work.exists());
}

#[test]
fn more_runs_than_files_may_be_open_are_merged_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let all = documents(0..1_200);
    let many = folder.path().join("many");
    for (n, part) in all.chunks(4).enumerate() {
        write(many.join(format!("{n:04}.jsonl")), json_lines(part));
    }
    let plain = write(folder.path().join("plain.jsonl"), json_lines(&all));
    let expected = contents(&locked(folder.path(), "a", &[plain]));
    assert_eq!(expected, contents(&locked(folder.path(), "b", &[many])));
}

#[test]
fn two_locks_do_not_meet() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path().join("a.jsonl"), json_lines(&documents(0..50)));
    let held = WorkFolder::open(&folder.path().join("corpus")).unwrap();
    let error = failure(folder.path(), std::slice::from_ref(&source));
    assert!(matches!(error, DatasetError::Busy { .. }), "{error}");
    // A lock of a process that is gone frees itself.
    drop(held);
    locked(folder.path(), "corpus", &[source]);
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let source = write(at("a.jsonl"), json_lines(&documents(0..50)));
    let refused = |root: &str, words: &str| {
        let error = lock(&options(at(root), std::slice::from_ref(&source)), &quiet()).unwrap_err();
        assert!(matches!(error, DatasetError::Output { .. }), "{error}");
        assert!(error.to_string().ends_with(words), "{error}");
    };
    locked(folder.path(), "corpus", std::slice::from_ref(&source));
    refused(
        "corpus",
        "is a corpus already; a locked corpus is never overwritten",
    );
    write(at("full/file"), "");
    refused("full", "exists and is not empty");
    refused("a.jsonl", "exists and is no folder");
    std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
    refused("link", "is a link, expected a new folder");
    refused("corpus/..", "got no name for the corpus");
    write(at(".taken.prism-lock"), "");
    refused("taken", "is in the way: it is no folder");
    fs::create_dir(at("empty")).unwrap();
    locked(folder.path(), "empty", std::slice::from_ref(&source));
}

#[test]
fn bad_sources_are_told_by_place_and_never_by_text() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let good = json_lines(&documents(0..300));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(good.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(good.as_bytes(), 3).unwrap();
    write_parquet(
        &at("whole.parquet"),
        &documents(0..300),
        100,
        ParquetCompression::Snappy,
    );
    let parquet = fs::read(at("whole.parquet")).unwrap();
    let no_text = at("no-text.parquet");
    let mut frame = df!("id" => ["a"], "body" => ["SECRET"]).unwrap();
    ParquetWriter::new(fs::File::create(&no_text).unwrap())
        .finish(&mut frame)
        .unwrap();
    let mut frame = df!("id" => [1i64], "text" => ["SECRET"]).unwrap();
    let number = at("number.parquet");
    ParquetWriter::new(fs::File::create(&number).unwrap())
        .finish(&mut frame)
        .unwrap();
    let mut utf8 = parquet_with_text(&at("utf8.parquet"), "SECRETSECRET");
    let place = find(&utf8, b"SECRETSECRET");
    utf8[place + 6] = 0xff;

    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "a.jsonl",
            b"{\"id\":\"a\",\"text\":\"SECRET\xff\"}".to_vec(),
            ":1: not UTF-8 at byte 24 of the line",
        ),
        (
            "b.jsonl",
            b"[\"SECRET\"]\n".to_vec(),
            ":1: not a JSON object (column 0)",
        ),
        ("c.txt", b"SECRET\xff".to_vec(), ": not UTF-8 at byte 6"),
        (
            "d.jsonl.gz",
            gzip[..gzip.len() / 2].to_vec(),
            "(damaged or truncated gzip?)",
        ),
        (
            "e.jsonl.zst",
            zstd[..zstd.len() / 2].to_vec(),
            "(damaged or truncated zstd?)",
        ),
        (
            "f.jsonl.gz",
            good.clone().into_bytes(),
            "(damaged or truncated gzip?)",
        ),
        (
            "g.parquet",
            parquet[..parquet.len() / 2].to_vec(),
            "at both ends (truncated?)",
        ),
        ("h.parquet", b"PAR1".to_vec(), "at both ends (truncated?)"),
        (
            "i.parquet",
            [&parquet[..4], &parquet[parquet.len() - 8..]].concat(),
            "in a file of 12",
        ),
        (
            "j.parquet",
            fs::read(no_text).unwrap(),
            ": no column \"text\"",
        ),
        (
            "k.parquet",
            fs::read(number).unwrap(),
            ": column \"id\": got i64, expected strings",
        ),
        ("l.parquet", utf8, ": rows 0 to 0: not UTF-8"),
        (
            "m.csv",
            b"id,text".to_vec(),
            "expected .parquet, .jsonl, .jsonl.gz, .jsonl.zst or .txt files",
        ),
        (
            "n.jsonl",
            Vec::new(),
            "got no usable document for train, expected records with id and text",
        ),
    ];
    for (name, bytes, words) in cases {
        let source = write(at(name), bytes);
        let error = failure(folder.path(), &[source]).to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
        assert!(error.contains(name), "{error}");
    }
    assert!(
        !at(".corpus.prism-lock")
            .join("corpus/MANIFEST.json")
            .exists()
    );
}

fn parquet_with_text(path: &Path, text: &str) -> Vec<u8> {
    let documents = [("a".to_owned(), text.to_owned())];
    write_parquet(path, &documents, 10, ParquetCompression::Uncompressed);
    fs::read(path).unwrap()
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes
        .windows(what.len())
        .position(|window| window == what)
        .unwrap()
}

#[test]
fn a_damaged_parquet_file_is_an_error_or_other_text_and_never_an_abort() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.parquet");
    write_parquet(&path, &documents(0..60), 30, ParquetCompression::Snappy);
    let whole = fs::read(&path).unwrap();
    let mut errors = 0;
    for seed in 0..400usize {
        let mut bytes = whole.clone();
        // Every other time the footer, which holds all lengths and places.
        let (from, length) = match seed % 2 {
            0 => (0, bytes.len()),
            _ => (bytes.len() * 3 / 4, bytes.len() / 4),
        };
        let place = from + (seed * 2_654_435_761) % length;
        bytes[place] ^= 1 << (seed % 8);
        bytes[(place * 7) % whole.len()] ^= 0x80;
        fs::write(&path, bytes).unwrap();
        let read = parquet::read(&path, &mut |_| Ok(()));
        errors += u32::from(read.is_err());
    }
    assert!(errors > 100, "{errors}");
}
