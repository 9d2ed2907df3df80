//! Who a client is: the subject of its certificate, nothing else.

use measure::{MeterId, UnixMillis};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::AttributeTypeAndValue;

/// What a client may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Publishes as itself, nothing else.
    Meter,
    /// A stream processor.
    Service,
    /// A person or dashboard that watches.
    Operator,
    /// The broker itself, which tries its own way in. No certificate of an authority says so.
    Canary,
}

impl Role {
    /// As the organisational unit has it, and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meter => "meter",
            Self::Service => "service",
            Self::Operator => "operator",
            Self::Canary => "canary",
        }
    }
}

/// A client as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Common name. Meters, services and operators share one grammar.
    pub name: MeterId,
    /// Organisational unit.
    pub role: Role,
    /// Which certificate it was.
    pub certificate: CertificateId,
    /// When the certificate expires; the session ends then at the latest.
    pub not_after: UnixMillis,
}

/// A certificate among all: its issuer's name and its serial number, both DER.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId {
    /// The issuer's distinguished name.
    pub issuer: Box<[u8]>,
    /// The serial number without leading zeros.
    pub serial: Box<[u8]>,
}

impl CertificateId {
    /// From raw DER fields.
    pub fn new(issuer: &[u8], serial: &[u8]) -> Self {
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        Self { issuer: issuer.into(), serial: serial.get(zeros..).unwrap_or_default().into() }
    }
}

/// Why a certificate that the authority signed names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSubject {
    /// Not an X.509 certificate.
    #[error("certificate can't be read")]
    Unreadable,
    /// No common name, or several.
    #[error("subject must have exactly one common name")]
    CommonName,
    /// The common name is no identifier.
    #[error("common name must be an identifier of at most 32 letters, digits, - and _")]
    Name,
    /// No organisational unit, or several, or another one.
    #[error("subject must have exactly one organisational unit: meter, service or operator")]
    Role,
    /// Not made for a client. One made for servers only never comes so far; one made for nothing in particular does.
    #[error("extended key usage must name client authentication")]
    Usage,
}

impl Identity {
    /// Reads a certificate that the TLS layer has verified.
    pub fn of(certificate: &[u8]) -> Result<Self, InvalidSubject> {
        let (_, certificate) = X509Certificate::from_der(certificate).map_err(|_| InvalidSubject::Unreadable)?;
        let subject = certificate.subject();
        let name = only(subject.iter_common_name()).ok_or(InvalidSubject::CommonName)?;
        let role = match only(subject.iter_organizational_unit()) {
            Some("meter") => Role::Meter,
            Some("service") => Role::Service,
            Some("operator") => Role::Operator,
            _ => return Err(InvalidSubject::Role),
        };
        let usage = certificate.extended_key_usage().ok().flatten();
        if !usage.is_some_and(|usage| usage.value.client_auth) {
            return Err(InvalidSubject::Usage);
        }
        Ok(Self {
            name: name.parse().map_err(|_| InvalidSubject::Name)?,
            role,
            certificate: CertificateId::new(certificate.issuer().as_raw(), certificate.raw_serial()),
            not_after: UnixMillis(certificate.validity().not_after.timestamp().saturating_mul(1000)),
        })
    }
}

/// The text of the only attribute of its kind.
fn only<'a>(mut attributes: impl Iterator<Item = &'a AttributeTypeAndValue<'a>>) -> Option<&'a str> {
    let text = attributes.next()?.as_str().ok()?;
    if attributes.next().is_some() { None } else { Some(text) }
}
