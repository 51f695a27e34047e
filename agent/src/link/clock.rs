//! Whose clock is wrong: found out when central's certificate is not valid at the time that ours shows.
//!
//! A wrong clock never leads to enrolling again: central is asked for its time over a connection on which
//! everything but the dates is proven and over which nothing of ours goes, and the words say what to set.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use branchline_protocol::limits::CLOCK_TOLERANCE;
use branchline_protocol::time::UnixMillis;
use bytes::Bytes;
use http::Request;
use http::header::HOST;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::answer::answered_at;
use super::tls::{Sighting, Tls};
use super::{Link, Proof};

/// All of it must be done within this.
const WITHIN: Duration = Duration::from_secs(15);
/// A finding is good for this long; a clock that was set shows in the next handshake anyway.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// What came of comparing the clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClockFinding {
    /// They differ by more than is tolerated.
    Differs {
        /// This computer's time.
        here: UnixMillis,
        /// Central's.
        central: UnixMillis,
    },
    /// They agree: central's certificate is what is wrong.
    CertificateOutOfDate {
        /// The certificate as it was shown.
        seen: Sighting,
    },
}

/// The last finding, and when.
#[derive(Debug, Default)]
pub(super) struct Diagnosis(Option<(Instant, Option<ClockFinding>)>);

impl ClockFinding {
    /// From central's time, asked for just now, and its certificate; `None` where both are in order.
    pub fn of(central: UnixMillis, seen: Option<Sighting>) -> Option<Self> {
        let here = crate::ids::now();
        let tolerated = u64::try_from(CLOCK_TOLERANCE.as_millis()).unwrap_or(u64::MAX);
        if here.0.abs_diff(central.0) > tolerated {
            return Some(Self::Differs { here, central });
        }
        let seen = seen?;
        (here < seen.not_before || here > seen.not_after)
            .then_some(Self::CertificateOutOfDate { seen })
    }

    /// One sentence for status and log; call IT.
    pub fn words(&self) -> String {
        match self {
            Self::Differs { here, central } => format!(
                "This computer's clock says {}, central's says {}: set this computer's clock.",
                shown(*here),
                shown(*central)
            ),
            Self::CertificateOutOfDate { seen } => format!(
                "Central's certificate is good from {} until {}, and both clocks say that it is not now: \
                 it must be renewed at central.",
                shown(seen.not_before),
                shown(seen.not_after)
            ),
        }
    }
}

fn shown(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(
        |_| at.to_rfc3339(),
        |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

impl Proof {
    /// TLS that leaves the dates out, where there is anything to prove central by.
    pub(super) fn diagnosing(&self, tls12: bool) -> Option<Tls> {
        match self {
            Self::Nothing => None,
            Self::Trust(trust) => Tls::diagnosing(trust, tls12).ok(),
            Self::Fingerprint(anchor) => Tls::diagnosing_by_fingerprint(*anchor, tls12).ok(),
        }
    }
}

impl Link {
    /// Compares the clocks, unless that was done a moment ago. Gives what is wrong, where that could be
    /// found out.
    pub async fn diagnose(&self) -> Option<ClockFinding> {
        if let Some((at, found)) = &self.diagnosis().0
            && at.elapsed() < GOOD_FOR
        {
            return found.clone();
        }
        let asked = tokio::time::timeout(WITHIN, self.compare()).await;
        let found = asked.ok().flatten();
        self.diagnosis().0 = Some((Instant::now(), found.clone()));
        found
    }

    /// The last finding, in words.
    pub(super) fn diagnosed(&self) -> Option<String> {
        let diagnosis = self.diagnosis();
        let (_, found) = diagnosis.0.as_ref()?;
        found.as_ref().map(ClockFinding::words)
    }

    fn diagnosis(&self) -> MutexGuard<'_, Diagnosis> {
        self.shared
            .diagnosis
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn compare(&self) -> Option<ClockFinding> {
        let tls = self.present().proof.diagnosing(self.shared.tls12)?;
        let central = self.central_time(&tls).await?;
        ClockFinding::of(central, tls.seen())
    }

    async fn central_time(&self, tls: &Tls) -> Option<UnixMillis> {
        let wire = self.way().open(tls, WITHIN, |_| ()).await.ok()?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(wire)).await.ok()?;
        let request = Request::get("/livez")
            .header(HOST, self.way().origin.authority())
            .body(Empty::<Bytes>::new())
            .ok()?;
        let ask = async {
            let response = sender.send_request(request).await.ok()?;
            answered_at(response.headers())
        };
        tokio::pin!(ask);
        let at = tokio::select! {
            biased;
            at = &mut ask => at,
            _ = driver => ask.await,
        }?;
        Some(UnixMillis(at.as_millisecond()))
    }
}
