use proptest::prelude::*;

use super::super::pools::{Pools, weights};
use super::*;

const NOTHING: Baseline = Baseline {
    q_arch: 0.2,
    q_recipe: 0.2,
};

/// A full run, accepted at second `at` and concluded a minute later.
fn run(id: &str, owner: &str, structure: &str, at: u32, q: f64) -> Run {
    Run {
        submission_id: id.to_owned(),
        owner: owner.to_owned(),
        accepted_at: format!("2026-01-01T00:00:{at:02}.000Z"),
        concluded_at: format!("2026-01-01T00:01:{at:02}.000Z"),
        claims_training: true,
        claims_architecture: true,
        structure_digest: structure.to_owned(),
        basis: Basis::Traced,
        graph_hash: "g".to_owned(),
        training_hash: format!("training-of-{id}"),
        q_arch: q,
        q_recipe: q,
        q_recipe_std: 0.0,
    }
}

fn names(ledger: &Ledger) -> Vec<String> {
    let name = |event: &Event| {
        let value = serde_json::to_value(event).unwrap();
        format!(
            "{} {}",
            event.submission_id,
            value["event"].as_str().unwrap()
        )
    };
    ledger.events.iter().map(name).collect()
}

#[test]
fn improvements_are_those_of_the_contract() {
    let table = [
        (ARCHITECTURE, (0.511, 0.0), (0.5, 0.0), true),
        (ARCHITECTURE, (0.509, 0.0), (0.5, 0.0), false),
        // the relative part counts from 2 on, which no score reaches
        (ARCHITECTURE, (4.02, 0.0), (4.0, 0.0), false),
        (TRAINING, (0.521, 0.0), (0.5, 0.0), true),
        (TRAINING, (0.519, 0.0), (0.5, 0.0), false),
        (TRAINING, (0.54, 0.03), (0.5, 0.04), false),
        (TRAINING, (0.56, 0.03), (0.5, 0.04), true),
    ];
    for (threshold, new, old, expected) in table {
        assert_eq!(threshold.is_improved(new, old), expected, "{new:?} {old:?}");
    }
}

#[test]
fn the_first_owns_and_a_better_training_earns_its_own_pool() {
    let mut trainer = run("b", "bob", "aaaa", 2, 0.6);
    trainer.claims_architecture = false;
    let runs = [
        run("a", "ann", "aaaa", 1, 0.4),
        trainer,
        run("c", "cid", "cccc", 3, 0.59),
    ];
    let ledger = ledger(&runs, NOTHING);
    assert_eq!(
        names(&ledger),
        [
            "a family_created",
            "a training_created",
            "a training_best",
            "a frontier_advanced",
            "a frontier_advanced",
            "b version_attached",
            "b training_created",
            "b training_best",
            "b frontier_advanced",
            "b frontier_advanced",
            "c family_created",
            "c training_created",
            "c training_best",
        ]
    );
    let [family, idle] = &ledger.families[..] else {
        panic!("{ledger:?}");
    };
    assert_eq!(
        (family.owner.as_str(), family.canonical.as_deref()),
        ("ann", Some("a"))
    );
    assert_eq!((family.versions, idle.gain), (2, 0.0));
    // architecture: ann 0.4 of 0.4; training: ann 0.2, bob 0.2
    let weights = weights(&ledger.families, Pools::default());
    assert_eq!(weights.len(), 2);
    assert!((weights["ann"] - 0.8).abs() < 1e-12, "{weights:?}");
    assert!((weights["bob"] - 0.2).abs() < 1e-12, "{weights:?}");
}

#[test]
fn an_architecture_alone_claims_no_training() {
    let mut alone = run("a", "ann", "aaaa", 1, 0.5);
    alone.claims_training = false;
    let ledger = ledger(&[alone], NOTHING);
    assert_eq!(names(&ledger), ["a family_created", "a frontier_advanced"]);
    assert!(ledger.families[0].variants.is_empty());
    let weights = weights(&ledger.families, Pools::default());
    assert_eq!(weights, BTreeMap::from([("ann".to_owned(), 1.0)]));
}

#[test]
fn a_run_that_was_accepted_earlier_and_concluded_later_owns() {
    let mut late = run("a", "ann", "aaaa", 1, 0.4);
    late.concluded_at = "2026-01-02T00:00:00.000Z".to_owned();
    let early = run("b", "bob", "aaaa", 2, 0.405);
    let before = ledger(std::slice::from_ref(&early), NOTHING);
    let after = ledger(&[late, early], NOTHING);
    assert_eq!(before.families[0].owner, "bob");
    assert_eq!(after.families[0].owner, "ann");
    assert_eq!(after.events[..before.events.len()], before.events);
    assert!(names(&after).contains(&"a owner_corrected".to_owned()));
    assert!(weights(&after.families, Pools::default())["ann"] >= 0.6);
}

#[test]
fn a_canonical_version_changes_by_more_than_noise() {
    let runs = [
        run("a", "ann", "aaaa", 1, 0.4),
        run("b", "bob", "aaaa", 2, 0.405),
        run("c", "cid", "aaaa", 3, 0.42),
    ];
    let ledger = ledger(&runs, NOTHING);
    let family = &ledger.families[0];
    assert_eq!(
        (family.canonical.as_deref(), family.owner.as_str()),
        (Some("c"), "ann")
    );
    let updates = names(&ledger)
        .iter()
        .filter(|name| name.ends_with("canonical_updated"))
        .count();
    assert_eq!(updates, 1);
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let one = (
        "[a-d]",
        "[m-p]{4}",
        0_u32..60,
        0.0..1.0_f64,
        any::<(bool, bool)>(),
    );
    prop::collection::vec(one, 0..10).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(
                |(number, (owner, structure, at, q, (training, architecture)))| Run {
                    claims_training: training || !architecture,
                    claims_architecture: architecture,
                    ..run(&format!("s{number}"), &owner, &structure, at, q)
                },
            )
            .collect()
    })
}

proptest! {
    #[test]
    fn the_order_of_reading_changes_nothing(shuffled in runs().prop_flat_map(|runs| (Just(runs.clone()), Just(runs).prop_shuffle()))) {
        prop_assert_eq!(ledger(&shuffled.0, NOTHING), ledger(&shuffled.1, NOTHING));
    }

    #[test]
    fn the_log_only_grows(runs in runs()) {
        let mut ordered = runs;
        ordered.sort_by(|a, b| (&a.concluded_at, &a.submission_id).cmp(&(&b.concluded_at, &b.submission_id)));
        let whole = ledger(&ordered, NOTHING).events;
        for count in 0..ordered.len() {
            let part = ledger(&ordered[..count], NOTHING).events;
            prop_assert_eq!(&whole[..part.len()], &part[..]);
        }
    }

    #[test]
    fn weights_are_whole_and_gains_telescope(runs in runs()) {
        let ledger = ledger(&runs, NOTHING);
        let best = runs.iter().map(|run| run.q_arch).fold(NOTHING.q_arch, f64::max);
        let gained: f64 = ledger.families.iter().map(|family| family.gain).sum();
        // what is within the threshold of the best is not gained
        prop_assert!(gained <= best - NOTHING.q_arch + 1e-12 && gained >= best - NOTHING.q_arch - 0.0101);
        let weights = weights(&ledger.families, Pools::default());
        prop_assert!(weights.is_empty() || (weights.values().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
