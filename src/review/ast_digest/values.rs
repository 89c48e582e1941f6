//! The leaves of the text (names, numbers, constants, kinds without fields), lists, and what may be absent.

use super::{Canonical, Text};
use crate::review::parse::ast::{
    BoolOp, CmpOp, Constant, ConversionFlag, ExprContext, Identifier, Int, Operator, UnaryOp,
};

/// Kinds without fields.
macro_rules! plain_kinds {
    ($($kind:ident { $($name:ident)* })*) => {$(
        impl Canonical for $kind {
            fn put(&self, text: &mut Text) {
                text.put(match self {
                    $($kind::$name => concat!("(", stringify!($name), ")").as_bytes(),)*
                });
            }
        }
    )*};
}

plain_kinds! {
    BoolOp { And Or }
    CmpOp { Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn }
    ExprContext { Load Store Del }
    Operator { Add Sub Mult MatMult Div Mod Pow LShift RShift BitOr BitXor BitAnd FloorDiv }
    UnaryOp { Invert Not UAdd USub }
}

impl<T: Canonical> Canonical for [T] {
    fn put(&self, text: &mut Text) {
        text.put(b"[");
        for item in self {
            item.put(text);
        }
        text.put(b"]");
    }
}

impl<T: Canonical> Canonical for Vec<T> {
    fn put(&self, text: &mut Text) {
        self.as_slice().put(text);
    }
}

impl<T: Canonical> Canonical for Box<T> {
    fn put(&self, text: &mut Text) {
        (**self).put(text);
    }
}

impl<T: Canonical> Canonical for Option<T> {
    fn put(&self, text: &mut Text) {
        match self {
            Some(value) => value.put(text),
            None => text.put(b"_"),
        }
    }
}

impl Canonical for Identifier {
    fn put(&self, text: &mut Text) {
        text.sized(b'\'', self.as_str().as_bytes());
    }
}

impl Canonical for bool {
    fn put(&self, text: &mut Text) {
        text.number(usize::from(*self));
    }
}

/// The level of a relative import; CPython writes 0 where there is none.
pub(super) fn level(level: Option<Int>) -> LevelNumber {
    LevelNumber(level.map_or(0, |level| level.to_u32()))
}

pub(super) struct LevelNumber(u32);

impl Canonical for LevelNumber {
    fn put(&self, text: &mut Text) {
        text.number(self.0 as usize);
    }
}

impl Canonical for ConversionFlag {
    fn put(&self, text: &mut Text) {
        text.print(format_args!("#{};", *self as i8));
    }
}

impl Canonical for Constant {
    fn put(&self, text: &mut Text) {
        match self {
            Constant::None => text.put(b"N"),
            Constant::Bool(true) => text.put(b"T"),
            Constant::Bool(false) => text.put(b"F"),
            Constant::Ellipsis => text.put(b"E"),
            Constant::Str(value) => text.sized(b's', value.as_bytes()),
            Constant::Bytes(value) => text.sized(b'b', value),
            Constant::Int(value) => text.print(format_args!("i{value:x};")),
            Constant::Float(value) => text.print(format_args!("f{:016x}", value.to_bits())),
            Constant::Complex { real, imag } => text.print(format_args!(
                "c{:016x}{:016x}",
                real.to_bits(),
                imag.to_bits()
            )),
            // only a folding pass makes these, which is not run
            Constant::Tuple(values) => values.put(text),
        }
    }
}
