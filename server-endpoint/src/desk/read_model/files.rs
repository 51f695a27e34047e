//! The files on disk: which is in use, which is begun, which is gone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Generation, ReadModelError};
use crate::service::Goals;

const PREFIX: &str = "readmodel-";
const SUFFIX: &str = ".db";

/// The newest whole file; where there is none, the first is begun and is as whole as an empty ledger. The
/// others are removed: they were begun and not finished, or have had their time.
pub(super) fn open_newest(folder: &Path, goals: &Arc<Goals>) -> Result<Generation, ReadModelError> {
    let mut numbers = numbers(folder)?;
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut newest = None;
    for number in &numbers {
        let path = path(folder, *number);
        if newest.is_none() {
            match open_whole(&path, *number, goals) {
                Ok(Some(generation)) => {
                    newest = Some(generation);
                    continue;
                }
                Ok(None) => {}
                Err(fault) => tracing::warn!(
                    error = %fault, file = %path.display(), "a read model is not used and built anew"
                ),
            }
        }
        remove(&path);
    }
    if let Some(generation) = newest {
        return Ok(generation);
    }
    let number = numbers.first().map_or(1, |last| last + 1);
    Generation::start(&path(folder, number), number, true, goals)
}

/// The newest file, whole or not; `None` where there is none.
pub(super) fn newest_path(folder: &Path) -> Result<Option<PathBuf>, ReadModelError> {
    if !folder.exists() {
        return Ok(None);
    }
    let newest = numbers(folder)?.into_iter().max();
    Ok(newest.map(|number| path(folder, number)))
}

/// A new file.
pub(super) fn begin(
    folder: &Path,
    number: u64,
    goals: &Arc<Goals>,
) -> Result<Generation, ReadModelError> {
    let path = path(folder, number);
    remove(&path);
    Generation::start(&path, number, false, goals)
}

/// Removes a file and its log; who reads it still, reads on.
pub(super) fn remove(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let name = PathBuf::from(name);
        match std::fs::remove_file(&name) {
            Ok(()) => {}
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
            Err(fault) => {
                tracing::warn!(error = %fault, file = %name.display(), "remove an old read model");
            }
        }
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number}{SUFFIX}"))
}

fn numbers(folder: &Path) -> Result<Vec<u64>, ReadModelError> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX))
            .and_then(|number| number.parse::<u64>().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}

fn open_whole(
    path: &Path,
    number: u64,
    goals: &Arc<Goals>,
) -> Result<Option<Generation>, ReadModelError> {
    let generation = Generation::start(path, number, false, goals)?;
    Ok(generation.whole.then_some(generation))
}
