//! Certificate authority of a Ferraris installation: issue, revoke, list.
