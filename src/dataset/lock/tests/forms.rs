//! What a source can look like, and that it does not matter.

use super::*;

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
