//! What the holder of a certificate may be.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the holder of a certificate is: the organisational unit of its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A meter, or the edge agent that speaks for it: publishes as itself, nothing else.
    Meter,
    /// A stream processor.
    Service,
    /// A person or a dashboard that watches live values and alerts.
    Operator,
    /// A broker: the only role that authenticates as a TLS server.
    Server,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Meter, Role::Service, Role::Operator, Role::Server];

    /// As the subject's organisational unit has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Meter => "meter",
            Role::Service => "service",
            Role::Operator => "operator",
            Role::Server => "server",
        }
    }

    /// How long a certificate of this role is valid unless asked otherwise: 90 days for a server, whose certificate is renewed
    /// in one place, 397 days for everyone else.
    pub fn default_valid_days(self) -> u32 {
        match self {
            Role::Server => 90,
            Role::Meter | Role::Service | Role::Operator => 397,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role: meter, service, operator or server")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Role::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_name_a_role_alike() {
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert_eq!("Meter".parse::<Role>().unwrap_err().to_string(), "`Meter` is no role: meter, service, operator or server");
    }
}
