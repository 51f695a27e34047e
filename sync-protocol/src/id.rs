//! Names of things: newtypes that cannot be mixed up, with their one spelling on the wire.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a branch code.
    #[error("a branch code is 2 to 8 capital letters, such as LYN")]
    BranchCode,
    /// Not a ticket number.
    #[error("a ticket number looks like LYN-000042 or LYN2-000042")]
    TicketNumber,
    /// Not a 32-byte hash.
    #[error("a digest is 64 lower-case hexadecimal digits")]
    Digest,
    /// Not a UUID.
    #[error("an id is a UUID such as 01939d2e-6f60-7c3a-8f6a-0a1b2c3d4e5f")]
    Uuid,
}

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text).map(Self).map_err(|_| IdError::Uuid)
            }
        }

        impl $name {
            /// The sixteen bytes, as stored.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the sixteen bytes that a store holds.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// A UUIDv7 (RFC 9562) from a time in Unix milliseconds and ten random bytes, both the
            /// caller's: ids made one after another then lie side by side in an index.
            pub fn from_parts(unix_millis: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid())
            }
        }
    };
}

uuid_newtype!(
    /// One agent: one identity, one journal.
    AgentId
);
uuid_newtype!(
    /// One journal's life. A new journal, or one that forked, is a new stream.
    StreamId
);
uuid_newtype!(
    /// One operation, made by the client that asks for it; what it names happens once (P2).
    OperationId
);
uuid_newtype!(
    /// One ticket: the id of the operation that filed it.
    TicketId
);
uuid_newtype!(
    /// One file: the id of the operation that attached it.
    FileId
);

uuid_newtype!(
    /// One command of the desk, made by the client that asks for it; what it names happens once. A reply
    /// or a note is known by the command that brought it.
    CommandId
);

impl From<OperationId> for TicketId {
    fn from(filing: OperationId) -> Self {
        Self(filing.0)
    }
}

impl From<OperationId> for FileId {
    fn from(attaching: OperationId) -> Self {
        Self(attaching.0)
    }
}

/// A position in a stream; the first operation has 1, and 0 is before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The position `count` operations further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BLAKE3 hash; 64 lower-case hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// A chunk of a file, named by the hash of its bytes.
pub type ChunkHash = Digest;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(IdError::Digest);
        }
        blake3::Hash::from_hex(text)
            .map(|hash| Self(*hash.as_bytes()))
            .map_err(|_| IdError::Digest)
    }
}

/// A branch's short code: 2 to 8 capital letters. No digits, so that `LYN2-000042` can only be
/// agent 2 of `LYN`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchCode(String);

impl BranchCode {
    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BranchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for BranchCode {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (2..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::BranchCode)
        }
    }
}

/// A ticket's number, made at the branch, offline, and never changed by the branch: `LYN-000042`, or
/// `LYN2-000042` from the branch's second agent. Central alone may add a suffix (`LYN-000042-2`)
/// when an agent restored from an old image gave a number out twice (P2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketNumber {
    /// The branch that filed it.
    pub branch: BranchCode,
    /// Which of the branch's agents, from 1.
    pub ordinal: u16,
    /// Counted by that agent, from 1.
    pub serial: u32,
    /// 1 for the number as given; 2 and up for one that central had to tell apart.
    pub suffix: u32,
}

impl TicketNumber {
    /// A number as an agent gives it out, without suffix.
    pub fn given(branch: BranchCode, ordinal: u16, serial: u32) -> Self {
        Self {
            branch,
            ordinal,
            serial,
            suffix: 1,
        }
    }
}

impl fmt::Display for TicketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.branch)?;
        if self.ordinal > 1 {
            write!(f, "{}", self.ordinal)?;
        }
        write!(f, "-{:06}", self.serial)?;
        if self.suffix > 1 {
            write!(f, "-{}", self.suffix)?;
        }
        Ok(())
    }
}

impl FromStr for TicketNumber {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        parse_ticket_number(text).ok_or(IdError::TicketNumber)
    }
}

fn parse_ticket_number(text: &str) -> Option<TicketNumber> {
    let mut parts = text.splitn(3, '-');
    let (agent, serial, suffix) = (parts.next()?, parts.next()?, parts.next());
    let letters = agent.bytes().take_while(u8::is_ascii_uppercase).count();
    let (branch, ordinal) = agent.split_at_checked(letters)?;
    let number = TicketNumber {
        branch: branch.parse().ok()?,
        ordinal: if ordinal.is_empty() {
            1
        } else {
            ordinal.parse().ok()?
        },
        serial: serial.parse().ok()?,
        suffix: suffix.map_or(Some(1), |suffix| suffix.parse().ok())?,
    };
    // One spelling only: what prints differently was not this number.
    (number.serial > 0 && number.to_string() == text).then_some(number)
}

macro_rules! text_serde {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::with_str(deserializer, |text| text.parse().map_err(de::Error::custom))
            }
        }
    )*};
}

text_serde!(BranchCode, TicketNumber, Digest, crate::time::LocalTime);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_numbers_have_one_spelling() {
        for good in [
            "LYN-000042",
            "LYN2-000042",
            "LYN-000042-2",
            "PARIS12-1234567",
        ] {
            assert_eq!(good.parse::<TicketNumber>().unwrap().to_string(), good);
        }
        for bad in [
            "LYN-42",
            "LYN1-000042",
            "LYN-000000",
            "LYN-000042-1",
            "lyn-000042",
            "L-000042",
            "LYN-000042-",
            "LYN-+00042",
            "LYN02-000042",
            "",
            "-",
            "LYN",
            "LYN-000042-2-3",
        ] {
            assert!(bad.parse::<TicketNumber>().is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn branch_codes_are_capital_letters() {
        assert!("LYN".parse::<BranchCode>().is_ok());
        for bad in ["L", "LYN2", "lyn", "ABCDEFGHI", "ÉÀ", ""] {
            assert!(bad.parse::<BranchCode>().is_err(), "{bad} was taken");
        }
    }
}
