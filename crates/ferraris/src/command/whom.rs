//! Whom a command is for: a meter, or one of its accounts. Pure.

use std::str::FromStr;

use anyhow::{Context as _, bail};
use measure::{Account, Channel, InvalidId, MeterId};

/// A meter, or an account of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whom {
    meter: MeterId,
    channel: Option<Channel>,
}

impl FromStr for Whom {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if !text.contains('.') {
            return Ok(Self { meter: text.parse()?, channel: None });
        }
        let account: Account = text.parse()?;
        Ok(Self { meter: account.meter().clone(), channel: Some(account.channel()) })
    }
}

impl Whom {
    /// The meter.
    pub const fn meter(&self) -> &MeterId {
        &self.meter
    }

    /// The channel that the account names, or the option does; they must not contradict each other.
    pub fn channel(&self, option: Option<Channel>) -> anyhow::Result<Channel> {
        match (self.channel, option) {
            (Some(own), Some(other)) if own != other => bail!("the account {}.{own} is channel {own}: leave --channel out", self.meter),
            (own, option) => own
                .or(option)
                .with_context(|| format!("no channel given: name one by --channel, or the account, for example {}.3", self.meter)),
        }
    }

    /// The same where all channels may be meant.
    pub fn channel_or_all(&self, option: Option<Channel>, all: bool) -> anyhow::Result<Option<Channel>> {
        match (all, self.channel) {
            (true, None) => Ok(None),
            (true, Some(own)) => bail!("the account {}.{own} is one channel: name the meter for --all", self.meter),
            (false, _) => self.channel(option).map(Some),
        }
    }

    /// For what concerns the meter as a whole.
    pub fn whole(&self) -> anyhow::Result<()> {
        match self.channel {
            None => Ok(()),
            Some(_) => bail!("this concerns all channels: name the meter, {}", self.meter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_stands_for_meter_and_channel() {
        let (meter, account): (Whom, Whom) = ("M1".parse().unwrap(), "M1.3".parse().unwrap());
        assert_eq!(meter.meter(), account.meter());
        assert_eq!(meter.channel(Some(2)).unwrap(), 2);
        assert_eq!((account.channel(None).unwrap(), account.channel(Some(3)).unwrap()), (3, 3));
        assert_eq!(account.channel(Some(2)).unwrap_err().to_string(), "the account M1.3 is channel 3: leave --channel out");
        assert!(meter.channel(None).unwrap_err().to_string().contains("for example M1.3"));
        assert_eq!((meter.channel_or_all(None, true).unwrap(), account.channel_or_all(None, false).unwrap()), (None, Some(3)));
        assert!(account.channel_or_all(None, true).is_err() && meter.channel_or_all(None, false).is_err());
        assert!(meter.whole().is_ok() && account.whole().is_err());
        assert_eq!("M1.x".parse::<Whom>(), Err(InvalidId::Account));
        assert_eq!("M/1".parse::<Whom>(), Err(InvalidId::Character));
    }
}
