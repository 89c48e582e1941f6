//! Whatever lies in the inbox, each file gets its own verdict, and an honest submission beside it is scored.

use serde_json::json;

use crate::contest::Contest;
use crate::processes::ranks_below;
use crate::submissions::{SMALL, model_of, training, training_with};
use crate::{corpus, zips};

const RAISES: &str = "\
def build_model(ctx):
    raise ValueError('no luck today')
";

const RETURNS_A_TENSOR: &str = "\
import torch


def build_model(ctx):
    return torch.zeros(3)
";

/// 200 million parameters whose memory is never touched.
const TOO_LARGE: &str = "\
import torch
from torch import nn


class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.utils.skip_init(nn.Embedding, 50_000, 4_000)

    def forward(self, tokens):
        return self.embedding(tokens)


def build_model(ctx):
    return Large()
";

const NEVER_ITERATES: &str = "\
from architecture import build_model


def train(ctx):
    build_model(ctx)
";

const FORBIDDEN_IMPORT: &str = "\
import transformers
from architecture import build_model


def train(ctx):
    transformers.AutoModel.from_pretrained('gpt2')
";

const SYNTAX_ERROR: &str = "\
from architecture import build_model

def train(ctx)
    pass
";

const VICTIM: &str = "\
print('VICTIM IN STEP', step, flush=True)
big = torch.ones(1200, 1200)
for _ in range(12):
    big = big @ big * 0.0
";

/// File name, state, rule and words of the message.
type Expected = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const VERDICTS: [Expected; 16] = [
    (
        "zero-bytes.zip",
        "rejected",
        "prism:archive-empty",
        &["0 bytes"],
    ),
    (
        "no-entries.zip",
        "rejected",
        "prism:archive-empty",
        &["0 entries"],
    ),
    (
        "not-a-zip.zip",
        "rejected",
        "prism:archive-not-zip",
        &["not a zip"],
    ),
    (
        "bomb.zip",
        "rejected",
        "prism:archive-bomb",
        &["unpack to", "2000000"],
    ),
    (
        "no-training.zip",
        "rejected",
        "prism:contract-missing-entrypoint",
        &["training.py", "architecture.py"],
    ),
    (
        "same-file.zip",
        "rejected",
        "prism:contract-same-file",
        &["both architecture.py"],
    ),
    (
        "syntax.zip",
        "rejected",
        "prism:syntax-error",
        &["training.py:3"],
    ),
    (
        "forbidden.zip",
        "rejected",
        "prism:no-forbidden-import",
        &["training.py:1", "transformers"],
    ),
    (
        "build-raises.zip",
        "rejected",
        "prism:build-model-instantiation",
        &["ValueError", "architecture.py:2", "no luck today"],
    ),
    (
        "build-tensor.zip",
        "rejected",
        "prism:build-model-return-type",
        &["torch.nn.Module", "Tensor"],
    ),
    (
        "200m-parameters.zip",
        "rejected",
        "prism:param-cap",
        &["200,000,000", "150,000,000"],
    ),
    (
        "wrong-shape.zip",
        "rejected",
        "prism:logits-shape",
        &["[8, 128, 4095]", "[8, 128, 4096]"],
    ),
    (
        "never-iterates.zip",
        "failed",
        "prism:no-learning",
        &["without asking for a batch"],
    ),
    (
        "train-raises.zip",
        "failed",
        "prism:runtime-error",
        &["KeyError", "training.py", "step three"],
    ),
    (
        "hog.zip",
        "failed",
        "prism:resource-oom",
        &["bytes of memory", "1200000000"],
    ),
    (
        "victim.zip",
        "failed",
        "prism:runtime-error",
        &["the training process"],
    ),
];

#[test]
fn every_bad_file_gets_its_own_verdict_and_the_good_one_is_scored() {
    let contest = Contest::new(json!({"sandbox": {"memory_bytes": 1_200_000_000u64}}));
    let good = training();
    contest.submit("good.zip", SMALL, &good);
    contest.submit_bytes("zero-bytes.zip", b"");
    contest.submit_bytes("no-entries.zip", &zips::zip(&[]));
    contest.submit_bytes("not-a-zip.zip", b"I am not an archive at all.\n");
    contest.submit_bytes("bomb.zip", &zips::bomb(SMALL, &good));
    contest.submit_bytes("no-training.zip", &zips::zip(&[("architecture.py", SMALL)]));
    let both =
        "architecture:\n  entrypoint: architecture.py\ntraining:\n  entrypoint: architecture.py\n";
    let same = [
        ("architecture.py", SMALL),
        ("prism.yaml", both),
        ("training.py", &*good),
    ];
    contest.submit_bytes("same-file.zip", &zips::zip(&same));
    contest.submit("syntax.zip", SMALL, SYNTAX_ERROR);
    contest.submit("forbidden.zip", SMALL, FORBIDDEN_IMPORT);
    contest.submit("build-raises.zip", RAISES, &good);
    contest.submit("build-tensor.zip", RETURNS_A_TENSOR, &good);
    contest.submit("200m-parameters.zip", TOO_LARGE, &good);
    let narrow = "torch.zeros(*tokens.shape, self.vocab - 1) + self.weight";
    contest.submit("wrong-shape.zip", &model_of(narrow), &good);
    contest.submit("never-iterates.zip", SMALL, NEVER_ITERATES);
    let raising = training_with(
        4,
        64,
        "bytes",
        "",
        "if step == 3:\n    raise KeyError('step three')",
    );
    let raising = format!("\"\"\"Trains.\n\nAnd fails.\"\"\"\n# on purpose\n{raising}");
    contest.submit("train-raises.zip", SMALL, &raising);
    let hog = "hoard = []\nwhile True:\n    hoard.append(torch.ones(16_000_000))";
    contest.submit("hog.zip", SMALL, &training_with(4, 64, "bytes", hog, ""));
    contest.submit(
        "victim.zip",
        SMALL,
        &training_with(4, 64, "bytes", "", VICTIM),
    );
    let not_numbers = "torch.zeros(*tokens.shape, self.vocab) / self.weight * 0.0";
    contest.submit("nan.zip", &model_of(not_numbers), &good);
    contest.submit_bytes("half-copied.zip.part", b"PK");
    contest.submit_bytes("notes.txt", b"not for prism");

    let turn = crate::contest::turn();
    let mut started = contest.start(contest.prism(&["run", "--format", "json"]), "run");
    // Somebody ends the victim's process from outside, in the middle of its training.
    started.wait_for_log(&contest.outbox(), "VICTIM IN STEP 2");
    let victim = ranks_below(started.pid());
    assert_eq!(victim.len(), 1, "{victim:?}");
    victim[0].kill();
    let ran = started.finish();
    drop(turn);
    crate::outbox::check(&contest.outbox(), &ran);
    assert_eq!(
        ran.code,
        Some(0),
        "bad input is no failure of the pipeline: {ran:?}"
    );

    for (name, state, rule_id, words) in VERDICTS {
        let submission = contest.submission(name);
        let status = &submission.status;
        assert_eq!(
            (submission.state(), submission.rule_id()),
            (state, rule_id),
            "{name}: {status:#}"
        );
        for word in words {
            assert!(
                submission.message().contains(word),
                "{name}: {word:?} in {status:#}"
            );
        }
    }
    // The files that ran had neither comments nor docstrings; what is told is the author's.
    let author = raising
        .lines()
        .position(|line| line.contains("raise KeyError"));
    let place = format!("training.py:{}", author.unwrap() + 1);
    let raised = contest.submission("train-raises.zip");
    assert!(raised.message().contains(&place), "{:#}", raised.status);
    let quoted = format!(
        "training.py\", line {}, in train\n    raise KeyError('step three')\n",
        author.unwrap() + 1
    );
    assert!(raised.log().contains(&quoted), "{}", raised.log());

    let report = ran.json();
    assert_eq!(
        report["processed"].as_array().unwrap().len(),
        VERDICTS.len() + 2
    );
    assert_eq!(report["ignored"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["infrastructure"], json!([]));

    let good = contest.submission("good.zip");
    assert_eq!(good.flags(), [""; 0]);
    assert!(good.bpb() < 5.0, "{}", good.bpb());
    assert!(good.final_score() > 0.1);

    // No finite probability anywhere: every predicted token costs twice the uniform price, and is counted.
    let nan = contest.submission("nan.zip");
    assert!(
        nan.flags().contains(&"nan_inf_detected".to_owned()),
        "{:?}",
        nan.flags()
    );
    let texts = corpus::prefix(&contest.corpus(), "train", corpus::BUDGET_BYTES);
    let ids = corpus::ids(&texts, "bytes");
    let nats = corpus::code_length_nats(&ids, 4, 4_096, |_| 2.0 * 4_096f64.ln());
    let expected = nats / std::f64::consts::LN_2 / corpus::bytes(&texts) as f64;
    assert!(
        (nan.bpb() - expected).abs() < 1e-9,
        "{} and {expected}",
        nan.bpb()
    );
    let nonfinite: u64 = nan
        .online()
        .iter()
        .map(|row| u64::from(row.nonfinite))
        .sum();
    assert_eq!(nonfinite, ids.len() as u64 - 4);
}
