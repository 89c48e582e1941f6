//! The files of a submission as the rules see them.

use std::collections::{HashMap, HashSet};

use super::Roles;
use super::authored::Authored;
use super::origin::Origin;
use super::parse::ast::{Constant, Expr, Stmt};
use super::resolve::{Ledger, Resolver};
use super::scope::{ScopeId, ScopeTable};

/// One parsed file.
pub struct SourceFile<'a> {
    pub path: &'a str,
    pub text: &'a str,
    pub body: &'a [Stmt],
    pub scopes: ScopeTable<'a>,
}

/// All parsed files of a submission.
pub struct Bundle<'a> {
    pub files: Vec<SourceFile<'a>>,
    /// Dotted module names to indices of `files`.
    pub modules: HashMap<String, usize>,
    /// Directories that hold modules, as dotted names.
    packages: HashSet<String>,
    pub authored: Authored<'a>,
    pub roles: Roles<'a>,
    pub ledger: Ledger,
}

impl<'a> Bundle<'a> {
    pub fn new(files: Vec<SourceFile<'a>>, roles: Roles<'a>) -> Bundle<'a> {
        let mut modules = HashMap::new();
        let mut packages = HashSet::new();
        let home = roles
            .architecture
            .0
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        for (index, file) in files.iter().enumerate() {
            let inside_home = file
                .path
                .strip_prefix(home)
                .and_then(|rest| rest.strip_prefix('/'))
                .unwrap_or(file.path);
            for path in [inside_home, file.path] {
                let dotted = module_name(path);
                let mut package = dotted.as_str();
                while let Some((parent, _)) = package.rsplit_once('.') {
                    packages.insert(parent.to_owned());
                    package = parent;
                }
                modules.entry(dotted).or_insert(index);
            }
        }
        let mut authored = Authored::default();
        for file in &files {
            authored.collect(file.body, &file.scopes);
        }
        Bundle {
            files,
            modules,
            packages,
            authored,
            roles,
            ledger: Ledger::default(),
        }
    }

    /// Whether `dotted` is a module or package of the submission.
    pub fn is_own(&self, dotted: &str) -> bool {
        self.modules.contains_key(dotted) || self.packages.contains(dotted)
    }

    /// Resolves `from ..module import` in the file at `path` to an absolute dotted name.
    pub fn absolute(&self, path: &str, module: &str, level: u32) -> String {
        if level == 0 {
            return module.to_owned();
        }
        let mut folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for _ in 1..level {
            folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
        let mut dotted = folder.replace('/', ".");
        if !module.is_empty() {
            if !dotted.is_empty() {
                dotted.push('.');
            }
            dotted.push_str(module);
        }
        dotted
    }

    /// What `expression`, evaluated in `scope` of `file`, can refer to. Never empty.
    pub fn origins(&self, file: usize, scope: ScopeId, expression: &'a Expr) -> Vec<Origin> {
        let mut resolver = Resolver::new(self);
        let mut found = Vec::new();
        resolver.expression(file, scope, expression, &mut found);
        resolver.settle(&mut found);
        if found.is_empty() {
            found.push(Origin::Value);
        }
        found
    }

    /// What a member of a module of the submission can refer to; empty when the module does not define it.
    pub fn own_member(&self, dotted: &str, name: &str) -> Vec<Origin> {
        let mut resolver = Resolver::new(self);
        let mut found = Vec::new();
        resolver.own_member(dotted, name, &mut found);
        resolver.settle(&mut found);
        found
    }

    /// The literal text of a name that is only ever assigned string constants.
    pub fn constant_texts(
        &self,
        file: usize,
        scope: ScopeId,
        expression: &'a Expr,
    ) -> Option<Vec<&'a str>> {
        match expression {
            Expr::Constant(constant) => match &constant.value {
                Constant::Str(text) => Some(vec![text]),
                _ => None,
            },
            Expr::Name(name) => {
                let (_, record) = self.files.get(file)?.scopes.lookup(scope, &name.id)?;
                (!record.has_other_values).then(|| record.texts.clone())
            }
            _ => None,
        }
    }
}

fn module_name(path: &str) -> String {
    let stem = path.strip_suffix(".py").unwrap_or(path);
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    stem.replace('/', ".")
}
