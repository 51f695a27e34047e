//! Makes certificates: what each kind says, and for how long.
//!
//! All keys made here are P-256. Everything is backdated by the clock tolerance, so that a branch whose
//! clock is a little behind takes a new certificate at once. Serial numbers are 16 random bytes.

use std::net::IpAddr;
use std::time::Duration;

use branchline_protocol::limits::CLOCK_TOLERANCE;
use branchline_protocol::time::UnixMillis;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, SigningKey, date_time_ymd,
};

use super::AuthorityError;
use crate::ledger::{AgentRecord, CertificateSerial};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// A root outlives two issuing CAs.
const ROOT_DAYS: u32 = 20 * 365;
/// An issuing CA.
const ISSUING_DAYS: u32 = 10 * 365;
/// The server's own, and proxies': about the longest that anybody accepts of a server today.
pub(super) const SERVER_DAYS: u32 = 397;

/// Begins an agent's name in its certificate; its id follows.
pub(super) const AGENT_URN: &str = "urn:branchline:agent:";
/// Begins a proxy's; its name follows.
pub(super) const PROXY_URN: &str = "urn:branchline:proxy:";

/// What a CA signs with.
pub(super) type Signer = Issuer<'static, KeyPair>;

/// From when until when, in whole seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    pub(super) not_before: UnixMillis,
    pub(super) not_after: UnixMillis,
}

impl Validity {
    /// From a little before `now`, for this long.
    pub(super) fn new(now: UnixMillis, lifetime: Duration) -> Self {
        let seconds = now.0.div_euclid(1_000);
        let tolerance = i64::try_from(CLOCK_TOLERANCE.as_secs()).unwrap_or(0);
        let lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 2_000);
        Self {
            not_before: UnixMillis(seconds.saturating_sub(tolerance).max(0) * 1_000),
            not_after: UnixMillis(seconds.saturating_add(lifetime).saturating_mul(1_000)),
        }
    }
}

/// A new P-256 key.
pub(super) fn new_key() -> Result<KeyPair, AuthorityError> {
    Ok(KeyPair::generate()?)
}

/// A new certificate's name: positive, and never shorter than 16 bytes.
pub(super) fn new_serial() -> Result<CertificateSerial, AuthorityError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|fault| AuthorityError::Made(fault.to_string()))?;
    bytes[0] = (bytes[0] & 0x3F) | 0x40;
    Ok(CertificateSerial(bytes))
}

fn params(
    common_name: &str,
    now: UnixMillis,
    days: u32,
) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(&new_serial()?.0));
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, Validity::new(now, DAY * days));
    Ok(params)
}

fn set_validity(params: &mut CertificateParams, validity: Validity) {
    let moment = |at: UnixMillis| {
        date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(at.0).unwrap_or(0))
    };
    params.not_before = moment(validity.not_before);
    params.not_after = moment(validity.not_after);
}

/// Tells CAs of different servers apart, in every message that names one.
fn mark(key: &impl PublicKeyData) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, key.der_bytes());
    hash.as_ref()
        .iter()
        .take(4)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn ca(
    what: &str,
    number: u32,
    key: &KeyPair,
    constraints: BasicConstraints,
    now: UnixMillis,
    days: u32,
) -> Result<CertificateParams, AuthorityError> {
    let name = format!("Branchline {what} {number} ({})", mark(key));
    let mut params = params(&name, now, days)?;
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

/// Root CA `number`.
pub(super) fn root(
    number: u32,
    key: &KeyPair,
    now: UnixMillis,
) -> Result<Certificate, AuthorityError> {
    let params = ca(
        "root",
        number,
        key,
        BasicConstraints::Unconstrained,
        now,
        ROOT_DAYS,
    )?;
    Ok(params.self_signed(key)?)
}

/// Root CA `number` as another root vouches for it, under the same name and key.
pub(super) fn cross(
    number: u32,
    key: &KeyPair,
    by: &Issuer<'_, impl SigningKey>,
    now: UnixMillis,
) -> Result<Certificate, AuthorityError> {
    let params = ca(
        "root",
        number,
        key,
        BasicConstraints::Constrained(1),
        now,
        ISSUING_DAYS,
    )?;
    Ok(params.signed_by(key, by)?)
}

/// Issuing CA `number`.
pub(super) fn issuing(
    number: u32,
    key: &KeyPair,
    root: &Signer,
    now: UnixMillis,
) -> Result<Certificate, AuthorityError> {
    let params = ca(
        "issuing",
        number,
        key,
        BasicConstraints::Constrained(0),
        now,
        ISSUING_DAYS,
    )?;
    Ok(params.signed_by(key, root)?)
}

/// The names as a certificate says them, each a DNS name or an address.
pub(super) fn alternatives(names: &[String]) -> Result<Vec<SanType>, AuthorityError> {
    let each = names.iter().map(|name| {
        if let Ok(address) = name.parse::<IpAddr>() {
            return Ok(SanType::IpAddress(address));
        }
        let refused = || AuthorityError::Name(name.clone());
        rustls_pki_types::DnsName::try_from(name.as_str()).map_err(|_| refused())?;
        let text = name.as_str().try_into().map_err(|_| refused())?;
        Ok(SanType::DnsName(text))
    });
    each.collect()
}

/// The server's own, for these names.
pub(super) fn server(
    names: &[String],
    key: &KeyPair,
    by: &Signer,
    now: UnixMillis,
) -> Result<Certificate, AuthorityError> {
    let first = names.first().map_or("localhost", String::as_str);
    let mut params = params(first, now, SERVER_DAYS)?;
    params.subject_alt_names = alternatives(names)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params.signed_by(key, by)?)
}

/// A proxy's: it serves agents in central's place, and speaks to central as itself.
pub(super) fn proxy(
    name: &str,
    hosts: &[String],
    key: &KeyPair,
    by: &Signer,
    now: UnixMillis,
) -> Result<Certificate, AuthorityError> {
    let mut params = params(name, now, SERVER_DAYS)?;
    params.subject_alt_names = alternatives(hosts)?;
    params
        .subject_alt_names
        .push(uri(format!("{PROXY_URN}{name}"))?);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params.signed_by(key, by)?)
}

/// An agent's, for the key that it asked with.
pub(super) fn agent(
    agent: &AgentRecord,
    serial: CertificateSerial,
    key: &impl PublicKeyData,
    by: &Signer,
    validity: Validity,
) -> Result<Certificate, AuthorityError> {
    let mut params = params(&agent.id.to_string(), validity.not_before, 1)?;
    params
        .distinguished_name
        .push(DnType::OrganizationName, agent.branch.to_string());
    params.serial_number = Some(SerialNumber::from_slice(&serial.0));
    set_validity(&mut params, validity);
    params.subject_alt_names = vec![uri(format!("{AGENT_URN}{}", agent.id))?];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params.signed_by(key, by)?)
}

fn uri(text: String) -> Result<SanType, AuthorityError> {
    let text = text
        .try_into()
        .map_err(|_| AuthorityError::Made("a name is not ASCII".to_owned()))?;
    Ok(SanType::URI(text))
}
