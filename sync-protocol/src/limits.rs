//! Every bound of the protocol, named, with its reason beside it (P8).
//!
//! Lengths of text are in Unicode scalar values ("characters"), because that is what a person can
//! count; sizes are in bytes. A bound may grow in a later version and never shrinks: operations
//! already saved in a journal must stay acceptable.

use std::time::Duration;

/// Characters in a ticket's subject: two lines of a list at most.
pub const SUBJECT_CHARS: usize = 200;
/// Characters in a description or comment: about eight printed pages; longer texts are files.
pub const TEXT_CHARS: usize = 16_000;
/// Characters in a category's name.
pub const CATEGORY_CHARS: usize = 60;
/// Characters in a contact's name.
pub const CONTACT_NAME_CHARS: usize = 100;
/// Characters in a telephone number, extensions and spaces included.
pub const PHONE_CHARS: usize = 40;
/// Characters in a mail address (RFC 5321 allows 254).
pub const MAIL_CHARS: usize = 254;
/// Characters in an asset tag or the name of a workplace.
pub const ASSET_CHARS: usize = 100;
/// Characters in an operating-system user name (Windows allows `DOMAIN\user` of about 120).
pub const USER_CHARS: usize = 120;
/// Characters in a file's name as given (255 is what common file systems hold).
pub const FILE_NAME_CHARS: usize = 255;

/// Bytes of one operation. The largest valid one is a description of [`TEXT_CHARS`] characters at
/// four bytes each; the rest is room for operations of newer agents.
pub const OPERATION_BYTES: usize = 96 * 1024;
/// Operations in one submission: bounds the ledger transaction that it becomes.
pub const SUBMISSION_OPERATIONS: usize = 2_000;
/// Bytes of one submission's JSON, before compression. Twenty of the largest operations, and small
/// enough that sixteen agents at once cost central no more than 32 MiB.
pub const SUBMISSION_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of operations in a sender's first submission on an unknown link: a few seconds at 64 kbit/s.
pub const FIRST_BATCH_BYTES: usize = 32 * 1024;
/// Bytes of operations below which a submission is not cut further (one operation always goes).
pub const LEAST_BATCH_BYTES: usize = 4 * 1024;
/// Bytes of operations above which a submission does not grow, leaving room for the envelope.
pub const MOST_BATCH_BYTES: usize = SUBMISSION_BYTES - 128 * 1024;
/// How long one submission should take: long enough to hide the round trip, short enough that a
/// broken one costs little and a person's new ticket does not wait behind it.
pub const BATCH_TARGET: Duration = Duration::from_secs(1);
/// Bodies smaller than this are sent as they are: compression would gain less than a packet.
pub const COMPRESS_FROM_BYTES: usize = 512;

/// Events in one feed reply.
pub const FEED_EVENTS: usize = 500;
/// Bytes of events in one feed reply, before compression.
pub const FEED_BYTES: usize = 512 * 1024;
/// Longest time central holds a feed request open. Below the 30 s and 60 s idle cut-offs common in
/// proxies and UTMs.
pub const FEED_WAIT: Duration = Duration::from_secs(25);
/// Bytes of a feed cursor.
pub const CURSOR_BYTES: usize = 64;
/// Bytes of any answer the agent reads: a feed reply and a submission's verdicts fit several times.
pub const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// How often an agent with nothing to say says so: central learns that it lives, and an agent
/// learns that central was restored from a backup (P2).
pub const HEARTBEAT: Duration = Duration::from_secs(300);
/// Longest delay that an answer may ask for with `Retry-After`; a longer one is cut to this, so that
/// a mistyped value cannot silence a branch for days.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(3_600);

/// Characters of free text (a detail, a reason) that one side records of what the other said.
pub const DETAIL_CHARS: usize = 500;

/// Bytes of every chunk of a file but the last: FastCDC's least size.
pub const CHUNK_LEAST_BYTES: u32 = 16 * 1024;
/// Average that the chunker aims at.
pub const CHUNK_AVERAGE_BYTES: u32 = 64 * 1024;
/// Bytes of the largest chunk.
pub const CHUNK_MOST_BYTES: u32 = 256 * 1024;
/// Bytes of a file: 1 TiB. What a branch or central takes at most is a setting far below.
pub const FILE_BYTES: u64 = 1 << 40;
/// Files in one announcement: two thousand small files cost four round trips.
pub const ANNOUNCED_FILES: usize = 512;
/// Chunks in one announcement, over all its sections: about 600 KiB of JSON, half a GiB of file.
pub const SECTION_CHUNKS: usize = 8_192;
/// Ranges of missing places in one file's standing.
pub const MISSING_RANGES: usize = 512;
/// Missing chunks in one file's standing: a minute of a fast link.
pub const MISSING_CHUNKS: usize = 8_192;
/// Bytes of a body of chunks, frames' headers included: 8 MiB of chunks and room for the headers.
pub const CHUNK_BODY_BYTES: usize = 8 * 1024 * 1024 + 256 * 1024;
/// Chunks in one body: bounds the ledger transaction that it becomes.
pub const CHUNK_BODY_FRAMES: usize = 2_048;
/// Bytes of chunks in the first body on an unknown link, and in the smallest.
pub const LEAST_CHUNK_BODY_BYTES: usize = 64 * 1024;
/// Bytes of chunks above which a body does not grow.
pub const MOST_CHUNK_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How long one body of chunks should take.
pub const CHUNK_BODY_TARGET: Duration = Duration::from_secs(1);
/// Bodies of chunks that one agent has on their way at once: eight lossy connections carry about seven
/// times one.
pub const CHUNK_BODIES_IN_FLIGHT: usize = 8;
/// Characters of a scanner's name for what it found.
pub const SIGNATURE_CHARS: usize = 200;
/// Bytes of one certificate or certificate signing request: one with a P-256 key takes less than 1 KiB,
/// a chain's larger ones with RSA keys 2 KiB.
pub const DER_BYTES: usize = 8 * 1024;
/// Trust anchors of an agent: the present, the next, and some for organisations in the middle of a merger.
pub const ANCHORS: usize = 8;
/// Bytes of central's URL in a token.
pub const URL_BYTES: usize = 256;
/// Characters of an enrolment token behind its prefix; the longest URL and all else take 432.
pub const TOKEN_CHARS: usize = 512;
/// Bytes of an enrolment's or a renewal's body: one request, and what goes with it.
pub const ENROLMENT_BYTES: usize = 16 * 1024;
/// How far a clock may be off before it is called wrong: what certificates are backdated by.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
/// Files with one reply from central.
pub const REPLY_FILES: usize = 20;
/// Bytes of one part of a file that central gives: a second of a fast link.
pub const FILE_PART_BYTES: usize = 1024 * 1024;
/// Categories in the catalogue: more than a person chooses from.
pub const CATEGORIES: usize = 100;
/// Languages of one text.
pub const LANGUAGES: usize = 8;
/// Characters of a hint below a form.
pub const HINT_CHARS: usize = 500;
/// Tags on one ticket.
pub const TAGS: usize = 20;
/// Characters of a tag.
pub const TAG_CHARS: usize = 40;
/// Bytes of the catalogue as JSON: every branch keeps it, and each change goes to each of them.
pub const CATALOGUE_BYTES: usize = 64 * 1024;
