//! `prism schema [NAME]`.

use prism::exit;
use prism::outbox::schema::Schema;

use super::{Complaint, Format, Global, output};

pub fn schema(global: &Global, name: Option<&str>) -> Result<u8, Complaint> {
    let names: Vec<&str> = Schema::ALL.iter().map(|schema| schema.name()).collect();
    let Some(name) = name else {
        match global.format {
            Format::Json => output::json(&names)?,
            _ => output::print(&format!("{}\n", names.join("\n")))?,
        }
        return Ok(exit::OK);
    };
    let schema = Schema::ALL
        .iter()
        .find(|schema| schema.name() == name)
        .ok_or_else(|| {
            Complaint::new(
                exit::USAGE,
                format!("no schema is called {name:?}"),
                format!("names: {}", names.join(", ")),
            )
        })?;
    output::print(schema.text())?;
    Ok(exit::OK)
}
