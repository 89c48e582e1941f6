//! Duplicates and near-duplicates.

use super::*;

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
