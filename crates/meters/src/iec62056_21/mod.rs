//! IEC 62056-21, modes A to D: what comes out of a meter's optical port, and most current loops.
//!
//! A conversation ([`session`]) begins at 300 baud: the meter is asked who it is ([`identification`]), is told how to go on
//! ([`message`]), and then says what it has in blocks ([`receiver`]) whose text is its registers ([`readout`]).
//!
//! Source: public implementations and real captures, for the text of the standard was not at hand: the limits of lengths and times
//! are the usual ones, wider where meters are known to take more. Mode E (HDLC) is recognised and answered in mode C.

pub mod date_time;
pub mod identification;
pub mod message;
pub mod readout;
pub mod receiver;
pub mod session;
