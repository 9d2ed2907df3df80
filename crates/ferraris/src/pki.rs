//! `ferraris pki`: the certificates of an installation.

use std::path::PathBuf;

use anyhow::anyhow;
use pki::{Authority, Entry, IssueOptions, OffsetDateTime, Role, Settings, Status};
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::output::{self, Outcome};

/// Certificates of meters, services and operators.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a certificate authority in a new or empty directory
    #[command(after_help = "Examples:\n  ferraris pki init\n  ferraris pki init --dir /etc/ferraris/pki --days 1826")]
    Init {
        #[command(flatten)]
        place: Place,
        /// Days of validity of the authority's own certificate [default: five years]
        #[arg(long)]
        days: Option<u32>,
    },
    /// Issue a certificate and its private key
    #[command(after_help = "Examples:\n  \
        ferraris pki issue M0001 --role meter\n  \
        ferraris pki issue broker --role server --host broker.example.org --host 192.0.2.7\n  \
        ferraris pki issue alice --role operator --days 30\n  \
        ferraris pki issue M0001 --role meter --renew")]
    Issue {
        /// Whose: a meter's id, or the name of a service, operator or server
        name: String,
        /// What the holder may be: meter, service, operator or server
        #[arg(long)]
        role: Role,
        /// Host name or IP address under which a server is reached; may be repeated
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
        /// Days of validity [default: 90 for a server, 397 for the others]
        #[arg(long)]
        days: Option<u32>,
        /// Issue although a valid certificate bears the name; the old one stays valid beside it
        #[arg(long)]
        renew: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Take back every certificate of a name; brokers cut its sessions when they reload crl.pem
    #[command(after_help = "Examples:\n  ferraris pki revoke M0001\n  ferraris pki revoke M0001 --dir /etc/ferraris/pki")]
    Revoke {
        /// Whose
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// List everything ever issued, oldest first
    #[command(after_help = "Examples:\n  ferraris pki list\n  ferraris pki list --json | jq 'select(.status == \"valid\")'")]
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the authority is.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// Directory of the certificate authority
    #[arg(long, value_name = "DIR", default_value = "pki")]
    dir: PathBuf,
}

/// Runs the command.
pub fn run(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Init { place, days } => {
            let settings = days.map_or_else(Settings::default, |valid_days| Settings { valid_days });
            let authority = Authority::create_with(&place.dir, &settings)?;
            output::line(format_args!("certificate    {}", authority.ca_path().display()))?;
            output::line(format_args!("revocations    {}", authority.crl_path().display()))?;
            output::line("ca.key beside them signs every certificate of the installation: keep it off the servers, keep a copy")?;
        }
        Command::Issue { name, role, hosts, days, renew, place } => {
            let options = IssueOptions { hosts: hosts.clone(), valid_days: *days, renew: *renew };
            let issued = open(place)?.issue(name, *role, &options)?;
            output::line(format_args!("certificate    {}", issued.certificate.display()))?;
            output::line(format_args!("private key    {}", issued.key.display()))?;
            output::line(format_args!("valid until    {}", issued.entry.not_after.date()))?;
        }
        Command::Revoke { name, place } => revoke(name, place)?,
        Command::List { json, place } => {
            let now = OffsetDateTime::now_utc();
            for entry in open(place)?.list()? {
                output::line(if *json { as_json(&entry, now)? } else { as_text(&entry, now) })?;
            }
        }
    }
    Ok(Outcome::Good)
}

fn open(place: &Place) -> anyhow::Result<Authority> {
    Authority::open(&place.dir).map_err(|error| match error {
        pki::Error::Absent(dir) => {
            anyhow!("no certificate authority in {0}: `ferraris pki init --dir {0}` makes one, --dir names another", dir.display())
        }
        other => other.into(),
    })
}

fn revoke(name: &str, place: &Place) -> anyhow::Result<()> {
    let mut authority = open(place)?;
    let taken_back = authority.revoke(name)?;
    if taken_back.is_empty() {
        output::line(format_args!("nothing of {name} was in force"))?;
    }
    for entry in taken_back {
        output::line(format_args!("revoked {} {} serial {}", entry.role, entry.name, entry.serial))?;
    }
    output::line(format_args!("give {} to the brokers", authority.crl_path().display()))?;
    Ok(())
}

fn status(entry: &Entry, now: OffsetDateTime) -> &'static str {
    match entry.status(now) {
        Status::Valid => "valid",
        Status::Expired => "expired",
        Status::Revoked => "revoked",
    }
}

fn as_text(entry: &Entry, now: OffsetDateTime) -> String {
    let Entry { name, role, serial, .. } = entry;
    format!("{name:<32} {:<8} {:<7} until {} serial {serial}", role.as_str(), status(entry, now), entry.not_after.date())
}

fn as_json(entry: &Entry, now: OffsetDateTime) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(entry)?;
    if let Some(object) = value.as_object_mut() {
        object.insert("status".to_owned(), json!(status(entry, now)));
        let revoked = entry.revoked.map(|at| at.format(&Rfc3339)).transpose()?;
        object.insert("revoked".to_owned(), json!(revoked));
    }
    Ok(value.to_string())
}
