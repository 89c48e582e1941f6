//! What the reader of a name or the mention of a method leads to.

use super::{Extent, Node, Reacher, statements};
use crate::review::scope::{Bound, ScopeId};
use crate::review::walk::{Binding, ScopeKind};

/// Who reads a name.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    pub(super) from: Node,
    /// The unit at hand.
    pub(super) unit: usize,
    pub(super) on_main: bool,
}

/// Methods of one name.
#[derive(Default)]
pub(super) struct Methods {
    is_mentioned: bool,
    /// Leads to all that were there at the last mention.
    at_last_mention: Option<Node>,
    /// File and scope of those that came since.
    since: Vec<(usize, ScopeId)>,
}

impl<'a> Reacher<'_, 'a> {
    pub(super) fn mention(&mut self, name: &'a str, from: usize, on_main: bool) {
        let methods = self.methods.entry(name).or_default();
        methods.is_mentioned = true;
        // every mention is a way to the methods that are there, also a later one
        let since = std::mem::take(&mut methods.since);
        let mut target = methods.at_last_mention;
        if !since.is_empty() {
            let newest = self.new_name();
            if let Some(older) = target {
                self.lead(newest, older, false);
            }
            for (file, scope) in since {
                self.enter(newest, file, scope, false);
            }
            target = Some(newest);
            self.methods.entry(name).or_default().at_last_mention = target;
        }
        if let Some(target) = target {
            self.lead(Node::Unit(from), target, on_main);
        }
    }

    /// A method that a reached class defines.
    pub(super) fn method(
        &mut self,
        class: usize,
        file: usize,
        home: ScopeId,
        name: &'a str,
        on_main: bool,
    ) {
        if !self.registered.insert((class, name, on_main)) {
            return;
        }
        let is_new = !self.registered.contains(&(class, name, !on_main));
        let scopes = self.defined(file, home, name);
        let methods = self.methods.entry(name).or_default();
        if is_new {
            methods
                .since
                .extend(scopes.iter().map(|scope| (file, *scope)));
        }
        let is_called_by_others = name == "forward" || name.starts_with("__");
        if is_called_by_others || methods.is_mentioned {
            for scope in scopes {
                self.enter(Node::Unit(class), file, scope, on_main);
            }
        }
    }

    /// Leads to the functions and classes of this name that stand directly in `home`.
    pub(super) fn definitions(
        &mut self,
        from: Node,
        file: usize,
        home: ScopeId,
        name: &'a str,
        on_main: bool,
    ) {
        let key = (file, home, name);
        let node = match self.definition_nodes.get(&key) {
            Some(node) => *node,
            None => {
                let node = self.new_name();
                self.definition_nodes.insert(key, node);
                for scope in self.defined(file, home, name) {
                    self.enter(node, file, scope, false);
                }
                node
            }
        };
        self.lead(from, node, on_main);
    }

    /// A name that is read in `scope`, by the unit at hand or by an import of another file.
    pub(super) fn name(&mut self, reader: Reader, file: usize, scope: ScopeId, name: &str) {
        let Some(source) = self.bundle.files.get(file) else {
            return;
        };
        let Some((home, record)) = source.scopes.lookup(scope, name) else {
            return;
        };
        let follows_globals = home == 0 && self.extent == Extent::Needed;
        let leads_on = |bound: &Bound<'a>| match bound.binding {
            Binding::ImportFrom { .. } => true,
            Binding::Alias(_) => follows_globals,
            _ => false,
        };
        if !record.is_definition && !record.bounds.iter().any(leads_on) {
            return;
        }
        let Some((&name, _)) = source
            .scopes
            .scopes
            .get(home)
            .and_then(|scope| scope.names.get_key_value(name))
        else {
            return;
        };
        let key = (file, home, name);
        if let Some(node) = self.name_nodes.get(&key) {
            self.lead(reader.from, *node, reader.on_main);
            return;
        }
        let node = self.new_name();
        self.name_nodes.insert(key, node);
        self.lead(reader.from, node, reader.on_main);
        if record.is_definition {
            self.definitions(node, file, home, name, false);
        }
        for bound in &record.bounds {
            match bound.binding {
                Binding::ImportFrom {
                    module,
                    level,
                    name,
                } => {
                    let dotted = self.bundle.absolute(source.path, module, level);
                    if let Some(&other) = self.bundle.modules.get(&dotted) {
                        let import = Reader {
                            from: node,
                            on_main: false,
                            ..reader
                        };
                        self.name(import, other, 0, name);
                    }
                }
                Binding::Alias(value) if follows_globals => {
                    self.reached.globals.push((file, value));
                    let mut walk = statements::UnitWalk {
                        number: reader.unit,
                        file,
                        scope: 0,
                        on_main: reader.on_main,
                        kind: ScopeKind::Function,
                        is_content: false,
                        reacher: self,
                    };
                    walk.expression(value);
                }
                _ => {}
            }
        }
    }
}
