//! The structure of an architecture as one text, whose sha256 is the family's identity.
//!
//! The runner writes down one forward, line by line ([`Line`]); here it becomes canonical: only what the logits depend
//! on, in an order that follows from the flow itself, parameters numbered by first use, without what does nothing. So
//! names, layout, the order of independent statements, unused modules and unused results move nothing; widths, depth,
//! wiring and ties between weights do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::digest;

/// First line of the text; raised whenever the same listing would give another text.
pub const STRUCTURE_VERSION: &str = "prism_structure.v1";
/// Most lines of a listing.
pub const MAX_LINES: usize = 60_000;
/// Most arguments of all lines together.
pub const MAX_ATOMS: usize = 2_000_000;
const ID_HEX_DIGITS: usize = 16;

/// One operation: its name, its arguments, shape and dtype of what it gives.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Line(pub String, pub Vec<Atom>, pub Vec<(Vec<u64>, String)>);

/// An argument. Lists stand between `(` and `)`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Atom {
    Tensor(TensorAtom),
    Integer(i64),
    Text(String),
}

/// A tensor: the line that made it, which output of it, and the line that last wrote to its memory, if one did since.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TensorAtom {
    pub t: Vec<u32>,
}

/// What the identity is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The operations of a forward.
    Traced,
    /// Parameters and buffers, where the forward could not be written down.
    ParameterShapes,
}

/// A canonical structure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Structure {
    pub basis: Basis,
    /// sha256 of `text`, in hex.
    pub digest: String,
    /// Operations that the logits depend on.
    pub operations: u64,
    /// Parameters and buffers among what they depend on.
    pub tensors: u64,
    /// Why there is no trace.
    pub failure: Option<String>,
    /// The canonical text.
    pub text: String,
}

impl Structure {
    /// The family's id.
    pub fn family(&self) -> String {
        family_id(&self.digest)
    }
}

/// `arch-` and the first 16 digits of a structure's digest.
pub fn family_id(digest: &str) -> String {
    let short: String = digest.chars().take(ID_HEX_DIGITS).collect();
    format!("arch-{short}")
}

/// Makes a listing canonical; a listing without a usable flow, or one that `failure` explains, falls back on its
/// parameters and buffers.
pub fn canonical(lines: &[Line], failure: Option<String>) -> Structure {
    let failure = match failure {
        Some(failure) => failure,
        None => match Flow::of(lines) {
            Ok(flow) => {
                let text = flow.text();
                return Structure {
                    basis: Basis::Traced,
                    digest: sha256(&text),
                    operations: flow.operations(),
                    tensors: flow.tensors(),
                    failure: None,
                    text,
                };
            }
            Err(reason) => reason.to_owned(),
        },
    };
    let leaves: Vec<String> = lines
        .iter()
        .filter(|line| is_weight(&line.0))
        .map(|line| format!("{} {}", line.0, forms(&line.2)))
        .collect();
    let text = format!(
        "{STRUCTURE_VERSION} parameter_shapes\n{}\n",
        leaves.join("\n")
    );
    Structure {
        basis: Basis::ParameterShapes,
        digest: sha256(&text),
        operations: 0,
        tensors: leaves.len() as u64,
        failure: Some(failure),
        text,
    }
}

fn sha256(text: &str) -> String {
    digest::sha256(text.as_bytes())
}

fn is_weight(operation: &str) -> bool {
    matches!(operation, "parameter" | "buffer")
}

fn is_leaf(operation: &str) -> bool {
    is_weight(operation) || matches!(operation, "input" | "constant")
}

fn forms(outputs: &[(Vec<u64>, String)]) -> String {
    let forms: Vec<String> = outputs
        .iter()
        .map(|(shape, dtype)| {
            let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
            format!("{dtype}[{}]", shape.join(","))
        })
        .collect();
    forms.join(" ")
}

/// A tensor of the flow: line, output, line of the last write.
type Place = (usize, u32, Option<usize>);

/// The part of a listing that its output depends on.
struct Flow<'a> {
    lines: &'a [Line],
    /// What each line's tensors are read as: a line that does nothing is what it was given.
    stands_for: Vec<Option<Place>>,
    /// What a view shows, by way of other views.
    shows: Vec<Option<Place>>,
    /// Lines in canonical order.
    order: Vec<usize>,
    hashes: Vec<[u8; 32]>,
    output: Place,
}

impl<'a> Flow<'a> {
    fn of(lines: &'a [Line]) -> Result<Self, &'static str> {
        if lines.len() > MAX_LINES {
            return Err("the listing has too many lines");
        }
        check(lines)?;
        let last = lines.last().filter(|line| line.0 == "output");
        let Some(output) = last.and_then(|line| line.1.first()).and_then(place) else {
            return Err("the listing has no output");
        };
        let mut flow = Self {
            lines,
            stands_for: vec![None; lines.len()],
            shows: vec![None; lines.len()],
            order: Vec::new(),
            hashes: Vec::with_capacity(lines.len()),
            output,
        };
        for number in 0..lines.len() {
            flow.stands_for[number] = flow.idle(number);
            flow.shows[number] = flow.shown(number);
            let hash = flow.anonymous_hash(number);
            flow.hashes.push(hash);
        }
        flow.output = flow.resolved(output);
        flow.order = flow.depth_first();
        Ok(flow)
    }

    /// What a line that does nothing stands for.
    fn idle(&self, number: usize) -> Option<Place> {
        let Line(operation, atoms, outputs) = &self.lines[number];
        let name = base_name(operation);
        let given = self.resolved(place(atoms.first()?)?);
        let made = outputs.first()?;
        let before = self.lines[given.0].2.get(given.1 as usize)?;
        if given.2.is_some() || made != before || outputs.len() != 1 {
            return None;
        }
        let is_scalar = |texts: &[&str], integer| match atoms.get(1) {
            Some(Atom::Text(text)) => texts.contains(&text.as_str()),
            Some(Atom::Integer(value)) => *value == integer,
            _ => false,
        };
        let does_nothing = match name {
            "alias" | "detach" | "clone" | "lift_fresh" | "_to_copy" | "view" | "_unsafe_view"
            | "expand" | "contiguous" => true,
            "mul" | "div" => is_scalar(&["f1"], 1),
            "add" | "sub" => is_scalar(&["f0"], 0),
            _ => false,
        };
        does_nothing.then_some(given)
    }

    /// What a view shows: where that is a view itself, what it shows.
    fn shown(&self, number: usize) -> Option<Place> {
        let Line(operation, atoms, _) = &self.lines[number];
        if !is_view(operation) {
            return None;
        }
        let given = self.resolved(place(atoms.first()?)?);
        match given {
            (line, 0, None) => Some(self.shows[line].unwrap_or(given)),
            _ => Some(given),
        }
    }

    /// The place with idle lines left out.
    fn resolved(&self, (line, output, write): Place) -> Place {
        match self.stands_for.get(line).copied().flatten() {
            Some((line, output, _)) => (line, output, write),
            None => (line, output, write),
        }
    }

    /// The tensors that a line reads, in its order; a view of a view reads what the first one did.
    fn reads(&self, number: usize) -> Vec<Place> {
        let Line(operation, atoms, _) = &self.lines[number];
        let mut places: Vec<Place> = atoms
            .iter()
            .filter_map(place)
            .map(|place| self.resolved(place))
            .collect();
        if let (Some(shown), Some(first)) = (self.shows[number], places.first_mut()) {
            *first = shown;
        }
        if is_commutative(operation) && places.len() == 2 && atoms.len() == 2 {
            places.sort_by_key(|(line, output, _)| (self.hashes[*line], *output));
        }
        places
    }

    /// The arguments that are structure: a view is told by the shape that it gives.
    fn atoms(&self, number: usize) -> &'a [Atom] {
        let Line(operation, atoms, _) = &self.lines[number];
        if is_view(operation) {
            return atoms.get(..1).unwrap_or_default();
        }
        atoms
    }

    /// A hash of everything that a line depends on, the same for all weights of one shape.
    fn anonymous_hash(&self, number: usize) -> [u8; 32] {
        let Line(operation, _, outputs) = &self.lines[number];
        let mut hash = Sha256::new();
        hash.update(operation);
        hash.update(forms(outputs));
        for (line, output, write) in self.reads(number) {
            for part in [Some(line), write].into_iter().flatten() {
                hash.update(self.hashes[part]);
            }
            hash.update(output.to_le_bytes());
        }
        for atom in self.atoms(number) {
            match atom {
                Atom::Text(text) => hash.update(text),
                Atom::Integer(integer) => hash.update(integer.to_le_bytes()),
                Atom::Tensor(_) => hash.update([0]),
            }
        }
        hash.finalize().into()
    }

    /// Every line that the output needs, after all that it needs itself.
    fn depth_first(&self) -> Vec<usize> {
        let mut order = Vec::new();
        let mut is_seen = vec![false; self.lines.len()];
        let mut stack: Vec<(usize, bool)> = Vec::new();
        let push = |stack: &mut Vec<(usize, bool)>, (line, _, write): Place| {
            // the last pushed comes first
            stack.extend(write.map(|write| (write, false)));
            stack.push((line, false));
        };
        push(&mut stack, self.output);
        while let Some((line, is_left)) = stack.pop() {
            if is_left {
                order.push(line);
                continue;
            }
            if std::mem::replace(&mut is_seen[line], true) {
                continue;
            }
            stack.push((line, true));
            for place in self.reads(line).into_iter().rev() {
                push(&mut stack, place);
            }
        }
        order
    }

    fn operations(&self) -> u64 {
        let operations = self
            .order
            .iter()
            .filter(|line| !is_leaf(&self.lines[**line].0));
        operations.count() as u64
    }

    fn tensors(&self) -> u64 {
        let weights = self
            .order
            .iter()
            .filter(|line| is_weight(&self.lines[**line].0));
        weights.count() as u64
    }

    fn text(&self) -> String {
        let numbers: BTreeMap<usize, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(number, line)| (*line, number))
            .collect();
        let shown = |(line, output, write): Place| {
            let number = |line: usize| numbers.get(&line).copied().unwrap_or_default();
            let mut text = format!("%{}", number(line));
            if output > 0 {
                let _ = write!(text, ".{output}");
            }
            if let Some(write) = write {
                let _ = write!(text, "@{}", number(write));
            }
            text
        };
        let mut text = format!("{STRUCTURE_VERSION} traced\n");
        for (number, line) in self.order.iter().enumerate() {
            let Line(operation, _, outputs) = &self.lines[*line];
            let mut reads = self.reads(*line).into_iter();
            let arguments: Vec<String> = self
                .atoms(*line)
                .iter()
                .map(|atom| match atom {
                    Atom::Text(text) => text.clone(),
                    Atom::Integer(integer) => integer.to_string(),
                    Atom::Tensor(_) => reads.next().map(&shown).unwrap_or_default(),
                })
                .collect();
            let _ = writeln!(
                text,
                "%{number} {}({}) {}",
                if is_view(operation) {
                    "view"
                } else {
                    operation
                },
                arguments.join(" "),
                forms(outputs)
            );
        }
        let _ = writeln!(text, "output {}", shown(self.output));
        text
    }
}

/// Whether every tensor stands for an earlier line, and nothing breaks the text's lines.
fn check(lines: &[Line]) -> Result<(), &'static str> {
    let is_plain = |text: &str| !text.contains(char::is_control);
    for (number, Line(operation, atoms, outputs)) in lines.iter().enumerate() {
        let texts = atoms.iter().filter_map(|atom| match atom {
            Atom::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let dtypes = outputs.iter().map(|(_, dtype)| dtype.as_str());
        if !is_plain(operation) || !texts.chain(dtypes).all(is_plain) {
            return Err("a line of the listing holds control characters");
        }
        for atom in atoms {
            let Atom::Tensor(tensor) = atom else {
                continue;
            };
            let is_known = |line: &u32| (*line as usize) < number;
            let holds = match tensor.t.as_slice() {
                [line, output] | [line, output, _] if is_known(line) => {
                    (*output as usize) < lines[*line as usize].2.len()
                        && tensor.t.get(2).is_none_or(is_known)
                }
                _ => false,
            };
            if !holds {
                return Err("a line of the listing reads a tensor that is not there");
            }
        }
    }
    Ok(())
}

/// The place that an argument names.
fn place(atom: &Atom) -> Option<Place> {
    match atom {
        Atom::Tensor(tensor) => match *tensor.t.as_slice() {
            [line, output] => Some((line as usize, output, None)),
            [line, output, write] => Some((line as usize, output, Some(write as usize))),
            _ => None,
        },
        _ => None,
    }
}

/// `mul` of `aten.mul.Tensor`.
fn base_name(operation: &str) -> &str {
    let name = operation.strip_prefix("aten.").unwrap_or("");
    name.split('.').next().unwrap_or_default()
}

fn is_view(operation: &str) -> bool {
    matches!(base_name(operation), "view" | "_unsafe_view")
}

fn is_commutative(operation: &str) -> bool {
    matches!(operation, "aten.add.Tensor" | "aten.mul.Tensor")
}

#[cfg(test)]
#[path = "structure_tests.rs"]
mod tests;
