//! Announcing files: which sections fit, in steps that each hold the writer briefly, and how the files
//! stand after it.

use branchline_protocol::file::FileState;
use branchline_protocol::id::BranchCode;
use branchline_protocol::limits;
use branchline_protocol::manifest::{FileStanding, ManifestFault, Places, Section, Standing};
use rusqlite::{Connection, params};

use super::rows::{self, FileRow};
use super::{manifests, states};
use crate::ledger::sqlite::columns::{self, to_integer, whole};
use crate::ledger::{Announce, Announced, DedupScope, LedgerError};

/// Places that one step adds or compares: each new chunk dirties a page of its own in a large ledger, so
/// that this is 2 MiB of WAL and some ten milliseconds.
const STEP_PLACES: usize = 512;
/// Places that a section counts as besides its own: looking up and saving its file costs as much.
const SECTION_COSTS: usize = 4;
/// Missing chunks told in one answer, over all its files, so that an answer stays within
/// [`limits::ANSWER_BYTES`] whatever was asked.
const MISSING_TOLD: usize = 4 * limits::MISSING_CHUNKS;
/// Missing chunks told of each file even then.
const MISSING_TOLD_LEAST: usize = 16;

/// What one section came to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placed {
    NotAttached,
    NoRoom,
    Refused(ManifestFault),
    /// As its file stands.
    Stands,
}

/// What one step did.
pub(super) struct Step {
    /// Of the sections from the one that it began with; none for one that needs another step.
    pub(super) placed: Vec<Placed>,
    /// Whether a file moved.
    pub(super) gave_news: bool,
    /// How far the section that needs another step is announced.
    pub(super) reached: u32,
}

/// Places sections from the one at `first` on, as far as one step goes: at least one, or part of one.
/// `reached` is the former step's.
pub(super) fn step(
    connection: &Connection,
    announce: &Announce,
    first: usize,
    mut reached: u32,
) -> Result<Step, LedgerError> {
    let mut step = Step {
        placed: Vec::new(),
        gave_news: false,
        reached: 0,
    };
    let Some((agent, branch)) = rows::agent(connection, announce.agent)? else {
        let missing = announce.sections.len().saturating_sub(first);
        step.placed = vec![Placed::NotAttached; missing];
        return Ok(step);
    };
    let mut room = STEP_PLACES;
    for section in announce.sections.iter().skip(first) {
        if room == 0 {
            break;
        }
        let Some(mut file) = FileRow::find_of(connection, section.file, agent)? else {
            step.placed.push(Placed::NotAttached);
            continue;
        };
        let version = file.version;
        let mut placing = Placing {
            connection,
            announce,
            branch: &branch,
            room: &mut room,
            reached: std::mem::take(&mut reached),
        };
        let outcome = placing.place(&mut file, section)?;
        file.save(connection)?;
        step.gave_news |= file.version > version;
        let Some(outcome) = outcome else {
            step.reached = file.announced;
            break;
        };
        step.placed.push(outcome);
        room = room.saturating_sub(SECTION_COSTS);
    }
    Ok(step)
}

struct Placing<'a> {
    connection: &'a Connection,
    announce: &'a Announce,
    branch: &'a BranchCode,
    /// How many more places this step takes.
    room: &'a mut usize,
    /// Places before this are the section's own: a former step announced or compared them.
    reached: u32,
}

impl Placing<'_> {
    /// `None` where the section goes on in the next step.
    fn place(
        &mut self,
        file: &mut FileRow,
        section: &Section,
    ) -> Result<Option<Placed>, LedgerError> {
        if (section.size, section.root) != (file.size, file.root) {
            return Ok(Some(Placed::Refused(ManifestFault::OtherFile)));
        }
        if !matches!(file.state, FileState::Waiting | FileState::Expired) {
            return Ok(Some(Placed::Stands));
        }
        match file.count {
            None if !self.has_room(file)? => return Ok(Some(Placed::NoRoom)),
            Some(count) if count != section.count => {
                return Ok(Some(Placed::Refused(ManifestFault::OtherFile)));
            }
            _ => {}
        }
        let at = self.announce.at;
        if file.state == FileState::Expired {
            // Whoever announces it has its bytes: from the beginning then.
            states::enter(self.connection, file, FileState::Waiting, at)?;
        }
        if file.count.is_some() {
            file.idle_since = Some(at);
        }
        if section.from > file.announced {
            return Ok(Some(Placed::Stands));
        }
        self.place_chunks(file, section)
    }

    fn place_chunks(
        &mut self,
        file: &mut FileRow,
        section: &Section,
    ) -> Result<Option<Placed>, LedgerError> {
        let repeated = usize::try_from(file.announced - section.from).unwrap_or(usize::MAX);
        let repeated = repeated.min(section.chunks.len());
        let (old, new) = section.chunks.split_at(repeated);
        let known = self
            .reached
            .min(file.announced)
            .saturating_sub(section.from);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let unknown = old.get(known..).unwrap_or_default();
        let from = section.from.max(self.reached);
        if !manifests::repeats(self.connection, file, from, unknown)? {
            return Ok(Some(Placed::Refused(ManifestFault::Overlap)));
        }
        let asks_only = new.is_empty() && section.count > 0;
        if !asks_only {
            let rest = Section {
                from: file.announced,
                chunks: new.to_vec(),
                ..*section
            };
            if let Some(fault) = rest.fault(file.announced_bytes) {
                return Ok(Some(Placed::Refused(fault)));
            }
        }
        if asks_only {
            *self.room = self.room.saturating_sub(unknown.len());
            return Ok(Some(Placed::Stands));
        }
        self.begin(file, section.count)?;
        let taken = new.get(..*self.room).unwrap_or(new);
        manifests::append(self.connection, file, taken)?;
        *self.room = self.room.saturating_sub(taken.len() + unknown.len());
        if file.is_complete() {
            states::enter(self.connection, file, FileState::Received, self.announce.at)?;
        }
        Ok((taken.len() == new.len()).then_some(Placed::Stands))
    }

    /// Whether the agent may begin another file of this size.
    fn has_room(&self, file: &FileRow) -> Result<bool, LedgerError> {
        let bounds = &self.announce.bounds;
        let (files, bytes) = self
            .connection
            .prepare_cached("SELECT begun_files, begun_bytes FROM agents WHERE agent = ?1")?
            .query_row([file.agent], |row| {
                Ok((columns::count(row, 0), columns::count(row, 1)))
            })?;
        Ok(file.size <= bounds.file_bytes
            && files? < bounds.agent_files
            && bytes?.saturating_add(file.size) <= bounds.agent_bytes)
    }

    fn begin(&self, file: &mut FileRow, count: u32) -> Result<(), LedgerError> {
        if file.count.is_some() {
            return Ok(());
        }
        file.count = Some(count);
        file.scope = match self.announce.bounds.scope {
            DedupScope::Organisation => String::new(),
            DedupScope::Branch => self.branch.as_str().to_owned(),
        };
        file.idle_since = Some(self.announce.at);
        states::count_begun(self.connection, file, 1)
    }
}

/// How the files of an announcement stand now.
pub(super) fn standings(
    connection: &Connection,
    announce: &Announce,
    placed: &[Placed],
    gave_news: bool,
) -> Result<Announced, LedgerError> {
    let Some((_, branch)) = rows::agent(connection, announce.agent)? else {
        return Err(LedgerError::Away(
            "the agent is not registered any more".to_owned(),
        ));
    };
    let mut to_tell = MISSING_TOLD;
    let mut files = Vec::with_capacity(placed.len());
    for (section, placed) in announce.sections.iter().zip(placed) {
        let standing = match placed {
            Placed::NotAttached => Standing::NotAttached,
            Placed::NoRoom => Standing::NoRoom,
            Placed::Refused(fault) => Standing::Refused { fault: *fault },
            Placed::Stands => standing(connection, section, &mut to_tell)?,
        };
        files.push(FileStanding {
            file: section.file,
            standing,
        });
    }
    Ok(Announced {
        files,
        branch,
        gave_news,
    })
}

fn standing(
    connection: &Connection,
    section: &Section,
    to_tell: &mut usize,
) -> Result<Standing, LedgerError> {
    let file = FileRow::find(connection, section.file)?
        .ok_or_else(|| columns::unfit("the file that was announced"))?;
    if file.state != FileState::Waiting {
        return Ok(Standing::Received { state: file.state });
    }
    let most = (*to_tell).clamp(MISSING_TOLD_LEAST, limits::MISSING_CHUNKS);
    let missing = missing(connection, &file, most)?;
    let told: usize = missing.iter().map(|places| places.1 as usize).sum();
    *to_tell = to_tell.saturating_sub(told);
    Ok(Standing::Wanted {
        announced: file.announced,
        missing,
    })
}

fn missing(
    connection: &Connection,
    file: &FileRow,
    most: usize,
) -> Result<Vec<Places>, LedgerError> {
    let mut statement = connection
        .prepare_cached("SELECT place FROM missing WHERE file = ?1 ORDER BY place LIMIT ?2")?;
    let mut rows = statement.query(params![file.row, to_integer(most as u64)])?;
    let mut ranges: Vec<Places> = Vec::new();
    while let Some(row) = rows.next()? {
        let place: u32 = whole(row.get(0)?, "a place")?;
        let told = ranges.len();
        match ranges.last_mut() {
            Some(Places(from, count)) if *from + *count == place => *count += 1,
            _ if told == limits::MISSING_RANGES => break,
            _ => ranges.push(Places(place, 1)),
        }
    }
    Ok(ranges)
}
