//! What only a server that can fail has to keep.

mod answers;
mod clock;
mod crash;
mod refusals;
