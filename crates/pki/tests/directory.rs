//! The directory as its owner meets it: what is refused, and with which words.

use std::fs;

use pki::{Authority, Error, IssueOptions, OffsetDateTime, Role, Settings, Status};

#[test]
fn a_directory_without_an_authority_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for place in [dir.path().to_owned(), dir.path().join("missing")] {
        let error = Authority::open(&place).err().unwrap();
        assert!(matches!(&error, Error::Absent(path) if *path == place), "{error}");
        assert!(error.to_string().contains(place.to_str().unwrap()), "{error}");
    }
}

#[test]
fn nothing_is_made_where_something_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("diary.txt"), "private").unwrap();
    assert!(matches!(Authority::create(dir.path()), Err(Error::Occupied(_))));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = Authority::create(&path).err().unwrap().to_string();
    assert!(error.starts_with("cannot create ") && error.contains("file"), "{error}");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    Authority::create(&a).unwrap();
    Authority::create(&b).unwrap();
    fs::copy(b.join("ca.key"), a.join("ca.key")).unwrap();
    let error = Authority::open(&a).err().unwrap().to_string();
    assert!(error.contains("ca.pem") && error.contains("key to another certificate"), "{error}");

    fs::write(b.join("ca.pem"), "hello").unwrap();
    assert!(matches!(Authority::open(&b), Err(Error::Foreign { .. })));
}

#[test]
fn a_name_is_issued_once_unless_renewed_and_revoked_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::create(dir.path()).unwrap();
    let options = IssueOptions::default();
    authority.issue("M1", Role::Meter, &options).unwrap();
    assert!(matches!(authority.issue("M1", Role::Meter, &options), Err(Error::Taken { .. })));
    let renewed = authority.issue("M1", Role::Meter, &IssueOptions { renew: true, valid_days: Some(7), ..options.clone() }).unwrap();
    assert!(renewed.entry.not_after < OffsetDateTime::now_utc() + std::time::Duration::from_secs(8 * 86_400));
    authority.issue("M2", Role::Meter, &options).unwrap();

    // A second process sees what the first did, and the other way round.
    let mut second = Authority::open(dir.path()).unwrap();
    assert_eq!(second.revoke("M1").unwrap().len(), 2);
    assert_eq!(second.revoke("M1").unwrap().len(), 0);
    assert!(matches!(second.revoke("M3"), Err(Error::Unknown(_))));
    let now = OffsetDateTime::now_utc();
    let states: Vec<_> = authority.list().unwrap().into_iter().map(|entry| (entry.name.clone(), entry.status(now))).collect();
    let expected = [("M1", Status::Revoked), ("M1", Status::Revoked), ("M2", Status::Valid)];
    assert_eq!(states, expected.map(|(name, status)| (name.to_owned(), status)));
    authority.issue("M1", Role::Meter, &options).unwrap();
}

#[test]
fn what_makes_no_sense_is_not_issued() {
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::create_with(dir.path(), &Settings { valid_days: 100 }).unwrap();
    let days = |days| IssueOptions { valid_days: Some(days), ..IssueOptions::default() };
    let hosts = |host: &str| IssueOptions { hosts: vec![host.to_owned()], valid_days: Some(1), ..IssueOptions::default() };
    assert!(matches!(authority.issue("../ca", Role::Meter, &days(1)), Err(Error::Name { .. })));
    assert!(matches!(authority.issue("M1", Role::Meter, &days(0)), Err(Error::Validity { .. })));
    assert!(matches!(authority.issue("M1", Role::Meter, &days(101)), Err(Error::Outlives { .. })));
    assert!(matches!(authority.issue("M1", Role::Meter, &hosts("localhost")), Err(Error::HostOfClient(Role::Meter))));
    assert!(matches!(authority.issue("b", Role::Server, &days(1)), Err(Error::NoHost)));
    assert!(matches!(authority.issue("b", Role::Server, &hosts("*.example")), Err(Error::Host(_))));
    assert!(authority.list().unwrap().is_empty());
}

#[cfg(unix)]
#[test]
fn private_keys_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut authority = Authority::create(dir.path()).unwrap();
    let issued = authority.issue("M1", Role::Meter, &IssueOptions::default()).unwrap();
    for key in [dir.path().join("ca.key"), issued.key] {
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600, "{}", key.display());
    }
}
