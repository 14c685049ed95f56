//! What only a server that can fail has to keep.

mod answers;
mod crash;
mod refusals;
mod turns;
