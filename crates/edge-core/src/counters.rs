//! What happened that nobody else sees: everything that was dropped or ignored, with its reason.

use measure::Verdict;

/// Totals since the start; the shell exports them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Samples handled.
    pub samples: u64,
    /// Samples whose change was not worth sending.
    pub samples_unsent: u64,
    /// Samples of a channel that the configuration does not have.
    pub samples_of_unknown_channel: u64,
    /// Samples that could not be, before a first one that could: the filter knew nothing.
    pub samples_implausible: u64,
    /// Estimates outside what a record can hold; the sample was not recorded.
    pub samples_out_of_range: u64,
    /// Polls that the device did not answer in time.
    pub no_data_timeout: u64,
    /// Polls whose answer was damaged.
    pub no_data_damaged: u64,
    /// Polls that the device answered with an error.
    pub no_data_refused: u64,
    /// Polls that could not be made: the bus or port is not there.
    pub no_data_unavailable: u64,
    /// Events held back because the same had been told less than a minute before.
    pub events_repeated: u64,
    /// Rows given to the journal.
    pub rows_appended: u64,
    /// Readings that a full journal dropped; each is counted in a gap.
    pub readings_dropped_full: u64,
    /// Register snapshots that a full journal dropped; each is counted in a gap.
    pub snapshots_dropped_full: u64,
    /// Events that a full journal dropped; each is counted in a gap.
    pub events_dropped_full: u64,
    /// Rows lost because the journal could not be written; each is counted in a gap once it can be.
    pub rows_dropped_failed: u64,
    /// Rows that ought to be in a stream and are not in the journal.
    pub rows_missing: u64,
    /// Acknowledgements that deleted something.
    pub acks_applied: u64,
    /// Acknowledgements that said what was known.
    pub acks_repeated: u64,
    /// Acknowledgements of less than was deleted.
    pub acks_stale: u64,
    /// Acknowledgements of a stream that is not open.
    pub acks_unknown_stream: u64,
    /// Acknowledgements of more than was given.
    pub acks_beyond_given: u64,
    /// Acknowledgements of an earlier incarnation of the ledger.
    pub acks_old_incarnation: u64,
    /// Incarnations of the ledger that made the open streams be given up.
    pub ledgers_restored: u64,
    /// Streams opened.
    pub streams_opened: u64,
    /// Frames handed out with new numbers.
    pub frames_sent: u64,
    /// Frames handed out again, or for the first time after a restart.
    pub frames_repeated: u64,
    /// Times that no acknowledgement came in time.
    pub resend_timeouts: u64,
    /// Commands, by the code of their verdict; a copy of one that was answered counts as replayed.
    pub commands: [u64; Verdict::ALL.len()],
    /// Commands with a verdict that has no place there; there is none.
    pub commands_other: u64,
}

impl Counters {
    /// Commands with this verdict.
    pub fn of_commands(&self, verdict: Verdict) -> u64 {
        self.commands.get(usize::from(verdict.code())).copied().unwrap_or(0)
    }

    pub(crate) fn commands(&mut self, verdict: Verdict) -> &mut u64 {
        self.commands.get_mut(usize::from(verdict.code())).unwrap_or(&mut self.commands_other)
    }

    pub(crate) fn up(count: &mut u64) {
        *count = count.saturating_add(1);
    }
}
