//! What following names has found, and what it may still cost.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::limits::MAX_STEPS_PER_FILE;
use super::origin::Origin;
use super::scope::ScopeId;
use super::seeded::{Table, roomy_table};

/// What one expression can refer to; shared, because most of what is asked was asked before.
pub type Origins<'a> = Rc<[Origin<'a>]>;

/// What a name was found to refer to.
#[derive(Clone)]
pub struct Followed<'a> {
    pub origins: Origins<'a>,
    /// The name leads back to an attribute of itself.
    pub is_cyclic: bool,
}

/// An expression in a scope, by its address.
pub type ExpressionKey = (ScopeId, usize);

/// What has been followed already, and how many steps are left for the file at hand.
pub struct Ledger<'a> {
    expressions: RefCell<Table<ExpressionKey, Origins<'a>>>,
    /// Names that nothing in the submission binds.
    builtins: RefCell<Table<&'a str, Origins<'a>>>,
    value: Origins<'a>,
    steps_left: Cell<usize>,
    file: Cell<usize>,
    exhausted: Cell<Option<usize>>,
}

impl Default for Ledger<'_> {
    fn default() -> Self {
        Ledger {
            expressions: RefCell::new(roomy_table()),
            builtins: RefCell::default(),
            value: Rc::new([Origin::Value]),
            steps_left: Cell::default(),
            file: Cell::default(),
            exhausted: Cell::default(),
        }
    }
}

impl<'a> Ledger<'a> {
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
    pub fn expression(&self, key: ExpressionKey) -> Option<Origins<'a>> {
        self.expressions.borrow().get(&key).cloned()
    }

    /// Remembers an expression.
    pub fn note_expression(&self, key: ExpressionKey, origins: Origins<'a>) {
        self.expressions.borrow_mut().insert(key, origins);
    }

    /// Nothing but a value of the submission.
    pub fn value(&self) -> Origins<'a> {
        self.value.clone()
    }

    /// Nothing but the builtin of this name.
    pub fn builtin(&self, name: &'a str) -> Origins<'a> {
        let mut builtins = self.builtins.borrow_mut();
        builtins
            .entry(name)
            .or_insert_with(|| Rc::new([Origin::Builtin(name)]))
            .clone()
    }

    /// The list for sharing.
    pub fn share(&self, origins: Vec<Origin<'a>>) -> Origins<'a> {
        match origins.as_slice() {
            [Origin::Value] => self.value(),
            _ => origins.into(),
        }
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
    use super::super::readable::read;
    use super::super::rules::check_file;
    use super::super::{NO_ROLES, workers::on_deep_stack};
    use super::*;
    use crate::review::bundle::Bundle;

    /// Steps that the rules take for one file, and whether they were enough.
    fn steps_of(source: &str) -> (usize, bool) {
        on_deep_stack(|| {
            let file = read("case.py", source.as_bytes()).unwrap();
            let files = [file];
            let bundle = Bundle::new(&files, NO_ROLES);
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
