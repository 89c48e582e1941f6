//! What the submission's code raised, by the stage of the run: one fault each, in the author's words where they may be said.

use super::measured::Fault;
use super::wire::{self, Stage};

/// What the submission's code raised, by stage.
pub(super) fn raised(stage: Stage, exception: &str, message: &str, place: &str) -> Fault {
    let (exception, message, place) = (
        wire::clipped(exception),
        wire::clipped(message),
        wire::clipped(place),
    );
    let at = if place.is_empty() {
        String::new()
    } else {
        format!(" at {place}")
    };
    let text = |what: &str| format!("{what} raised {exception}{at}: {message}");
    match stage {
        Stage::Import => Fault::new(
            "prism:import-error",
            text("importing the submission"),
            "the traceback is in run.log",
        ),
        Stage::Build if exception == "TypeError" && message.contains("torch.nn.Module") => {
            Fault::new(
                "prism:build-model-return-type",
                message,
                "build_model(ctx) must return a torch.nn.Module",
            )
        }
        Stage::Build if out_of_memory(&exception, &message) => Fault::new(
            "prism:build-model-resource",
            text("build_model"),
            "build a smaller model",
        ),
        Stage::Build => Fault::new(
            "prism:build-model-instantiation",
            text("build_model"),
            "run build_model(ctx) on its own with vocab_size 4096 and sequence_length 128",
        ),
        Stage::Load => Fault::new(
            "prism:state",
            text("loading the saved weights into a fresh build_model"),
            "everything that training changes must be in the model's state_dict",
        ),
        Stage::Forward => Fault::new(
            "prism:runtime-error",
            text("the model's forward"),
            "see run.log",
        ),
        // Names of the runner's own; a submission that raises them gives itself this verdict.
        Stage::Train if ["TokenizerRefused", "UnknownTokenizer"].contains(&exception.as_str()) => {
            Fault::new(
                "prism:tokenizer",
                text("train"),
                "name a tokenizer of the contest, or ship a tokenizer.json and name it in prism.yaml",
            )
        }
        Stage::Train if out_of_memory(&exception, &message) => {
            Fault::new("prism:resource-oom", text("train"), "use less memory")
        }
        Stage::Train => Fault::new(
            "prism:runtime-error",
            text("train"),
            "the traceback is in run.log",
        ),
        Stage::Save => Fault::new(
            "prism:state",
            text("saving the weights"),
            "state_dict must hold tensors only",
        ),
    }
}

fn out_of_memory(exception: &str, message: &str) -> bool {
    let message = message.to_lowercase();
    exception == "MemoryError"
        || exception == "OutOfMemoryError"
        || [
            "out of memory",
            "can't allocate memory",
            "cannot allocate memory",
            "defaultcpuallocator",
        ]
        .iter()
        .any(|text| message.contains(text))
}
