//! The loop that follows the agent: what changed, what to announce, what still waits to be handed in.

use std::time::Duration;

use branchline_agent_api::{CHANGES_WAIT_SECONDS, Changes, ChangesQuery, News, NewsKind};
use branchline_protocol::time::UnixMillis;
use tokio_util::sync::CancellationToken;

use super::{Controller, Event, is_away};
use crate::agent::Agent;
use crate::situation::Heard;
use crate::view::{Announcement, HandedIn};

/// How long to wait before an agent that does not answer is asked again: at first, and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(3));
/// How often what was handed in is tried again while the agent answers and cannot save.
const HAND_IN_AGAIN: Duration = Duration::from_secs(5);

impl<A: Agent> Controller<A> {
    /// Follows the agent until the end of the program. One loop; nothing in it blocks the window.
    pub async fn run(&self, shutdown: CancellationToken) {
        let follow = async {
            tokio::join!(self.follow(), self.keep_carrying());
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => {}
        }
    }

    async fn follow(&self) {
        let mut seen: Option<String> = None;
        let mut pause = ASK_AGAIN.0;
        loop {
            let query = ChangesQuery {
                wait: if seen.is_some() {
                    CHANGES_WAIT_SECONDS
                } else {
                    0
                },
                seen: seen.clone(),
                news: self.marks.told(),
            };
            match self.agent.changes(&query).await {
                Ok(changes) => {
                    pause = ASK_AGAIN.0;
                    let is_new = seen.as_ref() != Some(&changes.mark);
                    self.heed(&changes, is_new).await;
                    seen = Some(changes.mark);
                }
                Err(fault) => {
                    seen = None;
                    if is_away(&fault) {
                        self.is_away();
                    } else {
                        // It answers, and has nothing to follow yet: this computer has not joined.
                        self.ask_for_status().await;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ASK_AGAIN.1);
                }
            }
        }
    }

    async fn heed(&self, changes: &Changes, is_new: bool) {
        {
            let mut shared = self.shared();
            shared.user.clone_from(&changes.user);
            shared.colleagues = changes.colleagues;
        }
        if is_new {
            self.ask_for_status().await;
            self.tell(Event::Changed);
        }
        for news in &changes.news {
            self.tell(Event::Announce(self.announcement(news)));
        }
        self.marks.set_told(changes.newest);
    }

    async fn ask_for_status(&self) {
        match self.agent.status().await {
            Ok(status) => self.shared().heard = Heard::Status(Box::new(status)),
            Err(fault) if is_away(&fault) => return self.is_away(),
            Err(fault) => tracing::warn!(error = %fault, "ask how the agent is"),
        }
        if let Ok(catalogue) = self.agent.catalogue().await {
            self.shared().catalogue = catalogue;
        }
        self.tell_situation();
    }

    fn is_away(&self) {
        {
            let heard = &mut self.shared().heard;
            if matches!(heard, Heard::Away(_)) {
                return;
            }
            *heard = Heard::Away(UnixMillis(jiff::Timestamp::now().as_millisecond()));
        }
        self.tell_situation();
    }

    fn announcement(&self, news: &News) -> Announcement {
        let words = self.language().words();
        let title = match news.kind {
            NewsKind::Answer => words.told_answer,
            NewsKind::Asked => words.told_asked,
            NewsKind::Resolved => words.told_resolved,
            NewsKind::Refused => words.told_refused,
            NewsKind::File => words.told_file,
        };
        let number = news.number.to_string();
        Announcement {
            title: title.to_owned(),
            body: format!("{number} · {}", news.subject),
            number,
        }
    }

    /// What waits is handed in whenever the agent answers, and now and then.
    async fn keep_carrying(&self) {
        let mut events = self.events();
        loop {
            if !matches!(self.shared().heard, Heard::Away(_) | Heard::Nothing) {
                self.carry_all().await;
            }
            let comes = async { while !matches!(events.recv().await, Ok(Event::Situation(_))) {} };
            // Also without news: a disk that was full may have room again.
            let _ = tokio::time::timeout(HAND_IN_AGAIN, comes).await;
        }
    }

    async fn carry_all(&self) {
        for draft in self.drafts.all() {
            if !draft.handed_in {
                continue;
            }
            let Some(_turn) = self.try_to_carry(draft.id) else {
                continue;
            };
            match self.carry(draft.id).await {
                HandedIn::Saved { number, words } | HandedIn::Partly { number, words } => {
                    self.tell_drafts();
                    self.tell(Event::Saved(Announcement {
                        number,
                        title: words,
                        body: draft.text.subject,
                    }));
                }
                HandedIn::Refused { .. } => self.tell_drafts(),
                HandedIn::Waiting { .. } => {}
            }
        }
    }
}
