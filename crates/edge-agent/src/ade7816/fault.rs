//! Why a chip gave nothing.

use std::io;

use edge_core::edge::NoData;
use meters::ade7816::StartError;
use meters::ade7816::port::PortError;

/// Why there is no reading.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Its port can't be opened.
    #[error("can't open the port: {0}")]
    Gone(#[from] io::Error),
    /// Nobody answers.
    #[error("no chip answers at the bus address 0x38, or on this select line: {0}")]
    Silent(String),
    /// It does not come out of its reset.
    #[error("{}", StartError::<String>::NotReady)]
    NotReady,
    /// It does not hold what is written.
    #[error("{0}")]
    NotKept(String),
    /// What it says can't be.
    #[error("{0}")]
    Damaged(String),
    /// It has forgotten its settings.
    #[error("chip was reset")]
    Reset,
}

impl Fault {
    /// One word, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Gone(_) => "port_gone",
            Self::Silent(_) => "chip_silent",
            Self::NotReady => "chip_not_ready",
            Self::NotKept(_) => "chip_not_kept",
            Self::Damaged(_) => "chip_damaged",
            Self::Reset => "chip_reset",
        }
    }

    /// As the brain knows it.
    pub(super) const fn no_data(&self) -> NoData {
        match self {
            Self::Gone(_) => NoData::Unavailable,
            Self::Silent(_) | Self::NotReady => NoData::Timeout,
            Self::NotKept(_) | Self::Damaged(_) | Self::Reset => NoData::Damaged,
        }
    }
}

impl From<PortError<String>> for Fault {
    fn from(error: PortError<String>) -> Self {
        match error {
            PortError::Bus(cause) => Self::Silent(cause),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<StartError<String>> for Fault {
    fn from(error: StartError<String>) -> Self {
        match error {
            StartError::Port(error) => error.into(),
            StartError::NotReady => Self::NotReady,
            other @ StartError::NotKept { .. } => Self::NotKept(other.to_string()),
        }
    }
}
