//! Losses that are committed first: the same run by both transports, and a training that uses the prediction's graph.

use serde_json::json;

use crate::contest::{Contest, finish};
use crate::outbox::number;
use crate::submissions::{SMALL, training};

/// `training()` without a forward of its own.
fn single_forward() -> String {
    training()
        .replace(
            "tokenizer=\"bytes\")",
            "tokenizer=\"bytes\", single_forward=True)",
        )
        .replace("model(batch.tokens)", "batch.logits(model)")
}

#[test]
fn committed_losses_are_the_full_ones_to_the_tolerance() {
    let full = Contest::new(json!({"audit": {"transport": "full"}}));
    let committed = Contest::new(json!({"audit": {"committed_from_vocab": 4_096}}));
    full.submit("two.zip", SMALL, &training());
    committed.submit("two.zip", SMALL, &training());
    committed.submit("one.zip", SMALL, &single_forward());
    for contest in [&full, &committed] {
        let ran = contest.run();
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    let (full, by_logits) = (full.submission("two.zip"), &committed);
    let (two, one) = (
        by_logits.submission("two.zip"),
        by_logits.submission("one.zip"),
    );
    for submission in [&full, &two, &one] {
        assert_eq!(submission.state(), "scored", "{}", submission.log());
        assert_eq!(submission.flags(), [""; 0]);
    }

    let manifest = full.manifest();
    let transport = &manifest["referee"]["transport"];
    assert_eq!(transport["mode"], "full");
    assert_eq!(transport["batches"], transport["audited"]);
    assert_eq!(number(&transport["survival"][0]["probability"]), 0.0);

    let manifest = two.manifest();
    let transport = &manifest["referee"]["transport"];
    assert_eq!(transport["mode"], "committed");
    let (batches, audited) = (number(&transport["batches"]), number(&transport["audited"]));
    assert!(audited > 0.0 && audited < batches, "{transport}");
    assert!(
        number(&transport["largest_difference_nats"]) < 1e-6,
        "{transport}"
    );
    let tolerance = number(&transport["tolerance_nats"]);
    let survives = number(&transport["survival"][0]["probability"]);
    assert!((survives - (1.0 - audited / batches)).abs() < 1e-12);

    let rows = full.online();
    assert_eq!(rows.len(), two.online().len());
    for (full, committed) in rows.iter().zip(two.online()) {
        assert_eq!(
            (full.tokens, full.bytes),
            (committed.tokens, committed.bytes)
        );
        // What the referee computes of the last column itself is the same to the bit.
        assert_eq!(full.blind_nats_q32, committed.blind_nats_q32);
        let difference = (committed.nats_q32 - full.nats_q32) as f64 / 2f64.powi(32);
        let most = 2.0 * tolerance * f64::from(full.tokens);
        assert!((0.0..=most).contains(&difference), "{difference} of {most}");
    }
    // The graph of the prediction teaches what a second forward would.
    assert_eq!(one.stream_bytes(), two.stream_bytes());

    let audited = finish(
        committed
            .prism(&["audit", "--format", "json"])
            .arg(&two.folder),
    );
    assert_eq!(audited.code, Some(0), "{audited:?}");
}
