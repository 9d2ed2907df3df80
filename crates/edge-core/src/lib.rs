//! One meter's brain: report on change, journal, numbering, windows; no sockets, files or clocks.
