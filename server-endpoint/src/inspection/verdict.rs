//! From what was found to what a file is: pure, so that every case can be read and tested in one place.
//!
//! P5 hangs on this: there is one way to [`FileState::Clean`], and it begins at a scanner that was asked
//! about these very bytes and found nothing.

use branchline_protocol::file::FileState;

use super::clamd::{Answer, ScanFault};

/// Attempts at a file after which a scanner that is there, and judges others, will not judge this one.
/// With the pauses between them, a quarter of an hour.
pub(super) const ATTEMPTS: u32 = 10;

/// What asking the scanner came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scanned {
    /// There is none to ask.
    NoScanner,
    /// It said this of exactly the file's bytes.
    Judged(Answer),
    /// The file is empty, or larger than is handed to a scanner: it was not asked.
    NotAsked,
    /// No answer, for the so-many-th time.
    Failed {
        /// Why.
        fault: ScanFault,
        /// Counted from 1.
        attempt: u32,
        /// It answers otherwise: what fails is this file.
        answers_others: bool,
    },
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// The verdict.
    Judge {
        /// What the file is from now on.
        state: FileState,
        /// What people should know besides.
        remark: Option<String>,
    },
    /// No verdict yet; people may know why.
    TryLater(String),
}

/// What a file of this size is.
pub(super) fn decide(size: u64, scanned: Scanned) -> Decision {
    let judge = |state| Decision::Judge {
        state,
        remark: None,
    };
    match scanned {
        Scanned::NoScanner => judge(FileState::Held),
        Scanned::Judged(Answer::Clean) => judge(FileState::Clean),
        Scanned::Judged(Answer::Infected(signature)) => judge(FileState::Infected { signature }),
        // Nothing in it, and so nothing to find.
        Scanned::NotAsked if size == 0 => judge(FileState::Clean),
        Scanned::NotAsked | Scanned::Judged(Answer::TooLarge) => judge(FileState::TooLarge),
        Scanned::Failed {
            fault,
            attempt,
            answers_others: true,
        } if attempt >= ATTEMPTS => Decision::Judge {
            state: FileState::Held,
            remark: Some(format!(
                "the virus scanner {fault}; it was asked {attempt} times and judges other files"
            )),
        },
        Scanned::Failed { fault, .. } => {
            Decision::TryLater(format!("the virus scanner {fault}; asked again by itself"))
        }
    }
}

/// What becomes of a file that was judged before and was scanned again; `None`: it stays what it is.
/// It loses what it had only where something was found: a scanner that is away, was taken out, or takes
/// less than before is no news about the file.
pub(super) fn decide_again(was: &FileState, now: FileState) -> Option<FileState> {
    use FileState::{Clean, Held, Infected, Released, TooLarge};
    let is_news = match (was, &now) {
        (_, Infected { .. }) => *was != now,
        (Held | TooLarge | Released { .. } | Infected { .. }, Clean) | (Held, TooLarge) => true,
        _ => false,
    };
    is_news.then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infected() -> FileState {
        FileState::Infected {
            signature: "X".into(),
        }
    }

    fn failed(attempt: u32, answers_others: bool) -> Scanned {
        Scanned::Failed {
            fault: ScanFault::Failed("CL_ETIMEOUT".into()),
            attempt,
            answers_others,
        }
    }

    #[test]
    fn p5_only_a_scanner_that_found_nothing_makes_a_file_clean() {
        let away = ScanFault::Away("it is not there".into());
        for (size, scanned, state) in [
            (5, Scanned::Judged(Answer::Clean), Some(FileState::Clean)),
            (
                5,
                Scanned::Judged(Answer::Infected("X".into())),
                Some(infected()),
            ),
            (
                5,
                Scanned::Judged(Answer::TooLarge),
                Some(FileState::TooLarge),
            ),
            (5, Scanned::NoScanner, Some(FileState::Held)),
            (0, Scanned::NoScanner, Some(FileState::Held)),
            (0, Scanned::NotAsked, Some(FileState::Clean)),
            (5, Scanned::NotAsked, Some(FileState::TooLarge)),
            (5, failed(1, true), None),
            (5, failed(ATTEMPTS, false), None),
            (5, failed(ATTEMPTS, true), Some(FileState::Held)),
            (
                5,
                Scanned::Failed {
                    fault: away,
                    attempt: 1_000,
                    answers_others: false,
                },
                None,
            ),
        ] {
            match decide(size, scanned.clone()) {
                Decision::Judge {
                    state: found,
                    remark,
                } => {
                    assert_eq!(Some(&found), state.as_ref(), "{scanned:?}");
                    let failed = matches!(scanned, Scanned::Failed { .. });
                    assert_eq!(remark.is_some(), failed, "{scanned:?}");
                }
                Decision::TryLater(words) => {
                    assert_eq!(state, None, "{scanned:?}");
                    assert!(words.starts_with("the virus scanner "), "{words}");
                }
            }
        }
    }

    #[test]
    fn what_is_scanned_again_loses_its_verdict_only_to_a_finding() {
        let released = FileState::Released {
            by: "me".into(),
            reason: "needed".into(),
        };
        for (was, now, then) in [
            (FileState::Clean, infected(), Some(infected())),
            (released.clone(), infected(), Some(infected())),
            (FileState::Held, infected(), Some(infected())),
            (infected(), infected(), None),
            (infected(), FileState::Clean, Some(FileState::Clean)),
            (infected(), FileState::Held, None),
            (infected(), FileState::TooLarge, None),
            (FileState::Clean, FileState::Clean, None),
            (FileState::Clean, FileState::Held, None),
            (FileState::Clean, FileState::TooLarge, None),
            (released.clone(), FileState::Clean, Some(FileState::Clean)),
            (released.clone(), FileState::Held, None),
            (released, FileState::TooLarge, None),
            (FileState::Held, FileState::Clean, Some(FileState::Clean)),
            (
                FileState::Held,
                FileState::TooLarge,
                Some(FileState::TooLarge),
            ),
            (
                FileState::TooLarge,
                FileState::Clean,
                Some(FileState::Clean),
            ),
            (FileState::TooLarge, FileState::Held, None),
        ] {
            assert_eq!(decide_again(&was, now.clone()), then, "{was:?} {now:?}");
        }
    }
}
