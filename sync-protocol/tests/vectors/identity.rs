//! Enrolment tokens against `vectors/tokens.json`.

use branchline_protocol::enrolment::{Token, TokenFault};
use branchline_protocol::id::Digest;
use serde::Deserialize;

use super::read;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    about: String,
    entries: Vec<TokenEntry>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum TokenEntry {
    Good {
        title: String,
        token: String,
        url: String,
        anchor: String,
        secret_hash: Digest,
    },
    Bad {
        title: String,
        token: String,
        fault: String,
    },
}

#[test]
fn tokens() {
    let file: TokensFile = read("tokens.json");
    for entry in file.entries {
        match entry {
            TokenEntry::Good {
                title,
                token,
                url,
                anchor,
                secret_hash,
            } => {
                let read: Token = token.parse().expect(&title);
                assert_eq!(read.url, url, "{title}");
                assert_eq!(read.anchor.to_string(), anchor, "{title}");
                assert_eq!(read.secret.hash(), secret_hash, "{title}");
                assert_eq!(read.to_string(), token.trim(), "{title}");
            }
            TokenEntry::Bad {
                title,
                token,
                fault,
            } => {
                let said = match token.parse::<Token>() {
                    Ok(_) => "good",
                    Err(TokenFault::Foreign) => "foreign",
                    Err(TokenFault::NotWhole) => "not_whole",
                    Err(TokenFault::TooLong) => "too_long",
                };
                assert_eq!(said, fault, "{title}");
            }
        }
    }
}
