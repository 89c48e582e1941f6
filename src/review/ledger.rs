//! What following names has found, and what it may still cost.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::limits::MAX_STEPS_PER_FILE;
use super::origin::Origin;
use super::scope::ScopeId;

/// What a name was found to refer to.
#[derive(Clone)]
pub struct Followed {
    pub origins: Rc<[Origin]>,
    /// The name leads back to an attribute of itself.
    pub is_cyclic: bool,
}

/// An expression in a scope, by its address.
pub type ExpressionKey = (ScopeId, usize);

/// What has been followed already, and how many steps are left for the file at hand.
#[derive(Default)]
pub struct Ledger {
    expressions: RefCell<HashMap<ExpressionKey, Rc<[Origin]>>>,
    /// By address of the record.
    names: RefCell<HashMap<usize, Followed>>,
    steps_left: Cell<usize>,
    file: Cell<usize>,
    exhausted: Cell<Option<usize>>,
}

impl Ledger {
    /// Grants the steps of one file, given by its index.
    pub fn begin_file(&self, file: usize) {
        self.file.set(file);
        self.steps_left.set(MAX_STEPS_PER_FILE);
    }

    /// The first file whose steps did not suffice. Nothing that was found in it can be relied on.
    pub fn exhausted(&self) -> Option<usize> {
        self.exhausted.get()
    }

    /// Steps that are left for the file at hand.
    #[cfg(test)]
    pub fn steps_left(&self) -> usize {
        self.steps_left.get()
    }

    /// What an expression was found to refer to.
    pub fn expression(&self, key: ExpressionKey) -> Option<Rc<[Origin]>> {
        self.expressions.borrow().get(&key).cloned()
    }

    /// Remembers an expression.
    pub fn note_expression(&self, key: ExpressionKey, origins: Vec<Origin>) {
        self.expressions.borrow_mut().insert(key, origins.into());
    }

    /// What a name was found to refer to, by the address of its record.
    pub fn name(&self, record: usize) -> Option<Followed> {
        self.names.borrow().get(&record).cloned()
    }

    /// Remembers a name.
    pub fn note_name(&self, record: usize, followed: Followed) {
        self.names.borrow_mut().insert(record, followed);
    }

    /// Takes steps from those that are left.
    pub fn spend(&self, steps: usize) {
        match self.steps_left.get().checked_sub(steps) {
            Some(left) => self.steps_left.set(left),
            None if self.exhausted.get().is_none() => self.exhausted.set(Some(self.file.get())),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::check_file;
    use super::super::{NO_ROLES, on_deep_stack, read, scope::ScopeTable};
    use super::*;
    use crate::review::bundle::{Bundle, SourceFile};

    /// Steps that the rules take for one file, and whether they were enough.
    fn steps_of(source: &str) -> (usize, bool) {
        on_deep_stack(|| {
            let file = read("case.py", source.as_bytes()).unwrap();
            let source = SourceFile {
                path: file.path,
                text: &file.text,
                body: &file.module.body,
                scopes: ScopeTable::build(&file.module.body),
            };
            let bundle = Bundle::new(vec![source], NO_ROLES);
            check_file(&bundle, 0);
            let ledger = &bundle.ledger;
            (
                MAX_STEPS_PER_FILE - ledger.steps_left(),
                ledger.exhausted().is_none(),
            )
        })
        .unwrap()
    }

    #[test]
    fn what_was_followed_once_is_not_followed_again() {
        let diamonds: String = (0..3_000)
            .map(|n| format!("a{0} = a{n}\na{0} = a{n}.b\n", n + 1))
            .collect();
        let chains = format!("x = a{}\n", ".a".repeat(900)).repeat(50);
        let ladder: String = "import torch\na0 = torch.relu\n".to_owned()
            + &(0..5_000)
                .map(|n| format!("a{} = a{n}\n", n + 1))
                .collect::<String>();
        for (name, source) in [
            ("diamonds", diamonds),
            ("chains", chains),
            ("ladder", ladder),
        ] {
            let (steps, is_enough) = steps_of(&source);
            assert!(is_enough && steps < 4 * source.len(), "{name}: {steps}");
        }
    }

    #[test]
    fn steps_run_out_instead_of_time() {
        let tangle: String = (0..6_000)
            .map(|n| {
                format!(
                    "a{n} = a{}\na{n} = a{}\n",
                    (n * 7 + 1) % 6_000,
                    (n * 13 + 5) % 6_000
                )
            })
            .collect();
        let (steps, is_enough) = steps_of(&tangle);
        assert!(!is_enough, "{steps}");
        let review = super::super::review_source("case.py", tangle.as_bytes());
        assert!(
            review
                .findings
                .iter()
                .any(|finding| finding.rule_id == "prism:cannot-decide"
                    && finding.explanation.contains("steps")),
        );
    }

    #[test]
    fn ordinary_files_take_few_steps() {
        let source = include_str!("cases/accepted/models.py");
        let (steps, is_enough) = steps_of(source);
        assert!(is_enough && steps < 2 * source.len(), "{steps}");
    }
}
