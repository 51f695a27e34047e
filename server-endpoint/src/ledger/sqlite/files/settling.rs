//! Letting go of `incoming/`: chunks of an assembled file lie in it from then on, and manifests of
//! files that are given up are taken back. Both go in steps, each a commit that leaves everything in
//! order; after a crash the next call goes on from there.

use branchline_protocol::file::FileState;
use branchline_protocol::id::FileId;
use branchline_protocol::time::UnixMillis;
use rusqlite::{Connection, params};

use super::rows::FileRow;
use super::{manifests, objects, states};
use crate::ledger::sqlite::columns::{self, to_integer, whole};
use crate::ledger::{LedgerError, ObjectName};

/// Places that one step settles: some ten milliseconds.
const STEP_PLACES: u32 = 2_048;
/// Places that one step takes back, each with a chunk of its own that leaves a page of its own.
const STEP_PLACES_BACK: u32 = 512;

/// What one step freed, and whether there is more to do.
pub(in crate::ledger::sqlite) struct Step<N> {
    /// Objects in which no chunk lies any more.
    pub(in crate::ledger::sqlite) freed: Vec<ObjectName>,
    /// From where to go on.
    pub(in crate::ledger::sqlite) next: Option<N>,
}

/// How far a file is settled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SettledTo {
    place: u32,
    offset: u64,
}

/// Moves chunks of the file that lie in objects into the file itself.
pub(super) fn settle(
    connection: &Connection,
    file: FileId,
    from: SettledTo,
) -> Result<Step<SettledTo>, LedgerError> {
    let mut step = Step {
        freed: Vec::new(),
        next: None,
    };
    let Some(file) = FileRow::find(connection, file)? else {
        return Ok(step);
    };
    let mut moved = connection.prepare_cached(
        "UPDATE chunks SET object = NULL, file = ?2, offset = ?3, stored = NULL, encoding = NULL
         WHERE chunk = ?1 AND object = ?4",
    )?;
    let mut at = from;
    let places = places_from(connection, &file, from.place)?;
    let taken = places.len();
    for (chunk, size, object) in places {
        if let Some(object) = object {
            let offset = to_integer(at.offset);
            // Not where the same chunk stood in an earlier place of this step.
            if moved.execute(params![chunk, file.row, offset, object])? > 0 {
                step.freed
                    .extend(objects::take_from(connection, object, 1)?);
            }
        }
        at.place += 1;
        at.offset += u64::from(size);
    }
    step.next = (taken == STEP_PLACES as usize).then_some(at);
    Ok(step)
}

type Settling = (i64, u32, Option<i64>);

fn places_from(
    connection: &Connection,
    file: &FileRow,
    from: u32,
) -> Result<Vec<Settling>, LedgerError> {
    let mut statement = connection.prepare_cached(
        "SELECT chunk, chunks.size, object FROM manifests JOIN chunks USING (chunk)
         WHERE manifests.file = ?1 AND place >= ?2 ORDER BY place LIMIT ?3",
    )?;
    let mut rows = statement.query(params![file.row, from, STEP_PLACES])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        let size = whole(row.get(1)?, "a chunk's size")?;
        places.push((row.get(0)?, size, row.get(2)?));
    }
    Ok(places)
}

/// Takes back part of the manifest of the file that has been idle longest, if it was so before
/// `before`; the last part gives the file up. Meanwhile the file is one that was announced less far, and
/// whoever announces it saves it.
pub(super) fn expire(
    connection: &Connection,
    before: UnixMillis,
    at: UnixMillis,
) -> Result<Step<()>, LedgerError> {
    let mut step = Step {
        freed: Vec::new(),
        next: None,
    };
    let mut left = STEP_PLACES_BACK;
    while left > 0 {
        let Some(mut file) = FileRow::idle_before(connection, before)? else {
            return Ok(step);
        };
        let announced = file.announced;
        step.freed
            .extend(manifests::cut(connection, &mut file, left)?);
        // A file costs something even where it has no places.
        left = left.saturating_sub((announced - file.announced).max(16));
        if file.announced == 0 {
            give_up(connection, &mut file, at)?;
        }
        file.save(connection)?;
    }
    step.next = Some(());
    Ok(step)
}

fn give_up(connection: &Connection, file: &mut FileRow, at: UnixMillis) -> Result<(), LedgerError> {
    match file.state {
        FileState::Waiting => {
            states::enter(connection, file, FileState::Expired, at)?;
            file.count = None;
        }
        // Its state stands; only its chunks go.
        FileState::Corrupt => file.idle_since = None,
        _ => return Err(columns::unfit("a file that may be given up")),
    }
    Ok(())
}
