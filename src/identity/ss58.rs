//! ss58 addresses: base 58 of a network's number, 32 bytes of public key, and a checksum (two bytes of BLAKE2b-512).

use blake2::{Blake2b512, Digest};

const DOMAIN: &[u8] = b"SS58PRE";
const CHECKSUM_BYTES: usize = 2;
/// An address is 46 to 50 characters; nothing longer is decoded.
const MAX_CHARACTERS: usize = 64;

/// What is wrong with an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("got {0:?}, expected an ss58 address of a 32-byte key")]
    Malformed(String),
    #[error("the checksum of {0} does not hold")]
    Checksum(String),
    #[error("{address} is of network {got}, expected {expected}")]
    Network {
        address: String,
        got: u16,
        expected: u16,
    },
}

/// The public key of an address of this network. A key has one address in a network, so addresses can be compared as text.
///
/// # Errors
/// [`AddressError`].
pub fn decode(address: &str, network: u16) -> Result<[u8; 32], AddressError> {
    let (got, key) = network_and_key(address)?;
    if got == network {
        return Ok(key);
    }
    Err(AddressError::Network {
        address: address.to_owned(),
        got,
        expected: network,
    })
}

/// Network and public key of any address.
pub(super) fn network_and_key(address: &str) -> Result<(u16, [u8; 32]), AddressError> {
    let malformed = || AddressError::Malformed(address.chars().take(MAX_CHARACTERS).collect());
    if address.len() > MAX_CHARACTERS {
        return Err(malformed());
    }
    let bytes = bs58::decode(address).into_vec().map_err(|_| malformed())?;
    let prefix_bytes = match bytes.first() {
        Some(0..64) => 1,
        Some(64..128) => 2,
        _ => return Err(malformed()),
    };
    if bytes.len() != prefix_bytes + 32 + CHECKSUM_BYTES {
        return Err(malformed());
    }
    let (content, checksum) = bytes.split_at(prefix_bytes + 32);
    if checksum != checksum_of(content) {
        return Err(AddressError::Checksum(address.to_owned()));
    }
    let (prefix, public) = content.split_at(prefix_bytes);
    let got = match *prefix {
        [number] => u16::from(number),
        [first, second] => {
            let low = ((first & 0b0011_1111) << 2) | (second >> 6);
            u16::from(low) | (u16::from(second & 0b0011_1111) << 8)
        }
        _ => return Err(malformed()),
    };
    let mut key = [0; 32];
    key.copy_from_slice(public);
    // two bytes can spell a number below 64, too: one key, one address
    if encode(&key, got) != address {
        return Err(malformed());
    }
    Ok((got, key))
}

/// The address of a public key in a network (0 to 16383).
pub fn encode(public: &[u8; 32], network: u16) -> String {
    let mut bytes = Vec::with_capacity(36);
    let [high, low] = (network & 0x3fff).to_be_bytes();
    if network < 64 {
        bytes.push(low);
    } else {
        bytes.push((low >> 2) | 0b0100_0000);
        bytes.push((low << 6) | high);
    }
    bytes.extend(public);
    let checksum = checksum_of(&bytes);
    bytes.extend(checksum);
    bs58::encode(bytes).into_string()
}

fn checksum_of(content: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Blake2b512::new();
    hash.update(DOMAIN);
    hash.update(content);
    let digest = hash.finalize();
    [digest[0], digest[1]]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";
    const ADDRESS: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

    #[test]
    fn addresses_are_those_of_substrate() {
        let key = crate::identity::unhex(ALICE).unwrap();
        assert_eq!(encode(&key, 42), ADDRESS);
        assert_eq!(decode(ADDRESS, 42), Ok(key));
        // Polkadot's own network, and one with a number of two bytes
        assert_eq!(
            encode(&key, 0),
            "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"
        );
        for network in [0, 63, 64, 255, 1284, 16_383] {
            assert_eq!(decode(&encode(&key, network), network), Ok(key));
        }
    }

    #[test]
    fn what_is_no_address_of_the_network() {
        let wrong = ADDRESS.replace("KutQY", "KutQZ");
        assert!(matches!(decode(&wrong, 42), Err(AddressError::Checksum(_))));
        assert!(matches!(
            decode(ADDRESS, 0),
            Err(AddressError::Network { got: 42, .. })
        ));
        let long = "5".repeat(1 << 20);
        for text in ["", "5", "0OIl", &ADDRESS[..40], &long, "é"] {
            assert!(
                matches!(decode(text, 42), Err(AddressError::Malformed(_))),
                "{text:.60}"
            );
        }
    }
}
