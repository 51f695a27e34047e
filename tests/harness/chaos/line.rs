//! One connection: requests one way, replies the other, and what is done to them.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::http::answer;
use super::turn::{Delivery, Turn};
use super::{Fault, Shared, Stats, lock};

const CHUNK_BYTES: usize = 16 * 1024;
/// The start of each delivery, heads among it, falls into pieces of at most `TINY_PIECE`.
const TINY_BYTES: usize = 4096;
const TINY_PIECE: usize = 7;
const SMALL_PIECE: usize = 1400;
/// How long a client that was answered by the proxy itself has for closing.
const CLOSING_PATIENCE: Duration = Duration::from_secs(1);

/// Why a connection ends before both sides have closed it.
enum End {
    Broken,
    Cut(Fault),
    /// Answer instead of the upstream.
    Answer(Fault),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Broken
    }
}

pub(super) async fn carry(shared: Arc<Shared>, number: u64, mut client: TcpStream) {
    let Ok(mut upstream) = TcpStream::connect(shared.upstream).await else {
        let _ = client.set_zero_linger();
        return;
    };
    // A socket that cannot be set up is about to fail in use, which ends the connection.
    let _ = (client.set_nodelay(true), upstream.set_nodelay(true));
    let line = Line::new(&shared, number);
    let end = {
        let (from_client, to_client) = client.split();
        let (from_upstream, to_upstream) = upstream.split();
        tokio::try_join!(
            line.pass_requests(from_client, to_upstream),
            line.pass_replies(from_upstream, to_client),
        )
    };
    match end {
        Ok(_) => {}
        Err(End::Answer(fault)) => {
            drop(upstream);
            line.inject(fault);
            // A client that has gone away meanwhile misses nothing.
            let _ = timeout(CLOSING_PATIENCE, answer(fault, client)).await;
        }
        Err(end) => {
            let reset = match end {
                End::Cut(fault) => {
                    line.inject(fault);
                    lock(&line.turn).random.bool()
                }
                _ => true,
            };
            if reset {
                let _ = (client.set_zero_linger(), upstream.set_zero_linger());
            }
        }
    }
}

/// One connection.
struct Line<'a> {
    shared: &'a Shared,
    turn: Mutex<Turn>,
}

impl<'a> Line<'a> {
    fn new(shared: &'a Shared, connection: u64) -> Self {
        Self {
            shared,
            turn: Mutex::new(Turn::new(shared.seed, connection)),
        }
    }

    fn inject(&self, fault: Fault) {
        let place = lock(&self.turn).place();
        self.shared.inject(fault, &place);
    }

    async fn pass_requests(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<(), End> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                to.shutdown().await?;
                return Ok(());
            }
            let chunk = &mut buffer[..count];
            let (delivery, replay) = {
                let mut turn = lock(&self.turn);
                if turn.reply_begun {
                    turn.begin(*lock(&self.shared.chaos));
                }
                let complete = turn.remember(chunk);
                if let Some(fault) = turn.answer {
                    if complete {
                        return Err(End::Answer(fault));
                    }
                    continue;
                }
                let delivery = turn.deliver(chunk, |turn| &mut turn.request);
                let replay = if complete && !delivery.cut {
                    turn.replay()
                } else {
                    None
                };
                (delivery, replay)
            };
            self.deliver(&delivery, chunk, &mut to, |stats| &mut stats.bytes_up)
                .await?;
            if delivery.cut {
                return Err(End::Cut(Fault::CutRequest));
            }
            if let Some(replay) = replay {
                // With that many waiting already, one repeat less is no loss.
                let _ = self.shared.replays.try_send(replay);
            }
        }
    }

    async fn pass_replies(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<(), End> {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                to.shutdown().await?;
                return Ok(());
            }
            let chunk = &mut buffer[..count];
            let delivery = {
                let mut turn = lock(&self.turn);
                turn.reply_begun = true;
                (!turn.swallow).then(|| turn.deliver(chunk, |turn| &mut turn.reply))
            };
            let Some(delivery) = delivery else {
                self.swallow(from).await;
                return Err(End::Cut(Fault::SwallowReply));
            };
            self.deliver(&delivery, chunk, &mut to, |stats| &mut stats.bytes_down)
                .await?;
            if delivery.cut {
                return Err(End::Cut(Fault::CutReply));
            }
        }
    }

    async fn deliver(
        &self,
        delivery: &Delivery,
        chunk: &[u8],
        to: &mut (impl AsyncWrite + Unpin),
        counter: fn(&mut Stats) -> &mut u64,
    ) -> io::Result<()> {
        if delivery.dribble_begins {
            self.inject(Fault::Dribble);
        }
        if delivery.flipped {
            self.inject(Fault::FlipByte);
        }
        if let Some(delay) = delivery.delay {
            self.inject(Fault::Delay);
            sleep(delay).await;
        }
        // Counted first, so that whoever has received bytes finds them counted.
        *counter(&mut lock(&self.shared.stats)) += delivery.bytes as u64;
        let mut rest = &chunk[..delivery.bytes];
        if let Some(mut random) = delivery.dribble.clone() {
            while !rest.is_empty() {
                let sent = delivery.bytes - rest.len();
                let largest = if sent < TINY_BYTES {
                    TINY_PIECE
                } else {
                    SMALL_PIECE
                };
                let (piece, after) = rest.split_at(rest.len().min(random.usize(1..=largest)));
                to.write_all(piece).await?;
                yield_now().await;
                rest = after;
            }
        }
        to.write_all(rest).await
    }

    /// Throws the reply away; returns when the connection is to be closed.
    async fn swallow(&self, mut from: impl AsyncRead + Unpin) {
        let hang = {
            let mut turn = lock(&self.turn);
            if turn.random.bool() {
                turn.chaos.hang
            } else {
                Duration::ZERO
            }
        };
        let discarding = async {
            // However the upstream ends, the client is left to wait.
            let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
            pending::<()>().await;
        };
        let _ = timeout(hang, discarding).await;
    }
}
