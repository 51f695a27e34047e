//! Whoever brings letters to one target: a page of events at a time, several tickets at once, each ticket's
//! in order, and the mark behind the page when all of it is done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::breaker::Breaker;
use super::letter::Sending;
use super::post::{Given, Post};
use crate::config::Target;
use crate::ledger::{DeadLetter, LedgerError, OutboxLedger, TargetState, now};

/// Letters on their way at once, of as many tickets.
const AT_ONCE: usize = 8;
/// After so many failures that may be the letter's fault, they are.
const ATTEMPTS: u32 = 12;
/// How often the ledger is asked for news.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pause after the ledger did not answer.
const LEDGER_PAUSE: Duration = Duration::from_secs(5);
/// Dead letters that are sent again in one go.
const AGAIN: usize = 100;

/// Brings letters to one target.
pub(super) struct Courier {
    target: Target,
    post: Post,
    ledger: Arc<dyn OutboxLedger>,
    begun: Instant,
    breaker: Mutex<Breaker>,
    /// Whose turn it is to try while the target fails.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<TargetState>,
}

impl Courier {
    pub(super) fn new(target: Target, post: Post, ledger: Arc<dyn OutboxLedger>) -> Self {
        Self {
            target,
            post,
            ledger,
            begun: Instant::now(),
            breaker: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// Goes on for ever; may be dropped at any time.
    pub(super) async fn run(self) {
        while let Err(fault) = self.begin().await {
            self.stumble(&fault).await;
        }
        loop {
            match self.page().await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(LOOK_EVERY).await,
                Err(fault) => self.stumble(&fault).await,
            }
        }
    }

    async fn stumble(&self, fault: &LedgerError) {
        tracing::warn!(system = self.target.name, %fault, "the outbox waits for the ledger");
        tokio::time::sleep(LEDGER_PAUSE).await;
    }

    /// A target that is new begins with what happens from now on.
    async fn begin(&self) -> Result<(), LedgerError> {
        let known = self.ledger.target(self.target.name.clone()).await?;
        let state = match known {
            Some(state) => state,
            None => TargetState {
                mark: self.ledger.newest_mark().await?,
                ..TargetState::default()
            },
        };
        *lock(&self.state) = state;
        self.keep().await
    }

    /// Brings one page; `false` where there was nothing.
    async fn page(&self) -> Result<bool, LedgerError> {
        let again = self.again().await?;
        let mark = lock(&self.state).mark.clone();
        let page = self.ledger.letters(mark.clone()).await?;
        if page.letters.is_empty() && page.mark == mark {
            return Ok(again);
        }
        let mut threads: BTreeMap<String, Vec<Sending>> = BTreeMap::new();
        for letter in &page.letters {
            if self.target.wants(&letter.kind) {
                let sending = Sending::of(letter);
                threads
                    .entry(sending.thread.clone())
                    .or_default()
                    .push(sending);
            }
        }
        let brought = futures_util::stream::iter(threads.into_values())
            .map(|thread| self.bring_thread(thread))
            .buffer_unordered(AT_ONCE);
        let brought: Vec<Result<(), LedgerError>> = brought.collect().await;
        brought.into_iter().collect::<Result<(), _>>()?;
        lock(&self.state).mark = page.mark;
        self.keep().await?;
        Ok(true)
    }

    async fn bring_thread(&self, thread: Vec<Sending>) -> Result<(), LedgerError> {
        for sending in thread {
            if let Err(reason) = self.bring(&sending).await {
                self.bury(&sending, reason).await?;
            }
        }
        Ok(())
    }

    /// Dead letters that somebody wants sent again, in their order.
    async fn again(&self) -> Result<bool, LedgerError> {
        let name = self.target.name.clone();
        let wanted = self.ledger.wanted_again(name, AGAIN).await?;
        for dead in &wanted {
            let sending = Sending::again(dead);
            match self.bring(&sending).await {
                Ok(()) => self.ledger.forget(dead.number).await?,
                Err(reason) => self.bury(&sending, reason).await?,
            }
        }
        Ok(!wanted.is_empty())
    }

    /// Until it has arrived, or is given up for the reason given.
    async fn bring(&self, sending: &Sending) -> Result<(), String> {
        let (mut attempt, mut blamed, begun) = (0, 0, Instant::now());
        loop {
            let turn = self.turn_to_try().await;
            match self.post.send(sending, now()).await {
                Given::Taken => {
                    self.took().await;
                    return Ok(());
                }
                Given::Refused(words) => {
                    self.took().await;
                    return Err(words);
                }
                Given::Failed {
                    words,
                    blame,
                    asked,
                } => {
                    attempt += 1;
                    blamed += u32::from(blame.is_the_letters(begun.elapsed()));
                    let pause = self.failed(&words, attempt, asked).await;
                    if blamed >= ATTEMPTS {
                        return Err(format!("{words}, {ATTEMPTS} times"));
                    }
                    drop(turn);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// While the target fails, one at a time tries, when it is time.
    async fn turn_to_try(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        if !lock(&self.breaker).is_open() {
            return None;
        }
        let turn = self.turn.lock().await;
        let wait = lock(&self.breaker).wait(self.begun.elapsed());
        tokio::time::sleep(wait).await;
        Some(turn)
    }

    async fn took(&self) {
        lock(&self.breaker).answered();
        let was_failing = {
            let mut state = lock(&self.state);
            state.last_taken_at = Some(now());
            state.failing_since.take().is_some()
        };
        if was_failing {
            tracing::info!(system = self.target.name, "it takes letters again");
            self.note().await;
        }
    }

    async fn failed(&self, words: &str, attempt: u32, asked: Option<Duration>) -> Duration {
        let (pause, is_open, was_open) = {
            let mut breaker = lock(&self.breaker);
            let was_open = breaker.is_open();
            let now = self.begun.elapsed();
            let pause = breaker.failed(now, attempt, asked, fastrand::f64());
            (pause, breaker.is_open(), was_open)
        };
        {
            let mut state = lock(&self.state);
            state.last_failure = Some(words.to_owned());
            state.failing_since.get_or_insert_with(now);
        }
        if is_open && !was_open {
            tracing::warn!(
                system = self.target.name,
                words,
                "this outside system takes no letters; they wait"
            );
            self.note().await;
        }
        pause
    }

    async fn bury(&self, sending: &Sending, reason: String) -> Result<(), LedgerError> {
        tracing::warn!(
            system = self.target.name,
            letter = sending.id,
            reason,
            "a letter was given up; see `branchline-server outbox dead`"
        );
        let letter = DeadLetter {
            number: 0,
            target: self.target.name.clone(),
            id: sending.id.clone(),
            kind: sending.kind.clone(),
            body: sending.body.clone(),
            reason,
            at: now(),
            again: false,
        };
        self.ledger.bury(letter).await
    }

    async fn keep(&self) -> Result<(), LedgerError> {
        let state = lock(&self.state).clone();
        self.ledger
            .keep_target(self.target.name.clone(), state)
            .await
    }

    /// For people; what is not kept now is with the next page.
    async fn note(&self) {
        if let Err(fault) = self.keep().await {
            tracing::debug!(%fault, "how a target does is not noted");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that holds one can panic half-way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
