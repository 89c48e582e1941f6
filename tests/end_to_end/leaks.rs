//! Held-out text passes through the submission's hands, and must not come out of them.

use serde_json::json;

use crate::contest::Contest;
use crate::corpus::CANARY;
use crate::submissions::{SMALL, training};

/// Prints every text that it is asked to predict.
fn parrot() -> String {
    SMALL.replace(
        "        return self.head(",
        "        print('HEARD', *[''.join(chr(i) for i in row if i < 128) for row in tokens.tolist()], flush=True)\n        \
         return self.head(",
    )
}

/// Raises, with the text in its message, when it is shown what it takes for a secret.
fn telltale() -> String {
    SMALL.replace(
        "        return self.head(",
        "        for row in tokens.tolist():\n            \
             text = ''.join(chr(i) for i in row if i < 128)\n            \
             if 'CANARY' in text:\n                \
                 raise ValueError('I saw ' + text)\n        \
         return self.head(",
    )
}

#[test]
fn held_out_text_is_in_no_public_file() {
    let contest = Contest::new(json!({}));
    contest.submit("parrot.zip", &parrot(), &training());
    contest.submit("telltale.zip", &telltale(), &training());
    // Files, stdout and stderr are searched for the canary after every run.
    let ran = contest.run();
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let parrot = contest.submission("parrot.zip");
    assert_eq!(parrot.state(), "scored", "{:#}", parrot.status);
    assert!(
        parrot.log().contains("HEARD Volume"),
        "it did talk: {}",
        parrot.log()
    );
    // The submission did see it, and its words are where only the operator looks.
    let private = contest.outbox().join(".private").join(parrot.id());
    for phase in ["twin.log", "heldout.log"] {
        let log = std::fs::read_to_string(private.join(phase)).unwrap();
        assert!(log.contains(CANARY), "{phase}: {log}");
    }

    let telltale = contest.submission("telltale.zip");
    assert_eq!(telltale.state(), "failed", "{:#}", telltale.status);
    assert!(
        telltale.message().contains("held-out text"),
        "{:#}",
        telltale.status
    );
    assert!(
        !telltale.message().contains("I saw"),
        "{:#}",
        telltale.status
    );
}
