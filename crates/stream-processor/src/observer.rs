//! A look at the instants that matter, for tests that stop or kill an instance there.

/// Where a partition's worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A batch is accepted; nothing of it has been handed to Kafka, or PostgreSQL.
    BeforeProduce,
    /// Kafka, or PostgreSQL, has every record of the transaction; the commit has not been asked for.
    BeforeCommit,
    /// It says that the transaction is committed; nothing has been acknowledged.
    AfterCommitBeforeAck,
}

/// Is told each phase before the worker goes on; the worker waits for it to return.
pub trait Observer: Send + Sync {
    /// The worker of `partition` has reached `phase`.
    fn phase(&self, partition: i32, phase: Phase);
}

/// Looks away.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Observer for Nobody {
    fn phase(&self, _: i32, _: Phase) {}
}
