//! The files of a submission as the rules see them.

use super::Roles;
use super::authored::{Authored, Collector};
use super::known;
use super::ledger::{Ledger, Origins};
use super::origin::Origin;
use super::parse::ast::{Constant, Expr, Stmt};
use super::readable::Decoded;
use super::resolve::Resolver;
use super::scope::{ScopeId, ScopeTable};
use super::seeded::{Set, Table};

/// One parsed file.
pub struct SourceFile<'a> {
    pub path: &'a str,
    pub text: &'a str,
    pub body: &'a [Stmt],
    pub scopes: ScopeTable<'a>,
    /// [`super::parse::ParsedModule::has_data_words`].
    pub has_data_words: bool,
}

/// All parsed files of a submission.
pub struct Bundle<'a> {
    pub files: Vec<SourceFile<'a>>,
    /// Dotted module names to indices of `files`.
    pub modules: Table<String, usize>,
    /// Directories that hold modules, as dotted names.
    packages: Set<String>,
    pub authored: Authored<'a>,
    /// Names that some file binds at its top level.
    pub top_level_names: Set<&'a str>,
    pub roles: Roles<'a>,
    pub ledger: Ledger<'a>,
}

impl<'a> Bundle<'a> {
    /// The files with their scopes and names.
    pub fn new(decoded: &'a [Decoded<'_>], roles: Roles<'a>) -> Bundle<'a> {
        let mut collector = Collector::default();
        let files: Vec<SourceFile> = decoded
            .iter()
            .map(|file| SourceFile {
                path: file.path,
                text: &file.text,
                body: &file.module.body,
                scopes: ScopeTable::build(&file.module.body, &mut collector),
                has_data_words: file.module.has_data_words,
            })
            .collect();
        let mut modules = Table::default();
        let mut packages = Set::default();
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
        let top_level_names = files
            .iter()
            .filter_map(|file| file.scopes.scopes.first())
            .flat_map(|module| module.names.keys().copied())
            .collect();
        Bundle {
            files,
            modules,
            packages,
            authored: collector.authored,
            top_level_names,
            roles,
            ledger: Ledger::default(),
        }
    }

    /// Whether `dotted` is a module or package of the submission.
    pub fn is_own(&self, dotted: &str) -> bool {
        self.modules.contains_key(dotted)
            || self.packages.contains(dotted)
            || self.is_unseen(dotted)
    }

    /// Whether `dotted` is the other script of a file that stands alone.
    pub fn is_unseen(&self, dotted: &str) -> bool {
        self.roles.architecture.0.is_empty() && matches!(dotted, "architecture" | "training")
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
    pub fn origins(&self, file: usize, scope: ScopeId, expression: &'a Expr) -> Origins<'a> {
        if let Some(known) = known::quickly(self, file, scope, expression) {
            return known;
        }
        let mut resolver = Resolver::new(self);
        let found = resolver.origins(file, scope, expression);
        resolver.settled(found)
    }

    /// What a member of a module of the submission can refer to; empty when the module does not define it.
    pub fn own_member(&self, dotted: &str, name: &str) -> Vec<Origin<'a>> {
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
