//! What stands in our certificates and revocation lists. Nothing here reads a clock or a file.

use std::net::IpAddr;
use std::str::FromStr;

use measure::MeterId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::{Error, Role};

/// What a certificate is asked to have beyond its name and role.
#[derive(Clone, Debug, Default)]
pub struct IssueOptions {
    /// Host names and IP addresses under which a server is reached; none for other roles.
    pub hosts: Vec<String>,
    /// Days of validity, from 1 to 1,826; without it the role's [default](Role::default_valid_days).
    pub valid_days: Option<u32>,
    /// Issue although a valid certificate bears the name. The old one stays valid beside the new one until it expires or the
    /// name is revoked.
    pub renew: bool,
}

/// Five years: the longest validity of anything here.
pub(crate) const VALID_DAYS_MAX: u32 = 1826;

/// Certificates begin an hour early: the clock of a meter that compares may be slow.
const BACKDATED: Duration = Duration::hours(1);

/// From when to when a certificate made at `now` is valid.
pub(crate) fn validity(now: OffsetDateTime, days: u32) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    let invalid = || Error::Validity { days, days_max: VALID_DAYS_MAX };
    if days == 0 || days > VALID_DAYS_MAX {
        return Err(invalid());
    }
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let from = now.checked_sub(BACKDATED).ok_or_else(invalid)?;
    let until = now.checked_add(Duration::days(i64::from(days))).ok_or_else(invalid)?;
    Ok((from, until))
}

/// The authority's own certificate: signs certificates and revocation lists, and no further authorities.
pub(crate) fn authority(name: &str, serial: &[u8], (from, until): (OffsetDateTime, OffsetDateTime)) -> CertificateParams {
    let mut params = base(name, serial, (from, until));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate for `name` in `role`, reached at `hosts`.
pub(crate) fn leaf(
    name: &MeterId,
    role: Role,
    hosts: &[String],
    serial: &[u8],
    (from, until): (OffsetDateTime, OffsetDateTime),
) -> Result<CertificateParams, Error> {
    let mut params = base(name.as_str(), serial, (from, until));
    params.distinguished_name.push(DnType::OrganizationalUnitName, role.as_str());
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![match role {
        Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
        Role::Meter | Role::Service | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
    }];
    params.subject_alt_names = alternative_names(role, hosts)?;
    Ok(params)
}

/// A certificate that is no longer to be trusted.
pub(crate) struct Revoked {
    pub serial: Vec<u8>,
    pub at: OffsetDateTime,
}

/// The list of everything revoked. It is valid until `until`: a list that expires on its own cuts off every meter at once.
pub(crate) fn revocation_list(
    revoked: Vec<Revoked>,
    number: u64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> CertificateRevocationListParams {
    let entry = |it: Revoked| RevokedCertParams {
        serial_number: SerialNumber::from(it.serial),
        revocation_time: it.at,
        reason_code: Some(RevocationReason::Unspecified),
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: now,
        next_update: until,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.into_iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn base(name: &str, serial: &[u8], (from, until): (OffsetDateTime, OffsetDateTime)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.not_before = from;
    params.not_after = until;
    params
}

fn alternative_names(role: Role, hosts: &[String]) -> Result<Vec<SanType>, Error> {
    match (role, hosts) {
        (Role::Server, []) => Err(Error::NoHost),
        (Role::Server, hosts) => hosts.iter().map(|host| alternative_name(host)).collect(),
        (_, []) => Ok(Vec::new()),
        (role, _) => Err(Error::HostOfClient(role)),
    }
}

fn alternative_name(host: &str) -> Result<SanType, Error> {
    if let Ok(address) = IpAddr::from_str(host) {
        return Ok(SanType::IpAddress(address));
    }
    if !is_dns_name(host) {
        return Err(Error::Host(host.to_owned()));
    }
    Ok(SanType::DnsName(host.try_into()?))
}

/// Labels of letters, digits and inner hyphens, as TLS clients compare them (RFC 1123 §2.1; no wildcards).
fn is_dns_name(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // All digits and dots would be an address, and it was none.
    host.len() <= 253 && host.split('.').all(label) && !host.bytes().all(|c| c.is_ascii_digit() || c == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for good in ["localhost", "broker-1.grid.example", "127.0.0.1", "::1"] {
            assert!(alternative_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a..b", "a_b", "*.example", "300.1.1.1", "a b", "mqtts://a"] {
            assert!(matches!(alternative_name(bad), Err(Error::Host(_))), "{bad}");
        }
    }

    #[test]
    fn validity_is_bounded_and_begins_early() {
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(validity(now, 0).is_err());
        assert!(validity(now, VALID_DAYS_MAX + 1).is_err());
        let (from, until) = validity(now, 2).unwrap();
        assert_eq!((from.unix_timestamp(), until.unix_timestamp()), (-3600, 2 * 86_400));
    }
}
