//! Before the training: the texts of a declared tokenizer, and the twin.

use std::time::Instant;

use super::Session;
use crate::dataset::stream::TokenStream;
use crate::dataset::tokenizer;
use crate::dataset::tokenizer::Tokenizer;
use crate::referee::geometry as geometry_rules;
use crate::referee::handshake;
use crate::referee::launch::Phase;
use crate::referee::loss::Loss;
use crate::referee::phases::twin::Twin;
use crate::referee::stop::Stop;
use crate::referee::structure;
use crate::referee::texts as corpus_texts;
use crate::referee::texts::Texts;

impl Session<'_> {
    /// The tokenizer that prism.yaml names and the texts in it: whatever is wrong with it rejects, before anything runs.
    pub(super) fn declared_texts(&mut self) -> Result<Option<(Tokenizer, Texts)>, Stop> {
        let Some(name) = &self.plan.tokenizer else {
            return Ok(None);
        };
        let begun = Instant::now();
        let tokenizer = geometry_rules::load_tokenizer(self.plan, name)?;
        if tokenizer.name() == tokenizer::OWN {
            let file = self.plan.project.join(tokenizer::OWN);
            self.tokenizers[tokenizer::OWN] =
                serde_json::json!({"file": file, "size": tokenizer.size()});
        }
        let texts = Texts::load(&self.corpus, self.config, &tokenizer, self.order_key)?;
        self.seconds("tokenize", begun.elapsed());
        Ok(Some((tokenizer, texts)))
    }

    /// Builds the twin, applies the cap, probes it on public text.
    pub(super) fn twin(
        &mut self,
        declared: Option<&Tokenizer>,
        loss: &mut dyn Loss,
    ) -> Result<Twin, Stop> {
        let by_twin = structure::is_told_by_twin(self.plan);
        if !by_twin {
            self.measured.structure = structure::on_cpu(self.plan, &self.python, &self.tokenizers)?;
            structure::check_target(self.plan, self.measured.structure.as_ref())?;
        }
        let started =
            handshake::start(self.plan, &self.python, Phase::Twin, None, &self.tokenizers)?;
        self.measured.environment = started.environment.clone();
        let mut twin = Twin::build(started, self.config, by_twin)?;
        self.measured.model_params = Some(twin.parameters);
        if by_twin {
            self.measured.structure = twin.structure.take();
            structure::check_target(self.plan, self.measured.structure.as_ref())?;
        }
        let bytes;
        let tokenizer = match declared {
            Some(tokenizer) => tokenizer,
            None => {
                bytes = geometry_rules::load_tokenizer(self.plan, tokenizer::BYTES)?;
                &bytes
            }
        };
        let open = corpus_texts::open_sample(&self.corpus)?;
        let open = TokenStream::new(&open, tokenizer)?;
        if open.tokens() > 2 * crate::referee::phases::HELDOUT_ROWS {
            let probes = twin.probe_open_text(self.config, &open, &self.schedule, loss)?;
            self.measured.probes.extend(probes);
        }
        twin.pause()?;
        Ok(twin)
    }
}
