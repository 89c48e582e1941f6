//! The length of a submission's code, the first part of the two-part code (Rissanen 1978).
//!
//! Knowledge that arrives inside the source costs what it is worth: a table that saves bits on the text has to be
//! written down first, and is charged here.

use serde::{Deserialize, Serialize};

use super::error::ScoreError;

/// Compression level. Fixed: another level is another scoring version.
const LEVEL: i32 = 19;

/// What the normalised source costs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CodeLength {
    /// Compressor, version and level, for example `zstd 1.5.7 level 19`.
    pub compressor: String,
    pub source_bytes: u64,
    pub compressed_bytes: u64,
    /// 8 x `compressed_bytes`.
    pub bits: u64,
}

/// Compresses the normalised source (comments, docstrings that nothing reads and formatting already removed by the
/// caller) as one zstd frame without checksum, in one thread, at level 19.
///
/// # Errors
/// [`ScoreError::Io`] when the compressor cannot get its memory.
pub fn code_bits(normalised_source: &[u8]) -> Result<CodeLength, ScoreError> {
    let compressed =
        zstd::bulk::compress(normalised_source, LEVEL).map_err(|source| ScoreError::Io {
            action: "compress",
            path: "the normalised source".into(),
            source,
        })?;
    let compressed_bytes = compressed.len() as u64;
    Ok(CodeLength {
        compressor: compressor_name(),
        source_bytes: normalised_source.len() as u64,
        compressed_bytes,
        bits: compressed_bytes * 8,
    })
}

/// Compressor, linked version and level.
pub fn compressor_name() -> String {
    format!("zstd {} level {LEVEL}", zstd::zstd_safe::version_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_charged_by_what_it_holds() {
        let repeated = code_bits(&b"x = x + 1\n".repeat(1000)).unwrap();
        // a linear congruential sequence stands for a table of weights: it does not compress
        let mut state = 1_u64;
        let table: Vec<u8> = (0..10_000)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let table = code_bits(&table).unwrap();
        assert_eq!(repeated.source_bytes, 10_000);
        assert!(repeated.compressed_bytes < 60, "{repeated:?}");
        assert!(table.compressed_bytes > 9_900, "{table:?}");
        assert_eq!(table.bits, table.compressed_bytes * 8);
    }

    #[test]
    fn the_same_source_always_costs_the_same() {
        let source = b"def build_model(ctx):\n    return Model(ctx)\n";
        assert_eq!(code_bits(source).unwrap(), code_bits(source).unwrap());
        assert!(code_bits(b"").unwrap().bits > 0);
    }

    #[test]
    fn the_compressor_is_named_with_its_version() {
        let name = compressor_name();
        assert!(
            name.starts_with("zstd 1.") && name.ends_with(" level 19"),
            "{name}"
        );
    }
}
