//! The order of the scored stream: that of the files, or one that nobody could know before the run.

use sha2::{Digest, Sha256};

use super::Document;

/// Orders documents by sha256(key ‖ id). The same documents, so every run is charged for the same text; without the key
/// nobody can say which comes first.
pub fn permute(documents: &mut [Document], key: &[u8; 32]) {
    documents.sort_by_cached_key(|document| {
        let mut hash = Sha256::new();
        hash.update(key);
        hash.update(document.id.as_bytes());
        <[u8; 32]>::from(hash.finalize())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(key: u8) -> Vec<String> {
        let mut documents: Vec<Document> = (0..50)
            .map(|n| Document {
                id: format!("d{n:02}"),
                text: String::new(),
            })
            .collect();
        permute(&mut documents, &[key; 32]);
        documents.into_iter().map(|document| document.id).collect()
    }

    #[test]
    fn the_order_is_the_key_s_and_loses_nothing() {
        assert_eq!(ordered(1), ordered(1));
        assert_ne!(ordered(1), ordered(2));
        let mut sorted = ordered(1);
        assert_ne!(sorted[..3], ["d00", "d01", "d02"]);
        sorted.sort();
        assert_eq!(sorted.len(), 50);
        assert!(sorted.is_sorted() && sorted[49] == "d49");
    }
}
