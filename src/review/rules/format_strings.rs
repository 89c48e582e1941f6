//! `str.format` reads attributes that its text names.

use super::RuleWalk;
use super::attributes::is_self;
use crate::review::parse::ast::ExprAttribute;
use crate::review::parse::span;

pub fn check<'a>(walk: &mut RuleWalk<'_, 'a>, node: &'a ExprAttribute) {
    let method = node.attr.as_str();
    if !matches!(method, "format" | "format_map") {
        return;
    }
    let at = span(node);
    let Some(texts) = walk
        .bundle
        .constant_texts(walk.index, walk.scope(), &node.value)
    else {
        let is_own = is_self(&node.value) && walk.bundle.authored.functions.contains(method);
        if !is_own {
            walk.reject(
                "prism:no-dynamic-attr",
                at,
                "Attribute",
                &format!(".{method} of a text that is not a constant; an f-string says the same"),
            );
        }
        return;
    };
    for text in texts {
        if let Some(field) = first_attribute_field(text) {
            walk.reject(
                "prism:no-dynamic-attr",
                at,
                "Attribute",
                &format!("the format field {field:?} reads an attribute"),
            );
        }
    }
}

/// The first replacement field of a format text that contains an attribute.
fn first_attribute_field(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        rest = rest.get(open + 1..)?;
        let field = rest.split(['!', ':', '}', '{']).next().unwrap_or(rest);
        if field.contains('.') {
            return Some(field);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_attributes_also_in_nested_specs() {
        assert_eq!(first_attribute_field("step {} loss {:.3f} width {w}"), None);
        assert_eq!(first_attribute_field("{0[key]}"), None);
        assert_eq!(first_attribute_field("{0.x}"), Some("0.x"));
        assert_eq!(first_attribute_field("{:{0.x}}"), Some("0.x"));
        assert_eq!(first_attribute_field("{{literal}} {a.b!r}"), Some("a.b"));
    }
}
