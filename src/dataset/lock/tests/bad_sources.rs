//! Damaged sources: told by place, never by text.

use super::*;

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
