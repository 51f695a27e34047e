//! What the command line may ask of a read model that a server has in use: how far it is, and to build it
//! anew.
//!
//! Only the server writes read models. A wish is an empty file beside them, which the server looks for and
//! takes away when it has granted it; where no server runs, the next one does.

use std::path::{Path, PathBuf};

use branchline_durable_sqlite::Readers;

use super::{ReadModelError, files, position_in};

const NAME: &str = "rebuild-wished";

/// How a read model stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The file that is in use, or the newest one.
    pub file: PathBuf,
    /// The last event that is in it.
    pub position: u64,
    /// It is to be built anew.
    pub wished: bool,
}

/// How the read model of this folder stands; `None` where none was ever begun.
pub async fn standing(folder: &Path) -> Result<Option<Standing>, ReadModelError> {
    let Some(file) = files::newest_path(folder)? else {
        return Ok(None);
    };
    let readers = Readers::new(&file, 1, 1_024);
    let cursor: Result<String, ReadModelError> = readers
        .read(|connection| {
            Ok(connection.query_row("SELECT cursor FROM self", [], |row| row.get(0))?)
        })
        .await;
    Ok(Some(Standing {
        position: position_in(&cursor?)?,
        wished: is_there(folder),
        file,
    }))
}

/// Asks for it to be built anew.
pub fn make(folder: &Path) -> Result<(), ReadModelError> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(NAME), b"")?;
    Ok(())
}

/// Whether that is still to be done.
pub fn is_there(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

pub(super) fn grant(folder: &Path) {
    if let Err(fault) = std::fs::remove_file(folder.join(NAME)) {
        tracing::warn!(error = %fault, "take the wish for a new read model away");
    }
}
