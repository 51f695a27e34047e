//! The shortest histories that once failed: on a fault of ours, or on the protocol broken by hand to
//! see whether the model would notice.

use crate::action::Act::{
    self, CentralRestored, Damage, File, Image, Prune, Restart, Restored, Turn, Twin, Withdraw,
};
use crate::action::Fate::{Doubled, OldReply, ReplyLost, Through};

pub const FAILURES: &[&[Act]] = &[
    // What a new stream continues was at central by its length only: a twin's operations had
    // taken the place of the lost ones.
    &[
        Twin(0),
        File(1),
        File(1),
        Damage(1, 19),
        Turn(1, 1, Through),
        CentralRestored(0),
        File(0),
    ],
    &[
        File(0),
        Turn(0, 1, Through),
        File(0),
        Damage(0, 235),
        CentralRestored(0),
        Twin(0),
        File(1),
        Turn(1, 1, ReplyLost),
    ],
    // Digests not compared.
    &[Twin(0), File(1), File(0)],
    // Any acknowledged position accepted.
    &[
        File(0),
        Turn(0, 1, Through),
        Restored(0, 0),
        File(0),
        Turn(0, 1, OldReply(0)),
    ],
    // The last common position not compared.
    &[
        Twin(0),
        File(1),
        Turn(1, 1, Through),
        File(2),
        Turn(0, 1, Through),
    ],
    // Central's head not compared with the journal.
    &[
        File(0),
        File(0),
        Turn(0, 2, Through),
        Image(0),
        Twin(0),
        Restored(2, 104),
        CentralRestored(0),
        File(2),
        Restored(1, 103),
    ],
    // A stream that central never heard of, continued all the same.
    &[
        File(0),
        File(0),
        File(0),
        Turn(0, 2, Through),
        Damage(0, 29),
        Turn(0, 1, Through),
        File(0),
        Turn(0, 1, Through),
        CentralRestored(0),
        Turn(0, 1, Through),
        Turn(0, 1, Through),
        Turn(0, 2, Through),
        CentralRestored(0),
        File(0),
        File(0),
        File(0),
        Turn(0, 1, Through),
        Damage(0, 108),
    ],
    // Suffixes not counted up.
    &[
        File(0),
        Turn(0, 1, ReplyLost),
        Restored(0, 0),
        Turn(0, 1, Through),
        Turn(0, 1, Through),
        File(0),
        Turn(0, 1, Through),
        Restored(0, 0),
        File(0),
    ],
    // A ticket renumbered before central was restored, and not after, while the branch went by
    // what it was told first.
    &[
        File(0),
        Turn(0, 1, Through),
        Restored(0, 0),
        Twin(0),
        Turn(1, 1, Through),
        File(1),
        File(0),
        CentralRestored(0),
        Turn(1, 1, Through),
        Turn(1, 1, Through),
        Turn(0, 1, Doubled),
        CentralRestored(0),
    ],
    // The same, told by a twin's ledger; the rewound feed must make the branch forget.
    &[
        File(0),
        Turn(0, 1, ReplyLost),
        Restored(0, 0),
        Turn(0, 1, Through),
        Turn(0, 1, Through),
        Twin(0),
        File(0),
        Turn(0, 1, Through),
        File(0),
        File(0),
        Image(0),
        CentralRestored(0),
        Restored(1, 1),
        Damage(0, 3),
    ],
    // Nobody filed anything that could be lost.
    &[Restart(0), Withdraw(0, 0), Prune(0, 1)],
];
