//! Why a request got no answer, told apart from what the libraries say: one place that knows their errors.

use std::error::Error;
use std::io;

use branchline_protocol::outcome::Failure;
use rustls::{AlertDescription, CertificateError};

/// A request of the control lane failed.
pub(super) fn of_request(fault: &reqwest::Error, through_proxy: bool) -> Failure {
    if let Some(failure) = of_causes(fault) {
        return failure;
    }
    if fault.is_timeout() {
        return Failure::TimedOut;
    }
    if !fault.is_connect() {
        return Failure::Interrupted;
    }
    if broke_off(fault) {
        // Somebody took the connection and ended it before TLS stood.
        return Failure::Handshake;
    }
    if through_proxy {
        Failure::Proxy
    } else if fault.is_dns() {
        Failure::Resolve
    } else {
        Failure::Connect
    }
}

/// A connection of the bulk lane failed under way.
pub(super) fn of_exchange(fault: &hyper::Error) -> Failure {
    if let Some(failure) = of_causes(fault) {
        return failure;
    }
    if io_kinds(fault).any(|kind| kind == io::ErrorKind::TimedOut) {
        return Failure::TimedOut;
    }
    Failure::Interrupted
}

/// TLS could not be made over a connection that stands.
pub(super) fn of_handshake(fault: &io::Error) -> Failure {
    tls_fault(fault).map_or(Failure::Handshake, of_tls)
}

/// What TLS found, in terms of who must act.
pub(super) fn of_tls(fault: &rustls::Error) -> Failure {
    match fault {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Failure::WrongName
            }
            other if is_about_dates(other) => Failure::OutsideValidity,
            _ => Failure::NotCentral,
        },
        rustls::Error::NoCertificatesPresented => Failure::NotCentral,
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            Failure::CertificateRefused
        }
        _ => Failure::Handshake,
    }
}

/// The chain is good but for the time.
pub(super) fn is_about_dates(fault: &CertificateError) -> bool {
    matches!(
        fault,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired
    )
}

/// A fault and all that lies under it; I/O errors hide theirs in a place of their own.
fn causes<'a>(fault: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(fault), |&fault| {
        let hidden = fault
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|hidden| hidden as &(dyn Error + 'static));
        hidden.or_else(|| fault.source())
    })
    .take(MOST_CAUSES)
}

/// Deeper than any chain of causes seen.
const MOST_CAUSES: usize = 32;

fn tls_fault(fault: &io::Error) -> Option<&rustls::Error> {
    causes(fault).find_map(|cause| cause.downcast_ref())
}

fn io_kinds<'a>(fault: &'a (dyn Error + 'static)) -> impl Iterator<Item = io::ErrorKind> {
    causes(fault).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()))
}

fn broke_off(fault: &(dyn Error + 'static)) -> bool {
    io_kinds(fault).any(|kind| {
        matches!(
            kind,
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
        )
    })
}

/// What TLS or the proxy said, wherever in the chain of causes.
fn of_causes(fault: &(dyn Error + 'static)) -> Option<Failure> {
    causes(fault).find_map(|cause| {
        if let Some(fault) = cause.downcast_ref::<rustls::Error>() {
            return Some(of_tls(fault));
        }
        // The type is not public; a test holds the library to these words.
        match cause.to_string().strip_prefix("tunnel error: ")? {
            "proxy authorization required" => Some(Failure::ProxyLogin),
            _ => Some(Failure::Proxy),
        }
    })
}
