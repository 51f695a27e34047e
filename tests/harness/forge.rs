//! Certificates of every kind, made with central's own issuing key or with anybody's: what whoever stole
//! that key, or never had it, could show.

use std::path::Path;

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    SerialNumber,
};
use rustls::pki_types::CertificateDer;

use crate::identity::new_key;
use crate::tls::{Credentials, certificates};

/// An authority whose key is at hand.
pub struct Forge {
    issuer: Issuer<'static, KeyPair>,
    /// From the issuer's certificate upwards.
    above: Vec<CertificateDer<'static>>,
}

/// What a certificate is to say; by default that of an agent.
pub struct Wish {
    /// The certificate's parameters, to be changed at will.
    pub params: CertificateParams,
    /// Its key.
    pub key: KeyPair,
}

impl Forge {
    /// Central's, from its data folder.
    pub fn of_central(folder: &Path) -> Self {
        let authority = folder.join("authority");
        let read = |name| std::fs::read_to_string(authority.join(name)).expect("read a PEM file");
        let key = KeyPair::from_pem(&read("issuing-1.key")).expect("a key");
        Self {
            issuer: Issuer::from_ca_cert_pem(&read("issuing-1.pem"), key).expect("an authority"),
            above: certificates(&authority.join("issuing-1.pem")),
        }
    }

    /// One that nobody knows.
    pub fn strange() -> Self {
        let key = new_key();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Branchline issuing CA");
        let own = params.self_signed(&key).expect("sign");
        Self {
            above: vec![own.der().clone()],
            issuer: Issuer::new(params, key),
        }
    }

    /// Signs.
    pub fn sign(&self, wish: &Wish) -> Credentials {
        let signed = wish.params.signed_by(&wish.key, &self.issuer);
        Credentials::made(&signed.expect("sign"), &self.above, &wish.key)
    }
}

impl Wish {
    /// For an agent of this id.
    pub fn agent(id: &str) -> Self {
        Self::named(
            &format!("urn:branchline:agent:{id}"),
            &[ExtendedKeyUsagePurpose::ClientAuth],
        )
    }

    /// For a proxy of this name, at 127.0.0.1.
    pub fn proxy(name: &str) -> Self {
        let both = [
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let mut wish = Self::named(&format!("urn:branchline:proxy:{name}"), &both);
        let loopback = SanType::IpAddress([127, 0, 0, 1].into());
        wish.params.subject_alt_names.push(loopback);
        wish
    }

    fn named(urn: &str, usages: &[ExtendedKeyUsagePurpose]) -> Self {
        let mut params = CertificateParams::default();
        let name = urn.rsplit(':').next().unwrap_or_default();
        params.distinguished_name.push(DnType::CommonName, name);
        let urn = SanType::URI(urn.try_into().expect("plain characters"));
        params.subject_alt_names.push(urn);
        params.extended_key_usages = usages.to_vec();
        let mut serial: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        Self {
            params,
            key: new_key(),
        }
    }

    /// Good for so many years from this one on.
    #[must_use]
    pub fn in_years(mut self, from: i32, until: i32) -> Self {
        self.params.not_before = rcgen::date_time_ymd(from, 1, 1);
        self.params.not_after = rcgen::date_time_ymd(until, 1, 1);
        self
    }
}
